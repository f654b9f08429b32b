#include <coproc/condition.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"
#include "support/contract.hpp"
#include "support/processes.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using coproc::condition;
using coproc::errc;
using coproc::lock;
using coproc::result;
using coproc::task;
using coproc::testing::eventually;

namespace {

// -- the contract: waiting for a permit

class waiting : public coproc::testing::operation_under_contract {
    task<void> set_up() override {
        condition_.emplace(condition::create().value());
        co_return;
    }
    task<void> release() override {
        const auto held = (co_await condition_->acquire()).value();
        ++permits_;
        condition_->notify().value();
    }
    task<void> tear_down() override {
        condition_.reset();
        co_return;
    }

 protected:
    std::optional<condition> condition_;
    int permits_ = 0;
};

class waiting_once : public waiting {
    task<result<void>> attempt() override {
        COPROC_CO_TRY(auto held, co_await condition_->acquire());
        if (permits_ == 0) {
            COPROC_CO_TRY(co_await condition_->wait(held));
        }
        --permits_;
        co_return coproc::success();
    }
};
const coproc::testing::contract_row<waiting_once> wait_row("condition::wait");

class waiting_for : public waiting {
    task<result<void>> attempt() override {
        COPROC_CO_TRY(auto held, co_await condition_->acquire());
        COPROC_CO_TRY(co_await condition_->wait_for(held, [this] { return permits_ > 0; }));
        --permits_;
        co_return coproc::success();
    }
};
const coproc::testing::contract_row<waiting_for> wait_for_row("condition::wait_for");

// -- tasks

/// Waits once; says its name when it has the lock, and when it has it again.
task<result<void>> wait_and_say(condition c, char name, std::string& said) {
    COPROC_CO_TRY(auto held, co_await c.acquire());
    said += name;
    const auto woken = co_await c.wait(held);
    said += woken ? static_cast<char>(name - 'a' + 'A') : '-';
    CHECK(held.release().has_value() == woken.has_value());
    co_return woken;
}

/// So many are waiting, in the order of their names.
struct crowd {
    explicit crowd(condition c) : of(std::move(c)) {}

    task<void> gather(std::size_t count) {
        const auto rt = co_await coproc::current_runtime();
        for (std::size_t i = 0; i < count; ++i) {
            all.push_back(rt.spawn(wait_and_say(of, static_cast<char>('a' + i), said)));
            const bool waits = co_await eventually([&] { return said.size() == i + 1; });
            REQUIRE(waits);
        }
        // The last one waits when it has given the lock back.
        (co_await of.acquire()).value();
        said.clear();
    }
    task<void> notify(std::size_t count) {
        const auto held = (co_await of.acquire()).value();
        of.notify(count).value();
    }
    /// Until all are awake that will be; then what they have said.
    task<std::string> hear(std::size_t count) {
        const bool heard = co_await eventually([&] { return said.size() >= count; });
        CHECK(heard);
        for (int i = 0; i < 20; ++i) (co_await coproc::yield()).value();
        co_return std::exchange(said, {});
    }

    condition of;
    std::string said;
    std::vector<coproc::spawned<result<void>>> all;
};

}  // namespace

CO_TEST_CASE("condition: so many are woken as are notified, the first to come first",
             "[condition]") {
    crowd some(condition::create().value());
    co_await some.gather(5);
    co_await some.notify(0);
    co_await some.notify(1);
    auto heard = co_await some.hear(1);
    CHECK(heard == "A");
    co_await some.notify(2);
    heard = co_await some.hear(2);
    CHECK(heard == "BC");
    co_await some.notify(7);
    heard = co_await some.hear(2);
    CHECK(heard == "DE");
    for (const auto& one : some.all) (co_await one).value();
}

CO_TEST_CASE("condition: a notification is for those who wait, not for who comes later",
             "[condition]") {
    crowd some(condition::create().value());
    co_await some.notify(1);
    co_await some.gather(2);
    co_await some.notify(0);
    auto heard = co_await some.hear(0);
    CHECK(heard.empty());
    {
        const auto held = (co_await some.of.acquire()).value();
        some.of.notify_all().value();
        CHECK(some.said.empty());
    }
    heard = co_await some.hear(2);
    CHECK(heard == "AB");
    for (const auto& one : some.all) (co_await one).value();
}

CO_TEST_CASE("condition: who waits has the lock again, and had not meanwhile", "[condition]") {
    const auto l = lock::create().value();
    const auto c = condition::create(l).value();
    auto held = l.try_acquire().value();
    const auto rt = co_await coproc::current_runtime();
    const auto woken = rt.spawn(c.wait(held));
    {
        const auto mine = (co_await l.acquire()).value();
        c.notify().value();
        (co_await coproc::yield()).value();
        CHECK_FALSE(woken.done());
    }
    const auto outcome = co_await woken;
    CHECK(outcome.has_value());
    CHECK(l.is_locked());
    CHECK_FALSE(held.owner_died());
    held.release().value();
    CHECK_FALSE(l.is_locked());
}

