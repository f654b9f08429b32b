#include <coproc/barrier.hpp>
#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"
#include "support/contract.hpp"
#include "support/processes.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <map>
#include <optional>
#include <vector>

using namespace std::chrono_literals;
using coproc::barrier;
using coproc::errc;
using coproc::process;
using coproc::result;
using coproc::task;
using coproc::testing::eventually;
using waiter = coproc::spawned<result<std::size_t>>;

namespace {

class waiting : public coproc::testing::operation_under_contract {
    task<void> set_up() override {
        barrier_.emplace(barrier::create(2).value());
        co_return;
    }
    task<result<void>> attempt() override {
        COPROC_CO_TRY(co_await barrier_->wait());
        co_return coproc::success();
    }
    /// Is the other party.
    task<void> release() override {
        if (barrier_->broken()) barrier_->reset().value();
        const auto rt = co_await coproc::current_runtime();
        others_.push_back(rt.spawn(barrier_->wait()));
    }
    task<void> tear_down() override {
        barrier_->abort().value();
        for (const auto& one : others_) (void)co_await one;
        others_.clear();
        barrier_.reset();
    }
    std::optional<barrier> barrier_;
    std::vector<waiter> others_;
};
const coproc::testing::contract_row<waiting> wait_row("barrier::wait");

task<std::vector<waiter>> spawn_waits(barrier b, std::size_t count) {
    const auto rt = co_await coproc::current_runtime();
    std::vector<waiter> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(rt.spawn(b.wait()));
    const bool waiting = co_await eventually([&] { return b.waiting() == count; });
    REQUIRE(waiting);
    co_return all;
}

}  // namespace

CO_TEST_CASE("barrier: tasks of one process go on together, round after round", "[barrier]") {
    const auto b = barrier::create(3).value();
    CHECK(b.parties() == 3);
    for (int round = 0; round < 5; ++round) {
        const auto others = co_await spawn_waits(b, 2);
        CHECK_FALSE(others[0].done());
        CHECK_FALSE(others[1].done());
        const auto last = co_await b.wait();
        const auto first = co_await others[0];
        const auto second = co_await others[1];
        std::vector numbers{first.value(), second.value(), last.value()};
        std::ranges::sort(numbers);
        CHECK(numbers == std::vector<std::size_t>{0, 1, 2});
        CHECK(b.waiting() == 0);
    }
}

CO_TEST_CASE("barrier: one party never waits, no party is an error", "[barrier]") {
    const auto b = barrier::create(1).value();
    const auto index = co_await b.wait();
    CHECK(index.value() == 0);
    const auto again = co_await b.wait();
    CHECK(again.value() == 0);
    CHECK(barrier::create(0).error() == std::errc::invalid_argument);
}

CO_TEST_CASE("barrier: a wait that times out breaks it for all", "[barrier]") {
    const auto b = barrier::create(3).value();
    const auto other = co_await spawn_waits(b, 1);
    const auto late = co_await coproc::timeout(5ms, b.wait());
    CHECK(late.error() == errc::timed_out);
    const auto told = co_await other[0];
    CHECK(told.error() == errc::broken_barrier);
    CHECK(b.broken());
    CHECK(b.waiting() == 0);
    const auto next = co_await b.wait();
    CHECK(next.error() == errc::broken_barrier);
}

CO_TEST_CASE("barrier: one of two waits in a process that is canceled breaks it for the other",
             "[barrier]") {
    const auto b = barrier::create(3).value();
    auto both = co_await spawn_waits(b, 2);
    both[1].cancel();
    const auto canceled = co_await both[1];
    const auto told = co_await both[0];
    CHECK(canceled.error() == errc::canceled);
    CHECK(told.error() == errc::broken_barrier);
}

