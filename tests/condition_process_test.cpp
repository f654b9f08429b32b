// Conditions between processes, some of which are killed.

#include <coproc/condition.hpp>
#include <coproc/connection.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>

#include "support/co_test.hpp"
#include "support/condition_memory.hpp"
#include "support/processes.hpp"

#include <csignal>
#include <vector>

using coproc::condition;
using coproc::process;
using coproc::task;
using coproc::testing::eventually;

namespace {

/// Waits once. `waits` gets a word when it has the lock, `woken` when it has it again.
task<void> wait_once(condition c, coproc::queue<int> waits, coproc::queue<int> woken) {
    auto held = (co_await c.acquire()).value();
    (co_await waits.put(1)).value();
    (co_await c.wait(held)).value();
    (co_await woken.put(1)).value();
}
/// Counts up, in turns with another, in a queue that holds the count.
task<int> count_in_turns(condition c, coproc::queue<int> cell, int remainder, int until) {
    for (int next = remainder; next < until; next += 2) {
        auto held = (co_await c.acquire()).value();
        int count = (co_await cell.get()).value();
        while (count != next) {
            (co_await cell.put(count)).value();
            (co_await c.wait(held)).value();
            count = (co_await cell.get()).value();
        }
        (co_await cell.put(count + 1)).value();
        c.notify().value();
    }
    co_return 0;
}
task<void> notify_and_die(condition c) {
    const auto held = (co_await c.acquire()).value();
    c.notify().value();
    ::raise(SIGKILL);
}
/// Gets it in a message.
task<int> notify_received(coproc::connection pipe) {
    const auto c = (co_await pipe.recv<condition>()).value();
    const auto held = (co_await c.acquire()).value();
    c.notify().value();
    co_return 0;
}

/// So many processes are waiting.
struct family {
    explicit family(condition c) : of(std::move(c)) {}

    task<void> gather(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            (co_await all.emplace_back(wait_once, of, waits, woken).start()).value();
            (co_await waits.get()).value();
            // It waits when it has given the lock back.
            (co_await of.acquire()).value();
        }
    }
    task<void> notify(std::size_t count) {
        const auto held = (co_await of.acquire()).value();
        of.notify(count).value();
    }

    condition of;
    coproc::queue<int> waits = coproc::queue<int>::create().value();
    coproc::queue<int> woken = coproc::queue<int>::create().value();
    std::vector<process> all;
};

}  // namespace

CO_TEST_CASE("condition: so many processes are woken as are notified", "[condition][process]") {
    family four(condition::create().value());
    co_await four.gather(4);
    co_await four.notify(2);
    for (int i = 0; i < 2; ++i) (co_await four.woken.get()).value();
    (co_await four.all[0].join()).value();
    (co_await four.all[1].join()).value();
    CHECK(four.all[2].is_alive());
    CHECK(four.all[3].is_alive());
    co_await four.notify(1);
    (co_await four.woken.get()).value();
    (co_await four.all[2].join()).value();
    CHECK(four.woken.empty());
    CHECK(four.all[3].is_alive());
    co_await four.notify(1);
    const auto last = co_await four.all[3].join();
    CHECK(last.value().success());
}

CO_TEST_CASE("condition: a notification does not even wake another process",
             "[condition][process]") {
    family two(condition::create().value());
    co_await two.gather(2);
    const coproc::testing::condition_memory beside(two.of);
    const auto& sleeping = beside.memory().sleeping[0];
    // Of the two members, what the second one's sleep is called.
    const auto second = [&] { return coproc::detail::peek(sleeping.all[1].word); };
    const bool asleep = co_await eventually([&] { return second() % 4 == 1; });
    REQUIRE(asleep);
    const auto before = second();
    co_await two.notify(1);
    (co_await two.all[0].join()).value();
    CHECK(second() == before);
    co_await two.notify(1);
    (co_await two.all[1].join()).value();
}

CO_TEST_CASE("condition: two processes take turns a thousand times", "[condition][process]") {
    constexpr int until = 2000;
    const auto c = condition::create().value();
    auto cell = coproc::queue<int>::create().value();
    (co_await cell.put(0)).value();
    process even(count_in_turns, c, cell, 0, until);
    process odd(count_in_turns, c, cell, 1, until);
    (co_await even.start()).value();
    (co_await odd.start()).value();
    const auto one = co_await even.join();
    const auto other = co_await odd.join();
    CHECK(one.value().success());
    CHECK(other.value().success());
    const auto count = co_await cell.get();
    CHECK(count.value() == until);
}

CO_TEST_CASE("condition: a waiter that is killed is not notified any more",
             "[condition][process]") {
    family two(condition::create().value());
    co_await two.gather(2);
    two.all[0].kill().value();
    (co_await two.all[0].join()).value();
    co_await two.notify(1);
    const auto status = co_await two.all[1].join();
    CHECK(status.value().success());
}

CO_TEST_CASE("condition: killed with a notification it had, it leaves it to the next one",
             "[condition][process]") {
    family three(condition::create().value());
    co_await three.gather(3);
    // It gets no further than being rung.
    three.all[0].send_signal(SIGSTOP).value();
    co_await three.notify(1);
    three.all[0].kill().value();
    (co_await three.all[0].join()).value();
    const auto next = co_await three.all[1].join();
    CHECK(next.value().success());
    CHECK(three.all[2].is_alive());
    co_await three.notify(1);
    const auto last = co_await three.all[2].join();
    CHECK(last.value().success());
}

CO_TEST_CASE("condition: killed when it waits for the lock, it leaves the notification to the next",
             "[condition][process]") {
    family two(condition::create().value());
    co_await two.gather(2);
    {
        const auto held = (co_await two.of.acquire()).value();
        two.of.notify().value();
        two.all[0].kill().value();
        (co_await two.all[0].join()).value();
    }
    const auto next = co_await two.all[1].join();
    CHECK(next.value().success());
}

CO_TEST_CASE("condition: who notifies and dies with the lock is told of to the one who wakes",
             "[condition][process]") {
    const auto c = condition::create().value();
    process victim(notify_and_die, c);
    auto held = (co_await c.acquire()).value();
    (co_await victim.start()).value();
    const auto woken = co_await c.wait(held);
    CHECK(woken.has_value());
    CHECK(held.owner_died());
    (co_await victim.join()).value();
}

CO_TEST_CASE("condition: it travels in a message, with its lock", "[condition][process]") {
    const auto c = condition::create().value();
    auto [ours, theirs] = coproc::pipe().value();
    process other(notify_received, std::move(theirs));
    (co_await other.start()).value();
    auto held = (co_await c.acquire()).value();
    (co_await ours.send(c)).value();
    const auto woken = co_await c.wait(held);
    CHECK(woken.has_value());
    CHECK_FALSE(held.owner_died());
    const auto status = co_await other.join();
    CHECK(status.value().success());
}
