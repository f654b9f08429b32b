// Queues when a process dies at any instruction of waiting for them, or of waking who waits.

#include <coproc/joinable_queue.hpp>
#include <coproc/queue.hpp>

#include "shared/shared_object.hpp"
#include "support/catch.hpp"
#include "support/processes.hpp"
#include "support/scene.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

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

/// Some that go over the end of a block, one of them large.
const std::vector<std::string> batch{"0", '1' + std::string(4000, '.'),
                                     '2' + std::string(30'000, '.'), '3' + std::string(4000, '.'),
                                     "4"};
const std::vector<std::string> small_batch{"0", "1", "2", "3", "4"};

/// Are those the last ones of all, or the first?
bool is_end(const std::vector<std::string>& some, const std::vector<std::string>& all) {
    return some.size() <= all.size() && std::equal(some.rbegin(), some.rend(), all.rbegin());
}
bool is_beginning(const std::vector<std::string>& some, const std::vector<std::string>& all) {
    return some.size() <= all.size() && std::equal(some.begin(), some.end(), all.begin());
}

/// The victim puts many, for the first of which another one is asleep.
class putting_many : public scene {
 public:
    putting_many(runtime& home, const std::vector<std::string>& all)
        : scene(home), others_(opened_again(queue_)), all_(all) {
        enter_other();
    }
    task<void> work() override { (co_await queue_.put_all(all_)).value(); }
    void look() override {
        coproc::detail::repair_for(victim, coproc::detail::ending::failed, nullptr);
        count_ = queue_.size();
    }
    task<void> check(bool killed) override {
        CHECK((killed || count_ == all_.size()));
        if (count_ == 0) queue_.try_put(first).value();
        std::string taken = co_await outcome_of_other();
        std::vector<std::string> got;
        got.push_back(std::move(taken));
        while (auto next = queue_.try_get()) got.push_back(std::move(next).value());
        if (count_ == 0) {
            CHECK(got == std::vector<std::string>{first});
        } else {
            CHECK(got.size() == count_);
            CHECK(is_beginning(got, all_));
        }
    }

 private:
    task<result<std::string>> other() override { return others_.get(); }
    queue<std::string> queue_ = queue<std::string>::create().value();
    queue<std::string> others_;
    const std::vector<std::string>& all_;
    std::size_t count_ = 0;
};

/// The victim gets many, for whose room another one is asleep. The small ones are taken all or
/// none, with a large one among them from the first on; leased ones come back.
template <class Queue>
class getting_many : public scene {
    static constexpr bool leases = std::is_same_v<Queue, joinable_queue<std::string>>;

 public:
    getting_many(runtime& home, const std::vector<std::string>& all)
        : scene(home),
          queue_(Queue::create({.max_size = all.size()}).value()),
          others_(opened_again(queue_)),
          all_(all) {
        for (const std::string& one : all) queue_.try_put(one).value();
        enter_other();
    }
    task<void> work() override {
        const auto some = co_await queue_.get_some(all_.size());
        some.value();
    }
    void look() override {
        coproc::detail::repair_for(victim, coproc::detail::ending::failed, nullptr);
        left_ = queue_.size();
    }
    task<void> check(bool killed) override {
        CHECK((killed || left_ == (leases ? all_.size() : 0)));
        std::vector<std::string> got;
        for (; got.size() < left_; end_lease()) got.push_back(queue_.try_get().value());
        CHECK(is_end(got, all_));
        if (leases) CHECK(got == all_);
        if (&all_ == &small_batch) CHECK((got.empty() || got == all_));
        co_await outcome_of_other();
        CHECK(queue_.try_get().value() == second);
        end_lease();
        CHECK(queue_.empty());
        if constexpr (leases) {
            const auto joined = co_await coproc::timeout(10s, queue_.join());
            CHECK(joined.has_value());
        }
    }

 private:
    void end_lease() {
        if constexpr (leases) queue_.task_done().value();
    }
    task<result<std::string>> other() override {
        COPROC_CO_TRY(co_await others_.put(second));
        co_return std::string();
    }
    Queue queue_;
    Queue others_;
    const std::vector<std::string>& all_;
    std::size_t left_ = 0;
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

TEST_CASE("queue: one who puts many is killed at any instruction", "[queue][process][long]") {
    kill_in<putting_many>("small", std::cref(small_batch));
    kill_in<putting_many>("one is large", std::cref(batch));
}

TEST_CASE("queue: one who gets many is killed at any instruction", "[queue][process][long]") {
    kill_in<getting_many<queue<std::string>>>("small", std::cref(small_batch));
    kill_in<getting_many<queue<std::string>>>("one is large", std::cref(batch));
    kill_in<getting_many<joinable_queue<std::string>>>("leased", std::cref(batch));
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