CO_TEST_CASE("barrier: a wait that is canceled when all have come has succeeded", "[barrier]") {
    const auto b = barrier::create(3).value();
    auto both = co_await spawn_waits(b, 2);
    const auto last = co_await b.wait();
    both[0].cancel();
    both[1].cancel();
    const auto first = co_await both[0];
    const auto second = co_await both[1];
    CHECK(last.has_value());
    CHECK(first.has_value());
    CHECK(second.has_value());
    CHECK_FALSE(b.broken());
}

CO_TEST_CASE("barrier: aborted it stays broken until it is reset", "[barrier]") {
    const auto b = barrier::create(2).value();
    const auto waits = co_await spawn_waits(b, 1);
    b.abort().value();
    const auto told = co_await waits[0];
    CHECK(told.error() == errc::broken_barrier);
    const auto after = co_await b.wait();
    CHECK(after.error() == errc::broken_barrier);
    b.reset().value();
    CHECK_FALSE(b.broken());
    const auto again = co_await spawn_waits(b, 1);
    const auto last = co_await b.wait();
    CHECK(last.value() == 1);
    const auto first = co_await again[0];
    CHECK(first.value() == 0);
}

CO_TEST_CASE("barrier: a reset sends away who waits, and leaves it whole", "[barrier]") {
    const auto b = barrier::create(3).value();
    const auto waits = co_await spawn_waits(b, 2);
    b.reset().value();
    const auto first = co_await waits[0];
    const auto second = co_await waits[1];
    CHECK(first.error() == errc::broken_barrier);
    CHECK(second.error() == errc::broken_barrier);
    CHECK_FALSE(b.broken());
    CHECK(b.waiting() == 0);
}

CO_TEST_CASE("barrier: whose round was complete succeeds, whatever happens next", "[barrier]") {
    const auto b = barrier::create(2).value();
    const auto waits = co_await spawn_waits(b, 1);
    const auto last = co_await b.wait();
    b.abort().value();
    b.reset().value();
    b.abort().value();
    const auto first = co_await waits[0];
    CHECK(last.has_value());
    CHECK(first.has_value());
}

namespace {

/// Between two waits all have put what they put before the first; 0, or what was wrong.
task<int> go_in_step(barrier b, coproc::queue<int> before, coproc::queue<std::size_t> indices,
                     int rounds) {
    const std::size_t parties = b.parties();
    for (int round = 0; round < rounds; ++round) {
        (co_await before.put(round)).value();
        const auto index = co_await b.wait();
        if (!index) co_return 2;
        (co_await indices.put(index.value())).value();
        if (before.size() != parties * static_cast<std::size_t>(round + 1)) co_return 3;
        const auto again = co_await b.wait();
        if (!again) co_return 4;
    }
    co_return 0;
}
/// As two parties.
task<int> two_in_step(barrier b, coproc::queue<int> before, coproc::queue<std::size_t> indices,
                      int rounds) {
    const auto rt = co_await coproc::current_runtime();
    const auto one = rt.spawn(go_in_step(b, before, indices, rounds));
    const auto other = rt.spawn(go_in_step(b, before, indices, rounds));
    const int first = (co_await one).value();
    const int second = (co_await other).value();
    co_return first != 0 ? first : second;
}
task<void> wait_for_ever(barrier b) { (co_await b.wait()).value(); }
task<void> wait_and_die(barrier b) {
    (co_await b.wait()).value();
    ::raise(SIGKILL);
}
task<int> end_with(barrier, int code) { co_return code; }
void quit_with(barrier, int code) { std::_Exit(code); }
task<void> sleep_with(barrier, coproc::event has_it) {
    has_it.set().value();
    (co_await coproc::sleep_for(24h)).value();
}
/// Gets it in a message.
task<int> wait_for_received(coproc::connection pipe) {
    const auto b = (co_await pipe.recv<barrier>()).value();
    const auto index = co_await b.wait();
    if (!index) co_return 2;
    co_return 0;
}

}  // namespace

