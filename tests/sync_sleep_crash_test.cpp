// Conditions and barriers when a process dies at any instruction of waiting for them, or of waking
// who waits.

#include <coproc/barrier.hpp>
#include <coproc/condition.hpp>
#include <coproc/shared_value.hpp>

#include "support/catch.hpp"
#include "support/condition_memory.hpp"
#include "support/scene.hpp"
#include "sync/barrier_object.hpp"
#include "words/system.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using coproc::barrier;
using coproc::condition;
using coproc::errc;
using coproc::result;
using coproc::runtime;
using coproc::task;
using coproc::detail::barrier_object;
using coproc::testing::condition_memory;
using coproc::testing::kill_in;
using coproc::testing::scene;
using coproc::testing::surprise_in;
using coproc::testing::victim;
using marks = std::vector<bool>;

namespace {

/// The other one waits for a condition.
class at_condition : public scene {
 public:
    explicit at_condition(runtime& home) : scene(home), others_(opened_again(condition_)) {}

 protected:
    task<result<std::string>> other() override {
        COPROC_CO_TRY(auto held, co_await others_.acquire());
        COPROC_CO_TRY(co_await others_.wait(held));
        co_return std::string();
    }
    task<void> notify_one() {
        auto held = (co_await condition_.acquire()).value();
        condition_.notify().value();
        held.release().value();
    }
    /// The other one has been notified, or now is.
    task<void> check_goes_on(bool is_notified) {
        if (!is_notified) {
            CHECK(memory_.notified() == marks{false});
            co_await notify_one();
        }
        co_await outcome_of_other();
        memory_.check_whole();
        CHECK(memory_.waiters().empty());
        CHECK(condition_.try_acquire().has_value());
    }

    condition condition_ = condition::create().value();
    condition others_;
    condition_memory memory_{condition_};
};

/// The victim notifies it when it is asleep.
class notifying : public at_condition {
 public:
    explicit notifying(runtime& home) : at_condition(home) { enter_other(); }
    task<void> work() override { return notify_one(); }
    void look() override { happened_ = memory_.notified() == marks{true}; }
    task<void> check(bool killed) override {
        CHECK((killed || happened_));
        return check_goes_on(happened_);
    }

 private:
    bool happened_ = false;
};

/// The victim waits before it, and is the one that is notified.
class waiting : public at_condition {
 public:
    using at_condition::at_condition;
    task<void> work() override {
        auto held = (co_await condition_.acquire()).value();
        (co_await condition_.wait(held)).value();
        held.release().value();
    }
    bool happen() override {
        const auto held = others_.try_acquire().value();
        others_.notify().value();
        happened_ = true;
        return true;
    }
    void look() override {
        const auto left = memory_.waiters();
        has_notification_ = happened_ && !left.empty() && left.front() == victim;
    }
    task<void> check(bool killed) override {
        CHECK((killed || !has_notification_));
        return check_goes_on(has_notification_);
    }

 private:
    bool happened_ = false;
    bool has_notification_ = false;
};

/// The victim waits for what somebody says before he notifies.
class listening : public at_condition {
 public:
    using at_condition::at_condition;
    task<void> work() override {
        auto held = (co_await condition_.acquire()).value();
        const auto is_said = [this] { return said_.load(); };
        (co_await condition_.wait_for(held, is_said)).value();
    }
    bool happen() override {
        auto held = others_.try_acquire();
        if (!held || !said_.try_store(true)) return false;
        return others_.notify() && held.value().release();
    }
    task<void> check(bool) override { co_return; }

 private:
    coproc::shared_value<bool> said_ = coproc::shared_value<bool>::create(false).value();
};

/// How many meet; whether the other one has come before the victim, or comes when that is asleep;
/// and whether a third one, who never sleeps, comes then, too.
struct setting {
    const char* name;
    std::size_t parties;
    bool other_is_first;
    bool third_comes;
};

const setting settings[] = {
    {"come last", 2, true, false},
    {"come first", 2, false, false},
    {"come between", 3, true, true},
};

class meeting : public scene {
 public:
    meeting(runtime& home, const setting& how)
        : scene(home),
          how_(how),
          barrier_(barrier::create(how.parties).value()),
          others_(opened_again(barrier_)),
          other_is_in_(how.other_is_first) {
        if (other_is_in_) enter_other();
    }
    task<void> work() override { (co_await barrier_.wait()).value(); }
    bool happen() override {
        other_is_in_ = true;
        return !how_.third_comes || arrive();
    }
    void look() override {
        const std::size_t others = other_is_in_ ? 1 : 0;
        is_complete_ = other_is_in_ && barrier_.waiting() == 0;
        victim_waits_ = barrier_.waiting() > others;
    }
    task<void> check(bool killed) override {
        CHECK((killed || is_complete_));
        CHECK(barrier_.broken() == (is_complete_ || victim_waits_));
        if (!is_complete_ && !victim_waits_) co_await come(how_.parties - 1);
        const std::string told = co_await outcome_of_other();
        CHECK(told == (victim_waits_ ? "broken" : "passed"));
        barrier_.reset().value();
        co_await come(how_.parties);
        CHECK(barrier_.waiting() == 0);
    }

 private:
    task<result<std::string>> other() override {
        const auto index = co_await others_.wait();
        if (!index && index.error() == errc::broken_barrier) co_return std::string("broken");
        COPROC_CO_TRY(index);
        co_return std::string("passed");
    }
    bool arrive() const {
        coproc::encoder handles;
        handles.put(barrier_);
        auto file = coproc::system::duplicate(handles.fds().back()).value();
        const auto third = barrier_object::open(std::move(file)).value();
        barrier_object::arrival his;
        const auto made = third->arrive(his);
        return made && made.value() == coproc::detail::progress::done;
    }
    /// So many more come, and go on.
    task<void> come(std::size_t count) {
        const auto rt = co_await coproc::current_runtime();
        std::vector<coproc::spawned<result<std::size_t>>> all;
        for (std::size_t i = 0; i < count; ++i) all.push_back(rt.spawn(barrier_.wait()));
        for (auto& one : all) {
            const auto passed = co_await coproc::timeout(10s, std::move(one));
            CHECK(passed.has_value());
        }
    }

    const setting& how_;
    barrier barrier_;
    barrier others_;
    bool other_is_in_;
    bool is_complete_ = false;
    bool victim_waits_ = false;
};

}  // namespace

TEST_CASE("condition: one who is to ring is killed at any instruction",
          "[condition][process][long]") {
    kill_in("notify", [](runtime& home) { return std::make_unique<notifying>(home); });
}

TEST_CASE("condition: one who waits is killed at any instruction", "[condition][process][long]") {
    kill_in("wait", [](runtime& home) { return std::make_unique<waiting>(home); });
}

TEST_CASE("condition: what is said while one is about to sleep is not slept through",
          "[condition][process][long]") {
    surprise_in([](runtime& home) { return std::make_unique<listening>(home); });
}

TEST_CASE("barrier: one who waits, or is to ring, is killed at any instruction",
          "[barrier][process][long]") {
    for (const setting& how : settings) {
        kill_in(how.name, [&](runtime& home) { return std::make_unique<meeting>(home, how); });
    }
}

TEST_CASE("barrier: who comes while one is about to sleep is not slept through",
          "[barrier][process][long]") {
    const setting how{"come last", 2, false, true};
    surprise_in([&](runtime& home) { return std::make_unique<meeting>(home, how); });
}
