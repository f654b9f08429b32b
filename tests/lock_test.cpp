#include <coproc/event.hpp>
#include <coproc/lock.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "support/acquiring.hpp"
#include "support/co_test.hpp"

#include <csignal>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::lock;
using coproc::process;
using coproc::result;
using coproc::task;

namespace {

auto made_to_be_acquired() { return lock::create().value(); }
using acquiring = coproc::testing::acquiring_under_contract<&made_to_be_acquired, lock::guard>;
const coproc::testing::contract_row<acquiring> acquire_row("lock::acquire");

}  // namespace

CO_TEST_CASE("lock: one task at a time has it, in the order of their coming", "[lock]") {
    const auto l = lock::create().value();
    std::string order;
    int inside = 0;
    const auto enter = [&](char name) -> task<void> {
        const auto mine = (co_await l.acquire()).value();
        CHECK(++inside == 1);
        order += name;
        (co_await coproc::sleep_for(0s)).value();
        --inside;
    };
    const auto rt = co_await coproc::current_runtime();
    std::vector<coproc::spawned<void>> tasks;
    for (const char name : {'a', 'b', 'c', 'd'}) tasks.push_back(rt.spawn(enter(name)));
    for (const auto& one : tasks) (co_await one).value();
    CHECK(order == "abcd");
    CHECK_FALSE(l.is_locked());
}

CO_TEST_CASE("lock: try_acquire does not wait, a guard releases once", "[lock]") {
    const auto l = lock::create().value();
    auto mine = l.try_acquire();
    REQUIRE(mine.has_value());
    CHECK_FALSE(mine.value().owner_died());
    const auto other = l.try_acquire();
    REQUIRE_FALSE(other.has_value());
    CHECK(other.error() == errc::would_block);
    mine.value().release().value();
    CHECK(mine.value().release().error() == errc::too_many_releases);
    CHECK(l.try_acquire().has_value());
    CHECK_FALSE(l.is_locked());
    co_return;
}

namespace {

/// Adds to what a file would hold: read, wait, write.
task<void> count_up(lock l, coproc::queue<int> cell, int times) {
    for (int i = 0; i < times; ++i) {
        const auto mine = (co_await l.acquire()).value();
        const int before = (co_await cell.get()).value();
        if (i % 10 == 0) (co_await coproc::yield()).value();
        (co_await cell.put(before + 1)).value();
    }
}
task<void> take_and_die(lock l) {
    const auto mine = (co_await l.acquire()).value();
    ::raise(SIGKILL);
}
task<void> take_and_sleep(lock l, coproc::event taken) {
    const auto mine = (co_await l.acquire()).value();
    taken.set().value();
    (co_await coproc::sleep_for(24h)).value();
}

}  // namespace

CO_TEST_CASE("lock: processes exclude each other", "[lock][process]") {
    const auto l = lock::create().value();
    auto cell = coproc::queue<int>::create().value();
    (co_await cell.put(0)).value();
    std::vector<process> counters;
    for (int i = 0; i < 4; ++i) {
        (co_await counters.emplace_back(count_up, l, cell, 500).start()).value();
    }
    for (process& one : counters) CHECK((co_await one.join()).value().success());
    const auto sum = co_await cell.get();
    CHECK(sum.value() == 2000);
}

CO_TEST_CASE("lock: when its owner dies the next one gets it and is told, once",
             "[lock][process]") {
    const auto l = lock::create().value();
    process victim(take_and_die, l);
    (co_await victim.start()).value();
    (co_await victim.join()).value();
    {
        const auto mine = (co_await l.acquire()).value();
        CHECK(mine.owner_died());
    }
    const auto mine = (co_await l.acquire()).value();
    CHECK_FALSE(mine.owner_died());
}

CO_TEST_CASE("lock: who waits for a lock gets it when its owner is killed", "[lock][process]") {
    const auto l = lock::create().value();
    const auto taken = coproc::event::create().value();
    process victim(take_and_sleep, l, taken);
    (co_await victim.start()).value();
    (co_await taken.wait()).value();
    const auto rt = co_await coproc::current_runtime();
    const auto waiting = rt.spawn(l.acquire());
    const auto late = co_await coproc::timeout(5ms, l.acquire());
    CHECK(late.error() == errc::timed_out);
    CHECK_FALSE(waiting.done());
    victim.kill().value();
    const auto mine = co_await waiting;
    REQUIRE(mine.has_value());
    CHECK(mine.value().owner_died());
    (co_await victim.join()).value();
}