namespace {

using stepping = task<int>(barrier, coproc::queue<int>, coproc::queue<std::size_t>, int);

/// Four parties in so many processes.
task<void> four_in_step(stepping* target, int processes) {
    constexpr int rounds = 100;
    const auto b = barrier::create(4).value();
    const auto before = coproc::queue<int>::create().value();
    auto indices = coproc::queue<std::size_t>::create().value();
    std::vector<process> all;
    for (int i = 0; i < processes; ++i) {
        (co_await all.emplace_back(target, b, before, indices, rounds).start()).value();
    }
    for (process& one : all) {
        const auto status = co_await one.join();
        CHECK(status.value().code() == 0);
    }
    std::map<std::size_t, int> count;
    while (const auto one = indices.try_get()) ++count[one.value()];
    CHECK(count == std::map<std::size_t, int>{{0, rounds}, {1, rounds}, {2, rounds}, {3, rounds}});
    CHECK_FALSE(b.broken());
}

}  // namespace

CO_TEST_CASE("barrier: four processes go in step, each round has each number once",
             "[barrier][process]") {
    co_await four_in_step(&go_in_step, 4);
}

CO_TEST_CASE("barrier: two tasks in each of two processes go in step", "[barrier][process]") {
    co_await four_in_step(&two_in_step, 2);
}

CO_TEST_CASE("barrier: a process that is killed while it waits breaks it", "[barrier][process]") {
    const auto b = barrier::create(3).value();
    process victim(wait_for_ever, b);
    (co_await victim.start()).value();
    const bool waits = co_await eventually([&] { return b.waiting() == 1; });
    REQUIRE(waits);
    const auto rt = co_await coproc::current_runtime();
    const auto other = rt.spawn(b.wait());
    victim.kill().value();
    const auto told = co_await other;
    CHECK(told.error() == errc::broken_barrier);
    CHECK(b.broken());
    (co_await victim.join()).value();
}

CO_TEST_CASE("barrier: a party that is killed before it comes breaks it", "[barrier][process]") {
    const auto b = barrier::create(2).value();
    const auto has_it = coproc::event::create().value();
    process victim(sleep_with, b, has_it);
    (co_await victim.start()).value();
    (co_await has_it.wait()).value();
    const auto waits = co_await spawn_waits(b, 1);
    victim.kill().value();
    const auto told = co_await waits[0];
    CHECK(told.error() == errc::broken_barrier);
    (co_await victim.join()).value();
}

CO_TEST_CASE("barrier: a party that fails breaks it, one that ends well just leaves",
             "[barrier][process]") {
    const auto b = barrier::create(2).value();
    const auto waits = co_await spawn_waits(b, 1);
    process quick(quit_with, b, 0);
    const auto quit = co_await coproc::testing::run_to_end(quick);
    CHECK(quit.value().success());
    process well(end_with, b, 0);
    const auto ended = co_await coproc::testing::run_to_end(well);
    CHECK(ended.value().success());
    CHECK_FALSE(b.broken());
    CHECK(b.waiting() == 1);
    process badly(end_with, b, 1);
    const auto failed = co_await coproc::testing::run_to_end(badly);
    CHECK(failed.value().code() == 1);
    CHECK(b.broken());
    const auto told = co_await waits[0];
    CHECK(told.error() == errc::broken_barrier);
}

CO_TEST_CASE("barrier: a death right after the round takes it from nobody", "[barrier][process]") {
    const auto b = barrier::create(2).value();
    for (int i = 0; i < 5; ++i) {
        process victim(wait_and_die, b);
        (co_await victim.start()).value();
        const auto passed = co_await b.wait();
        CHECK(passed.has_value());
        (co_await victim.join()).value();
        CHECK(b.broken());
        b.reset().value();
    }
}

CO_TEST_CASE("barrier: it travels in a message", "[barrier][process]") {
    const auto b = barrier::create(2).value();
    auto [ours, theirs] = coproc::pipe().value();
    process other(wait_for_received, std::move(theirs));
    (co_await other.start()).value();
    (co_await ours.send(b)).value();
    const auto passed = co_await b.wait();
    CHECK(passed.has_value());
    const auto status = co_await other.join();
    CHECK(status.value().success());
}
