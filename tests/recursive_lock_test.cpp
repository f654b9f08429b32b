#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/recursive_lock.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "support/acquiring.hpp"
#include "support/co_test.hpp"

#include <optional>
#include <vector>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::process;
using coproc::recursive_lock;
using coproc::result;
using coproc::task;

namespace {

auto made_to_be_acquired() { return recursive_lock::create().value(); }
using acquiring =
    coproc::testing::acquiring_under_contract<&made_to_be_acquired, recursive_lock::guard>;
const coproc::testing::contract_row<acquiring> acquire_row("recursive_lock::acquire");

}  // namespace

CO_TEST_CASE("recursive_lock: it is released with the last of the guards that share it",
             "[recursive_lock]") {
    const auto l = recursive_lock::create().value();
    auto first = (co_await l.acquire()).value();
    auto second = first.again();
    {
        const auto third = second.again();
        first.release().value();
        CHECK(l.try_acquire().error() == errc::would_block);
    }
    CHECK(first.release().error() == errc::too_many_releases);
    CHECK(l.is_locked());
    second.release().value();
    CHECK_FALSE(l.is_locked());
    CHECK(second.release().error() == errc::too_many_releases);
    const auto next = l.try_acquire();
    CHECK(next.has_value());
}

CO_TEST_CASE("recursive_lock: who has no guard waits, in the same process, too",
             "[recursive_lock]") {
    const auto l = recursive_lock::create().value();
    std::optional mine((co_await l.acquire()).value());
    std::optional again(mine->again());
    const auto rt = co_await coproc::current_runtime();
    const auto other = rt.spawn(l.acquire());
    mine.reset();
    const auto late = co_await coproc::timeout(5ms, l.acquire());
    CHECK(late.error() == errc::timed_out);
    CHECK_FALSE(other.done());
    again.reset();
    const auto got = co_await other;
    CHECK(got.has_value());
}

CO_TEST_CASE("recursive_lock: a guard that another one is moved into lets go of its own",
             "[recursive_lock]") {
    const auto one = recursive_lock::create().value();
    const auto other = recursive_lock::create().value();
    auto held = one.try_acquire().value();
    held = other.try_acquire().value();
    CHECK_FALSE(one.is_locked());
    CHECK(other.is_locked());
    co_return;
}

namespace {

/// Read, wait, write, and in the middle of it the same once more.
task<void> add(recursive_lock::guard, coproc::queue<int> cell, int depth) {
    const int before = (co_await cell.get()).value();
    if (before % 10 == 0) (co_await coproc::yield()).value();
    (co_await cell.put(before + depth)).value();
}
task<void> count_up(recursive_lock l, coproc::queue<int> cell, int times) {
    for (int i = 0; i < times; ++i) {
        const auto mine = (co_await l.acquire()).value();
        co_await add(mine.again(), cell, 1);
        co_await add(mine.again(), cell, 2);
    }
}
task<void> take_twice_and_sleep(recursive_lock l, coproc::event taken) {
    const auto mine = (co_await l.acquire()).value();
    const auto again = mine.again();
    taken.set().value();
    (co_await coproc::sleep_for(24h)).value();
}
/// Gets the lock in a message, and takes it.
task<int> take_received(coproc::connection pipe) {
    const auto l = (co_await pipe.recv<recursive_lock>()).value();
    const bool was_locked = l.is_locked();
    (co_await pipe.send(was_locked)).value();
    const auto mine = (co_await l.acquire()).value();
    co_return 0;
}

}  // namespace

CO_TEST_CASE("recursive_lock: processes exclude each other", "[recursive_lock][process]") {
    const auto l = recursive_lock::create().value();
    auto cell = coproc::queue<int>::create().value();
    (co_await cell.put(0)).value();
    std::vector<process> counters;
    for (int i = 0; i < 3; ++i) {
        (co_await counters.emplace_back(count_up, l, cell, 200).start()).value();
    }
    for (process& one : counters) CHECK((co_await one.join()).value().success());
    const auto sum = co_await cell.get();
    CHECK(sum.value() == 3 * 200 * 3);
}

CO_TEST_CASE("recursive_lock: when its owner is killed the next one is told, and all its guards",
             "[recursive_lock][process]") {
    const auto l = recursive_lock::create().value();
    const auto taken = coproc::event::create().value();
    process victim(take_twice_and_sleep, l, taken);
    (co_await victim.start()).value();
    (co_await taken.wait()).value();
    const auto rt = co_await coproc::current_runtime();
    const auto waiting = rt.spawn(l.acquire());
    victim.kill().value();
    auto mine = co_await waiting;
    REQUIRE(mine.has_value());
    CHECK(mine.value().owner_died());
    CHECK(mine.value().again().owner_died());
    mine.value().release().value();
    const auto next = l.try_acquire();
    CHECK_FALSE(next.value().owner_died());
    (co_await victim.join()).value();
}

CO_TEST_CASE("recursive_lock: it travels in a message", "[recursive_lock][process]") {
    const auto l = recursive_lock::create().value();
    auto mine = l.try_acquire().value();
    auto [ours, theirs] = coproc::pipe().value();
    process taker(take_received, std::move(theirs));
    (co_await taker.start()).value();
    (co_await ours.send(l)).value();
    const auto was_locked = co_await ours.recv<bool>();
    CHECK(was_locked.value());
    CHECK(taker.is_alive());
    mine.release().value();
    const auto status = co_await taker.join();
    CHECK(status.value().success());
}
