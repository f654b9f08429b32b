#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/scope.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_any.hpp>

#include "support/co_test.hpp"
#include "support/contract.hpp"
#include "words/system.hpp"

#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using coproc::connection;
using coproc::errc;
using coproc::event;
using coproc::process;
using coproc::result;
using coproc::task;

namespace {

event made() { return event::create().value(); }

class waiting_for_event : public coproc::testing::operation_under_contract {
    task<void> set_up() override {
        event_ = made();
        co_return;
    }
    task<result<void>> attempt() override {
        COPROC_CO_TRY(co_await event_->wait());
        co_return event_->clear();
    }
    task<void> release() override {
        event_->set().value();
        co_return;
    }
    task<void> tear_down() override {
        event_.reset();
        co_return;
    }
    const char* start_call() const override { return "uv_poll_init"; }
    std::optional<event> event_;
};
const coproc::testing::contract_row<waiting_for_event> wait_row("event::wait");

task<void> count_when_set(event e, int& woken) {
    (co_await e.wait()).value();
    ++woken;
}

/// Lets everything else go as far as it can.
task<void> turns() {
    for (int i = 0; i < 3; ++i) (co_await coproc::sleep_for(1us)).value();
}

}  // namespace

CO_TEST_CASE("event: a new one is not set, and set and clear are seen by its copies", "[event]") {
    const event one = made();
    const event copy = one;
    CHECK_FALSE(copy.is_set());
    one.set().value();
    CHECK(copy.is_set());
    CHECK(one.is_set());
    copy.clear().value();
    CHECK_FALSE(one.is_set());
    copy.clear().value();
    CHECK_FALSE(one.is_set());
    co_return;
}

CO_TEST_CASE("event: two events have nothing to do with each other", "[event]") {
    const event one = made();
    const event other = made();
    one.set().value();
    CHECK_FALSE(other.is_set());
    const auto waited = co_await coproc::timeout(1ms, other.wait());
    REQUIRE_FALSE(waited.has_value());
    CHECK(waited.error() == errc::timed_out);
}

CO_TEST_CASE("event: one that is set lets through at once, and stays set", "[event]") {
    const event e = made();
    e.set().value();
    bool others_ran = false;
    const auto other = [&]() -> task<void> {
        others_ran = true;
        co_return;
    };
    const auto rt = co_await coproc::current_runtime();
    const auto spawned = rt.spawn(other());
    (co_await e.wait()).value();
    (co_await e.wait()).value();
    CHECK_FALSE(others_ran);
    CHECK(e.is_set());
    (co_await spawned).value();
}