CO_TEST_CASE("condition: without the lock nobody waits or notifies", "[condition]") {
    const auto c = condition::create().value();
    CHECK(c.notify().error() == std::errc::operation_not_permitted);
    CHECK(c.notify_all().error() == std::errc::operation_not_permitted);
    auto held = c.try_acquire().value();
    held.release().value();
    const auto waited = co_await c.wait(held);
    CHECK(waited.error() == std::errc::operation_not_permitted);
    const auto other = c.try_acquire();
    CHECK(other.has_value());
    const auto again = co_await c.wait(held);
    CHECK(again.error() == std::errc::operation_not_permitted);
}

CO_TEST_CASE("condition: wait_for waits for as long as it is false", "[condition]") {
    const auto c = condition::create().value();
    int level = 0;
    int asked = 0;
    const auto reached = [&] { return ++asked, level >= 3; };
    const auto climber = [](condition by, int& at) -> task<void> {
        while (at < 3) {
            const auto mine = (co_await by.acquire()).value();
            ++at;
            by.notify().value();
        }
    };
    auto held = (co_await c.acquire()).value();
    const auto rt = co_await coproc::current_runtime();
    const auto climbing = rt.spawn(climber(c, level));
    const auto waited = co_await c.wait_for(held, reached);
    CHECK(waited.has_value());
    CHECK(level == 3);
    const int asked_until_then = std::exchange(asked, 0);
    CHECK(asked_until_then >= 2);
    const auto at_once = co_await c.wait_for(held, reached);
    CHECK(at_once.has_value());
    CHECK(asked == 1);
    (co_await climbing).value();
}

CO_TEST_CASE("condition: who gives up does not have the lock", "[condition]") {
    const auto c = condition::create().value();
    auto held = (co_await c.acquire()).value();
    const auto late = co_await coproc::timeout(5ms, c.wait(held));
    CHECK(late.error() == errc::timed_out);
    CHECK(held.release().error() == errc::too_many_releases);
    // Neither if somebody else has it.
    held = (co_await c.acquire()).value();
    const auto rt = co_await coproc::current_runtime();
    auto waiting = rt.spawn(c.wait(held));
    auto mine = (co_await c.acquire()).value();
    waiting.cancel();
    const auto canceled = co_await waiting;
    CHECK(canceled.error() == errc::canceled);
    CHECK(held.release().error() == errc::too_many_releases);
    mine.release().value();
    CHECK(c.try_acquire().has_value());
}

CO_TEST_CASE("condition: who gives up passes on what was for him, and nothing else",
             "[condition]") {
    crowd some(condition::create().value());
    co_await some.gather(4);
    {
        // The first one is notified; it is canceled before it is awake, the second one when it
        // waits for the lock.
        const auto held = (co_await some.of.acquire()).value();
        some.of.notify().value();
        some.all[0].cancel();
        const auto first = co_await some.all[0];
        CHECK(first.error() == errc::canceled);
        for (int i = 0; i < 20; ++i) (co_await coproc::yield()).value();
        CHECK(some.said == "-");
        some.all[1].cancel();
        const auto second = co_await some.all[1];
        CHECK(second.error() == errc::canceled);
        CHECK(some.said == "--");
    }
    auto heard = co_await some.hear(3);
    CHECK(heard == "--C");
    // One that was not notified leaves alone.
    some.all[3].cancel();
    const auto last = co_await some.all[3];
    CHECK(last.error() == errc::canceled);
    (co_await some.all[2]).value();
}

CO_TEST_CASE("condition: hundreds wait, and all are woken", "[condition]") {
    const auto c = condition::create().value();
    int waiting = 0;
    bool open = false;
    const auto wait = [](condition by, int& count, const bool& until) -> task<void> {
        auto held = (co_await by.acquire()).value();
        ++count;
        (co_await by.wait_for(held, [&until] { return until; })).value();
        --count;
    };
    const auto rt = co_await coproc::current_runtime();
    std::vector<coproc::spawned<void>> all;
    for (int i = 0; i < 500; ++i) all.push_back(rt.spawn(wait(c, waiting, open)));
    const bool gathered = co_await eventually([&] { return waiting == 500; });
    REQUIRE(gathered);
    {
        const auto held = (co_await c.acquire()).value();
        open = true;
        c.notify_all().value();
    }
    for (const auto& one : all) (co_await one).value();
    CHECK(waiting == 0);
}
