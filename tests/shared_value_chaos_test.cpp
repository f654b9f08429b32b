// A shared value whose writers and readers are killed at random, all the time.

#include <coproc/process.hpp>
#include <coproc/shared_value.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"
#include "support/shared_board.hpp"
#include "support/storm.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <string>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::process;
using coproc::shared_value;
using coproc::task;
using coproc::testing::shared_board;
using coproc::testing::storm;

namespace {

/// A count, many times: a torn value has different ones.
struct counts {
    std::array<long, 40> same;
};
bool is_whole(const counts& one) {
    return std::ranges::all_of(one.same, [&](long count) { return count == one.same[0]; });
}

struct book {
    /// For each writer, twice the updates that it knows of; odd as long as it makes one.
    std::array<std::atomic<long>, 1 << 16> updates;
    std::atomic<long> canceled;
    std::atomic<long> read;
    std::atomic<long> violations;
};

task<void> count_up(shared_value<counts> value, std::string path, long me) {
    const shared_board<book> seen(path);
    std::mt19937 random(static_cast<unsigned>(me));
    std::atomic<long>& updates = seen->updates.at(static_cast<std::size_t>(me));
    const auto next = [&seen](const counts& now) {
        if (!is_whole(now)) ++seen->violations;
        counts after{};
        after.same.fill(now.same[0] + 1);
        return after;
    };
    for (;;) {
        const auto patience =
            std::chrono::microseconds(random() % 4 == 0 ? random() % 20 : 9'000'000);
        ++updates;
        const auto done = co_await coproc::timeout(patience, value.update(next));
        if (!done && done.error() == errc::timed_out) {
            --updates;
            ++seen->canceled;
            continue;
        }
        if (!is_whole(done.value())) ++seen->violations;
        ++updates;
    }
}

task<void> look_on(shared_value<counts> value, std::string path) {
    const shared_board<book> seen(path);
    for (long last = 0;;) {
        const counts now = value.load();
        if (!is_whole(now) || now.same[0] < last) ++seen->violations;
        last = now.same[0];
        if (++seen->read % 16 == 0) (co_await coproc::yield()).value();
    }
}

}  // namespace

CO_TEST_CASE("shared_value: in a storm of kills it is never torn, and no update is lost",
             "[shared_value][process][long]") {
    const auto seed = coproc::testing::storm_seed();
    CAPTURE(seed);
    const auto value = shared_value<counts>::create().value();
    const shared_board<book> seen;
    storm around(seed);
    around.add("writer", 4,
               [&](long number) { return process(count_up, value, seen.path(), number); });
    around.add("reader", 2, [&](long) { return process(look_on, value, seen.path()); });
    co_await around.rage();
    long known = 0;
    long in_the_making = 0;
    for (const std::atomic<long>& one : seen->updates) {
        known += one / 2;
        in_the_making += one % 2;
    }
    WARN("kills survived: " << around.kills() << ", updates: " << known
                            << ", canceled: " << seen->canceled << ", read: " << seen->read);
    CHECK(around.failures() == 0);
    CHECK(around.kills("writer") > 0);
    CHECK(around.kills("reader") > 0);
    CHECK(seen->violations == 0);
    const counts last = value.load();
    CHECK(is_whole(last));
    CHECK(known > 0);
    CHECK(last.same[0] >= known);
    CHECK(last.same[0] <= known + in_the_making);
    CHECK(in_the_making <= around.kills("writer"));
}
