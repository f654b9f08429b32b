// Queues when a process dies at any instruction of waiting for them, or of waking who waits.

#include <coproc/joinable_queue.hpp>
#include <coproc/queue.hpp>

#include "shared/shared_object.hpp"
#include "support/catch.hpp"
#include "support/processes.hpp"
#include "support/scene.hpp"

#include <functional>
#include <memory>
#include <string>

using namespace std::chrono_literals;
using coproc::joinable_queue;
using coproc::queue;
using coproc::result;
using coproc::runtime;
using coproc::task;
using coproc::testing::eventually;
using coproc::testing::scene;
using coproc::testing::victim;

namespace {

/// One that arrives, or one that is to follow it.
const std::string first = "first";
const std::string second = "second";
const std::string large_first = first + std::string(30'000, '.');

/// The victim and the other one wait for a message. Only the victim may take the first one to its
/// grave.
class getting : public scene {
 public:
    getting(runtime& home, std::string message)
        : scene(home), others_(opened_again(queue_)), message_(std::move(message)) {}
    task<void> work() override { (co_await queue_.get()).value(); }
    bool happen() override { return others_.try_put(message_).has_value(); }
    task<void> check(bool killed) override {
        const bool arrived = co_await eventually([this] { return queue_.empty(); });
        CHECK(arrived);
        queue_.try_put(second).value();
        const std::string got = co_await outcome_of_other();
        CHECK((got == second || (killed && got == message_)));
        if (got == message_) CHECK(queue_.try_get().value() == second);
        CHECK(queue_.empty());
    }

 private:
    task<result<std::string>> other() override { return others_.get(); }
    queue<std::string> queue_ = queue<std::string>::create().value();
    queue<std::string> others_;
    std::string message_;
};

/// The same with leases: the first one is done in any case.
class leasing : public scene {
 public:
    leasing(runtime& home, std::string message)
        : scene(home), others_(opened_again(queue_)), message_(std::move(message)) {}
    task<void> work() override {
        auto taken = (co_await queue_.lease()).value();
        taken.done().value();
    }
    bool happen() override { return others_.try_put(message_).has_value(); }
    void look() override {
        coproc::detail::repair_for(victim, coproc::detail::ending::failed, nullptr);
    }
    task<void> check(bool killed) override {
        const bool arrived = co_await eventually([this] { return queue_.empty(); });
        CHECK(arrived);
        queue_.try_put(second).value();
        const std::string got = co_await outcome_of_other();
        CHECK((got == second || (killed && got == message_)));
        if (got == message_) {
            CHECK(queue_.try_get().value() == second);
            queue_.task_done().value();
        }
        const auto joined = co_await coproc::timeout(10s, queue_.join());
        CHECK(joined.has_value());
    }

 private:
    task<result<std::string>> other() override {
        COPROC_CO_TRY(auto taken, co_await others_.lease());
        COPROC_CO_TRY(taken.done());
        co_return std::move(taken.value());
    }
    joinable_queue<std::string> queue_ = joinable_queue<std::string>::create().value();
    joinable_queue<std::string> others_;
    std::string message_;
};

/// The victim and the other one wait for room.
class putting : public scene {
 public:
    putting(runtime& home, std::string message)
        : scene(home), others_(opened_again(queue_)), message_(std::move(message)) {
        others_.try_put("in the way").value();
    }
    task<void> work() override { (co_await queue_.put(message_)).value(); }
    bool happen() override {
        happened_ = others_.try_get().has_value();
        return happened_;
    }
    task<void> check(bool killed) override {
        if (!happened_) happen();
        const bool arrived = co_await eventually([this] { return queue_.size() == 1; });
        REQUIRE(arrived);
        const std::string got = queue_.try_get().value();
        CHECK((got == message_ || (killed && got == second)));
        co_await outcome_of_other();
        if (got == message_) CHECK(queue_.try_get().value() == second);
        CHECK(queue_.empty());
        CHECK(queue_.try_put(large_first).has_value());
    }

 private:
    task<result<std::string>> other() override {
        COPROC_CO_TRY(co_await others_.put(second));
        co_return std::string();
    }
    queue<std::string> queue_ = queue<std::string>::create({.max_size = 1}).value();
    queue<std::string> others_;
    std::string message_;
    bool happened_ = false;
};

/// The other one is asleep before, and what the victim does rings for it.
struct ring {
    const char* name;
    task<void> (*work)(joinable_queue<std::string> q);
    task<result<void>> (*other)(joinable_queue<std::string> q);
    bool (*has_happened)(joinable_queue<std::string> q);
    bool is_full;
};

const ring rings[] = {
    {"put rings a consumer",
     [](joinable_queue<std::string> q) -> task<void> { (co_await q.put(first)).value(); },
     [](joinable_queue<std::string> q) -> task<result<void>> {
         COPROC_CO_TRY(auto taken, co_await q.lease());
         co_return taken.done();
     },
     [](joinable_queue<std::string> q) { return !q.empty(); }, false},
    {"get rings a producer",
     [](joinable_queue<std::string> q) -> task<void> {
         auto taken = (co_await q.lease()).value();
         taken.done().value();
     },
     [](joinable_queue<std::string> q) -> task<result<void>> { return q.put(second); },
     [](joinable_queue<std::string> q) { return !q.full(); }, true},
    {"done rings a joiner",
     [](joinable_queue<std::string> q) -> task<void> {
         auto taken = (co_await q.lease()).value();
         taken.done().value();
     },
     [](joinable_queue<std::string> q) { return q.join(); },
     [](joinable_queue<std::string> q) { return q.empty(); }, true},
    {"close rings everybody",
     [](joinable_queue<std::string> q) -> task<void> {
         q.close().value();
         co_return;
     },
     [](joinable_queue<std::string> q) -> task<result<void>> {
         const auto none = co_await q.get();
         if (!none && none.error() == coproc::errc::closed) co_return coproc::success();
         co_return coproc::errc::bad_message;
     },
     [](joinable_queue<std::string> q) { return q.try_get().error() == coproc::errc::closed; },
     false},
};

class ringing : public scene {
 public:
    ringing(runtime& home, const ring& what)
        : scene(home), others_(opened_again(queue_)), what_(what) {
        if (what.is_full) queue_.try_put(first).value();
        enter_other();
    }
    task<void> work() override { return what_.work(queue_); }
    void look() override {
        coproc::detail::repair_for(victim, coproc::detail::ending::failed, nullptr);
        happened_ = what_.has_happened(queue_);
    }
    task<void> check(bool killed) override {
        CHECK((killed || happened_));
        if (!happened_) co_await what_.work(queue_);
        co_await outcome_of_other();
    }

 private:
    task<result<std::string>> other() override {
        COPROC_CO_TRY(co_await what_.other(others_));
        co_return std::string();
    }
    joinable_queue<std::string> queue_ =
        joinable_queue<std::string>::create({.max_size = 1}).value();
    joinable_queue<std::string> others_;
    const ring& what_;
    bool happened_ = false;
};

template <class Scene, class Setting>
void kill_in(const char* name, Setting setting) {
    coproc::testing::kill_in(name,
                             [&](runtime& home) { return std::make_unique<Scene>(home, setting); });
}

}  // namespace

TEST_CASE("queue: a sleeping consumer is killed at any instruction", "[queue][process][long]") {
    kill_in<getting>("small", first);
    kill_in<getting>("large", large_first);
    kill_in<leasing>("leased", first);
    kill_in<leasing>("leased, large", large_first);
}

TEST_CASE("queue: a sleeping producer is killed at any instruction", "[queue][process][long]") {
    kill_in<putting>("small", first);
    kill_in<putting>("large", large_first);
}

TEST_CASE("queue: one who is to ring is killed at any instruction", "[queue][process][long]") {
    for (const ring& one : rings) kill_in<ringing>(one.name, std::cref(one));
}

TEST_CASE("queue: what happens while one is about to sleep is not slept through",
          "[queue][process][long]") {
    coproc::testing::surprise_in(
        [](runtime& home) { return std::make_unique<getting>(home, first); });
    coproc::testing::surprise_in(
        [](runtime& home) { return std::make_unique<putting>(home, first); });
}