CO_TEST_CASE("event: setting it a hundred thousand times is setting it once", "[event]") {
    const event e = made();
    for (int i = 0; i < 100'000; ++i) e.set().value();
    e.clear().value();
    CHECK_FALSE(e.is_set());
    const auto waited = co_await coproc::timeout(1ms, e.wait());
    REQUIRE_FALSE(waited.has_value());
    CHECK(waited.error() == errc::timed_out);
}

CO_TEST_CASE("event: a thousand tasks that wait for it all wake, once each", "[event]") {
    const event e = made();
    int woken = 0;
    const auto body = [&](coproc::scope& s) -> task<result<void>> {
        for (int i = 0; i < 1000; ++i) s.spawn(count_when_set(e, woken));
        co_await turns();
        CHECK(woken == 0);
        e.set().value();
        co_return coproc::success();
    };
    (co_await coproc::with_scope(body)).value();
    CHECK(woken == 1000);
}

CO_TEST_CASE("event: after clear whoever comes waits for the next set", "[event]") {
    const event e = made();
    for (int round = 0; round < 1000; ++round) {
        int woken = 0;
        const auto body = [&](coproc::scope& s) -> task<result<void>> {
            s.spawn(count_when_set(e, woken));
            s.spawn(count_when_set(e, woken));
            (co_await coproc::yield()).value();
            CHECK(woken == 0);
            co_return e.set();
        };
        (co_await coproc::with_scope(body)).value();
        CHECK(woken == 2);
        e.clear().value();
    }
}

CO_TEST_CASE("event: a waiter that gives up takes nothing from the others", "[event]") {
    const event e = made();
    int woken = 0;
    const auto rt = co_await coproc::current_runtime();
    std::vector<coproc::spawned<void>> patient;
    for (int i = 0; i < 3; ++i) patient.push_back(rt.spawn(count_when_set(e, woken)));
    const auto gave_up = co_await coproc::timeout(1ms, e.wait());
    REQUIRE_FALSE(gave_up.has_value());
    CHECK(gave_up.error() == errc::timed_out);
    CHECK(woken == 0);
    e.set().value();
    for (const auto& one : patient) (co_await one).value();
    CHECK(woken == 3);
}

CO_TEST_CASE("event: the loser of when_any loses nothing, because nothing is consumed", "[event]") {
    const event first = made();
    const event second = made();
    first.set().value();
    second.set().value();
    const auto won = co_await coproc::when_any(first.wait(), second.wait());
    CHECK(won.index() == 0);
    CHECK(first.is_set());
    CHECK(second.is_set());
}

CO_TEST_CASE("event: a wait outlives the object that it was begun with", "[event]") {
    std::optional<event> short_lived = made();
    const event copy = *short_lived;
    const auto rt = co_await coproc::current_runtime();
    const auto waiting = rt.spawn(short_lived->wait());
    (co_await coproc::yield()).value();
    short_lived.reset();
    co_await turns();
    CHECK_FALSE(waiting.done());
    copy.set().value();
    (co_await waiting).value();
}

CO_TEST_CASE("event: sent over a connection it is the same event", "[event]") {
    auto [ours, theirs] = coproc::pipe().value();
    const event e = made();
    (co_await ours.send(e)).value();
    const event received = (co_await theirs.recv<event>()).value();
    CHECK_FALSE(received.is_set());
    e.set().value();
    CHECK(received.is_set());
    (co_await received.wait()).value();
    received.clear().value();
    CHECK_FALSE(e.is_set());

    std::vector<event> many{e, e, made()};
    (co_await ours.send(many)).value();
    const auto got = (co_await theirs.recv<std::vector<event>>()).value();
    REQUIRE(got.size() == 3);
    got[0].set().value();
    CHECK(got[1].is_set());
    CHECK_FALSE(got[2].is_set());
}

CO_TEST_CASE("event: what is not an eventfd is refused on arrival", "[event]") {
    coproc::encoder out;
    const auto other = coproc::system::socket_pair().value();
    out.attach(other[0].get());
    std::vector<coproc::detail::unique_fd> fds;
    fds.push_back(coproc::system::duplicate(other[0].get()).value());
    coproc::decoder in(out.bytes(), std::move(fds));
    const auto taken = coproc::codec<event>::decode(in);
    REQUIRE_FALSE(taken.has_value());
    CHECK(taken.error() == errc::bad_message);

    coproc::decoder nothing(out.bytes());
    const auto missing = coproc::codec<event>::decode(nothing);
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error() == errc::bad_message);
    co_return;
}

CO_TEST_CASE("event: one from a peer that made it blocking does not block the loop", "[event]") {
    std::vector<coproc::detail::unique_fd> fds;
    fds.emplace_back(::eventfd(0, EFD_CLOEXEC));
    coproc::decoder in({}, std::move(fds));
    const event e = coproc::codec<event>::decode(in).value();
    e.clear().value();
    CHECK_FALSE(e.is_set());
    co_return;
}

// -- between processes

