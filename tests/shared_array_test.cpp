#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/runtime.hpp>
#include <coproc/shared_array.hpp>
#include <coproc/sleep.hpp>

#include "support/acquiring.hpp"
#include "support/co_test.hpp"
#include "words/system.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <vector>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::process;
using coproc::result;
using coproc::shared_array;
using coproc::task;

namespace {

auto made_to_be_acquired() { return shared_array<int>::create(1).value(); }
using acquiring =
    coproc::testing::acquiring_under_contract<&made_to_be_acquired, coproc::lock::guard>;
const coproc::testing::contract_row<acquiring> acquire_row("shared_array::acquire");

struct point {
    int x;
    bool seen;
    double weight;
};

void fill(shared_array<point> points) {
    for (point& one : points) {
        if (one.x != 0 || one.seen || one.weight != 0) std::abort();
    }
    for (std::size_t i = 0; i < points.size(); ++i) points[i] = {static_cast<int>(i), true, 0.5};
}

}  // namespace

CO_TEST_CASE("shared_array: zeros at first, then what anybody has written",
             "[shared_array][process]") {
    const auto points = shared_array<point>::create(1000).value();
    CHECK(points.size() == 1000);
    CHECK(points.elements().size() == 1000);
    process writer(fill, points);
    (co_await writer.start()).value();
    const auto ended = co_await writer.join();
    CHECK(ended.value().success());
    int expected = 0;
    for (const point& one : points) {
        if (one.x != expected++ || !one.seen || one.weight != 0.5) FAIL("element " << expected);
    }
    CHECK(expected == 1000);
}

namespace {

/// Adds one to every element; who did not have the lock would lose some.
task<void> count_up(shared_array<int> counts, int times) {
    for (int i = 0; i < times; ++i) {
        const auto mine = (co_await counts.acquire()).value();
        const std::vector<int> before(counts.begin(), counts.end());
        if (i % 10 == 0) (co_await coproc::sleep_for(0s)).value();
        std::ranges::transform(before, counts.begin(), [](int one) { return one + 1; });
    }
}
task<void> take_and_die(shared_array<int> numbers) {
    const auto mine = (co_await numbers.acquire()).value();
    numbers[0] = 1;
    ::raise(SIGKILL);
    numbers[1] = 1;
}
task<void> receive_and_take(coproc::connection from, coproc::event taken) {
    const auto numbers = (co_await from.recv<shared_array<int>>()).value();
    const auto mine = (co_await numbers.acquire()).value();
    taken.set().value();
    numbers[0] = 7;
    (co_await coproc::sleep_for(24h)).value();
}
result<shared_array<unsigned>> decoded_as_unsigned(const shared_array<int>& from) {
    coproc::encoder into;
    into.put(from);
    std::vector<coproc::detail::unique_fd> fds;
    for (const int fd : into.fds()) fds.push_back(coproc::system::duplicate(fd).value());
    coproc::decoder message({}, std::move(fds));
    return coproc::codec<shared_array<unsigned>>::decode(message);
}

}  // namespace

CO_TEST_CASE("shared_array: with its lock nothing that processes add is lost",
             "[shared_array][process]") {
    const auto counts = shared_array<int>::create(100).value();
    std::vector<process> counters;
    for (int i = 0; i < 4; ++i) {
        (co_await counters.emplace_back(count_up, counts, 250).start()).value();
    }
    for (process& one : counters) CHECK((co_await one.join()).value().success());
    CHECK(std::ranges::count(counts, 1000) == 100);
    CHECK_FALSE(counts.is_locked());
}

CO_TEST_CASE("shared_array: who gets the lock of a dead process is told, and finds what it wrote",
             "[shared_array][process]") {
    const auto numbers = shared_array<int>::create(2).value();
    process victim(take_and_die, numbers);
    (co_await victim.start()).value();
    (co_await victim.join()).value();
    const auto mine = co_await numbers.acquire();
    CHECK(mine.value().owner_died());
    CHECK(numbers[0] == 1);
    CHECK(numbers[1] == 0);
}

CO_TEST_CASE("shared_array: a message takes the elements and the lock to a child",
             "[shared_array][process]") {
    const auto numbers = shared_array<int>::create(1).value();
    const auto taken = coproc::event::create().value();
    auto [ours, theirs] = coproc::pipe().value();
    process child(receive_and_take, std::move(theirs), taken);
    (co_await child.start()).value();
    (co_await ours.send(numbers)).value();
    (co_await taken.wait()).value();
    CHECK(numbers.try_acquire().error() == errc::would_block);
    child.kill().value();
    const auto mine = co_await numbers.acquire();
    CHECK(mine.value().owner_died());
    (co_await child.join()).value();
}

TEST_CASE("shared_array: of another type it is refused", "[shared_array]") {
    const coproc::testing::leak_check leaks;
    {
        const auto numbers = shared_array<int>::create(3).value();
        CHECK(decoded_as_unsigned(numbers).error() == errc::type_mismatch);
    }
    leaks.done();
}

TEST_CASE("shared_array: a size that cannot be is an error", "[shared_array]") {
    CHECK(shared_array<int>::create(0).error() == std::errc::invalid_argument);
    CHECK(shared_array<int>::create(SIZE_MAX / 2).error() == std::errc::not_enough_memory);
    CHECK(shared_array<int>::create(SIZE_MAX / 8).error() == std::errc::not_enough_memory);
}
