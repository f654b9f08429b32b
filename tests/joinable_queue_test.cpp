#include <coproc/event.hpp>
#include <coproc/joinable_queue.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>

#include "shared/shared_object.hpp"
#include "support/co_test.hpp"
#include "support/contract.hpp"

#include <csignal>
#include <optional>
#include <set>
#include <string>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::joinable_queue;
using coproc::process;
using coproc::queue;
using coproc::result;
using coproc::task;

namespace {

class joining : public coproc::testing::operation_under_contract {
    task<void> set_up() override {
        queue_.emplace(joinable_queue<int>::create().value());
        (co_await queue_->put(1)).value();
    }
    task<result<void>> attempt() override { co_return co_await queue_->join(); }
    task<void> release() override {
        if (!queue_->try_get()) co_return;
        queue_->task_done().value();
    }
    task<void> tear_down() override {
        queue_.reset();
        co_return;
    }
    std::optional<joinable_queue<int>> queue_;
};
const coproc::testing::contract_row<joining> join_row("joinable_queue::join");

class leasing : public coproc::testing::operation_under_contract {
    task<void> set_up() override {
        queue_.emplace(joinable_queue<int>::create().value());
        co_return;
    }
    task<result<void>> attempt() override {
        COPROC_CO_TRY(auto job, co_await queue_->lease());
        co_return job.done();
    }
    task<void> release() override { (co_await queue_->put(1)).value(); }
    task<void> tear_down() override {
        queue_.reset();
        co_return;
    }
    std::optional<joinable_queue<int>> queue_;
};
const coproc::testing::contract_row<leasing> lease_row("joinable_queue::lease");

template <class T>
void check_fails(const result<T>& outcome, errc why) {
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error() == why);
}

}  // namespace

CO_TEST_CASE("joinable_queue: join waits until all that was put is done", "[queue]") {
    auto q = joinable_queue<std::string>::create().value();
    (co_await q.join()).value();
    (co_await q.put("one")).value();
    (co_await q.put(std::string(100'000, 'x'))).value();
    const auto rt = co_await coproc::current_runtime();
    const auto joined = rt.spawn(q.join());
    (co_await q.get()).value();
    (co_await q.get()).value();
    (co_await coproc::sleep_for(1ms)).value();
    CHECK_FALSE(joined.done());
    q.task_done().value();
    (co_await coproc::sleep_for(1ms)).value();
    CHECK_FALSE(joined.done());
    q.task_done().value();
    const auto end = co_await joined;
    CHECK(end.has_value());
    check_fails(q.task_done(), errc::too_many_releases);
}

CO_TEST_CASE("joinable_queue: a lease that is dropped goes back to the front", "[queue]") {
    auto q = joinable_queue<std::string>::create().value();
    const std::string large(50'000, 'y');
    (co_await q.put("first")).value();
    (co_await q.put(large)).value();
    (co_await q.put("third")).value();
    {
        const auto first = co_await q.lease();
        const auto second = co_await q.lease();
        CHECK(first.value().value() == "first");
        CHECK(second.value().value() == large);
    }
    CHECK(q.size() == 3);
    for (const std::string& expected : {std::string("first"), large, std::string("third")}) {
        auto again = co_await q.lease();
        CHECK(again.value().value() == expected);
        CHECK(again.value().returns() == (expected == "third" ? 0 : 1));
        again.value().done().value();
        check_fails(again.value().done(), errc::too_many_releases);
    }
    (co_await q.join()).value();
    CHECK(q.empty());
}

CO_TEST_CASE("joinable_queue: nobody cannot have died", "[queue]") {
    auto q = joinable_queue<int>::create().value();
    for (int i = 0; i < 3; ++i) (co_await q.put(i)).value();
    { const auto given_back = co_await q.lease(); }
    coproc::detail::repair_for(0, coproc::detail::ending::failed, nullptr);
    CHECK(q.size() == 3);
    for (int i = 0; i < 3; ++i) {
        const auto one = co_await q.get();
        CHECK(one.value() == i);
        q.task_done().value();
    }
    (co_await q.join()).value();
}

CO_TEST_CASE("joinable_queue: leases in any order and number give everything back", "[queue]") {
    auto q = joinable_queue<int>::create().value();
    for (int round = 0; round < 20; ++round) {
        std::vector<coproc::lease<int>> held;
        for (int i = 0; i < 3000; ++i) (co_await q.put(i)).value();
        for (int i = 0; i < 3000; ++i) {
            auto one = co_await q.lease();
            REQUIRE(one.value().value() == i);
            held.push_back(std::move(one).value());
        }
        for (std::size_t i = 0; i < held.size(); i += 2) held[i].done().value();
        for (std::size_t i = 1; i < held.size(); i += 2) held[i].done().value();
        (co_await q.join()).value();
    }
}

namespace {

task<void> take_and_hang(joinable_queue<std::string> q, coproc::event taken, int count) {
    for (int i = 0; i < count; ++i) (co_await q.get()).value();
    taken.set().value();
    (co_await coproc::sleep_for(24h)).value();
}
task<void> do_work(joinable_queue<int> jobs, queue<int> done) {
    for (;;) {
        auto job = co_await jobs.lease();
        if (!job) co_return;
        (co_await done.put(job.value().value())).value();
        job.value().done().value();
    }
}

}  // namespace

CO_TEST_CASE("joinable_queue: what a killed consumer had not done comes back, in order",
             "[queue][process]") {
    auto q = joinable_queue<std::string>::create().value();
    const std::string large(300'000, 'z');
    const std::string messages[] = {"a", large, "c", "d"};
    for (const std::string& one : messages) (co_await q.put(one)).value();
    const auto taken = coproc::event::create().value();
    process victim(take_and_hang, q, taken, 3);
    (co_await victim.start()).value();
    (co_await taken.wait()).value();
    CHECK(q.size() == 1);
    victim.kill().value();
    (co_await victim.join()).value();
    CHECK(q.size() == 4);
    for (const std::string& one : messages) {
        const auto got = co_await q.get();
        CHECK(got.value() == one);
        q.task_done().value();
    }
    (co_await q.join()).value();
}

CO_TEST_CASE("joinable_queue: every job is done although workers are killed all the time",
             "[queue][process]") {
    auto jobs = joinable_queue<int>::create().value();
    auto done = queue<int>::create().value();
    constexpr int count = 3000;
    for (int i = 0; i < count; ++i) (co_await jobs.put(i)).value();
    for (int kills = 0; kills < 15; ++kills) {
        process one(do_work, jobs, done);
        process other(do_work, jobs, done);
        (co_await one.start()).value();
        (co_await other.start()).value();
        (co_await coproc::sleep_for(std::chrono::milliseconds(kills))).value();
        one.kill().value();
        other.kill().value();
        (co_await one.join()).value();
        (co_await other.join()).value();
    }
    process last(do_work, jobs, done);
    (co_await last.start()).value();
    (co_await jobs.join()).value();
    jobs.close().value();
    (co_await last.join()).value();
    std::set<int> seen;
    while (const auto one = done.try_get()) seen.insert(one.value());
    CHECK(seen.size() == count);
}