namespace {

/// Tells the parent that it is there, waits with three tasks, tells how many woke.
task<int> wait_with_three_tasks(event go, connection parent) {
    (co_await parent.send(0)).value();
    int woken = 0;
    const auto body = [&](coproc::scope& s) -> task<result<void>> {
        for (int i = 0; i < 3; ++i) s.spawn(count_when_set(go, woken));
        co_return coproc::success();
    };
    (co_await coproc::with_scope(body)).value();
    (co_await parent.send(woken)).value();
    co_return 0;
}

void set_it(const event& e) { e.set().value(); }

task<int> answer_each(event question, event answer, int rounds) {
    for (int i = 0; i < rounds; ++i) {
        (co_await question.wait()).value();
        question.clear().value();
        answer.set().value();
    }
    co_return 0;
}

}  // namespace

CO_TEST_CASE("event: children that wait for it all wake, each with all of its tasks",
             "[event][process]") {
    const event go = made();
    std::vector<process> children;
    std::vector<connection> pipes;
    for (int i = 0; i < 4; ++i) {
        auto [ours, theirs] = coproc::pipe().value();
        children.emplace_back(wait_with_three_tasks, go, std::move(theirs));
        pipes.push_back(std::move(ours));
        (co_await children.back().start()).value();
    }
    for (auto& pipe : pipes) {
        const int there = (co_await pipe.recv<int>()).value();
        CHECK(there == 0);
    }
    go.set().value();
    for (auto& pipe : pipes) {
        const int woken = (co_await pipe.recv<int>()).value();
        CHECK(woken == 3);
    }
    for (auto& child : children) {
        const auto status = (co_await child.join()).value();
        CHECK(status.code() == 0);
    }
    CHECK(go.is_set());
}

CO_TEST_CASE("event: a child sets it, the parent wakes", "[event][process]") {
    const event e = made();
    process child(set_it, e);
    (co_await child.start()).value();
    (co_await e.wait()).value();
    CHECK(e.is_set());
    (co_await child.join()).value();
}

CO_TEST_CASE("event: two of them make a conversation of 2000 turns", "[event][process]") {
    const event question = made();
    const event answer = made();
    process child(answer_each, question, answer, 2000);
    (co_await child.start()).value();
    for (int i = 0; i < 2000; ++i) {
        question.set().value();
        (co_await answer.wait()).value();
        answer.clear().value();
    }
    const auto status = (co_await child.join()).value();
    CHECK(status.code() == 0);
}

// -- the system refuses

namespace {

constinit int calls_until_refusal = -1;
constinit int refusal = 0;

int refuse_nth(const char*) noexcept { return calls_until_refusal-- == 0 ? refusal : 0; }

}  // namespace

CO_TEST_CASE("event: whichever system call fails, and however, the answer is a result", "[event]") {
    for (const int why : {EMFILE, ENOMEM, EAGAIN, EINTR, EBADF}) {
        int refused = 0;
        for (int nth = 0;; ++nth) {
            const event wakes = made();
            wakes.set().value();
            refusal = why;
            calls_until_refusal = nth;
            coproc::system::set_fault_hook(&refuse_nth);
            auto e = event::create();
            result<void> set = e ? e.value().set() : result<void>(e.error());
            result<void> cleared = e ? e.value().clear() : result<void>(e.error());
            // Not set: a wait has to poll, and the time-out has to end it.
            result<void> waited = errc::not_started;
            if (e) waited = co_await coproc::timeout(0ms, e.value().wait());
            coproc::system::set_fault_hook(nullptr);
            if (calls_until_refusal >= 0) break;
            ++refused;
            if (!e) {
                CHECK((e.error() == std::error_code(why, std::system_category()) ||
                       e.error() == errc::would_block));
                continue;
            }
            const bool a_failure_is_told =
                !set || !cleared || (!waited && waited.error() != errc::timed_out);
            // An EAGAIN of read means that there was nothing to clear.
            CHECK((a_failure_is_told || why == EAGAIN));
        }
        CHECK(refused == 4);  // eventfd, write, read, uv_poll_init
    }
}
