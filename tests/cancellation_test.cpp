#include <coproc/detail/wait_list.hpp>
#include <coproc/offload.hpp>
#include <coproc/readiness.hpp>
#include <coproc/scope.hpp>
#include <coproc/shield.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_all.hpp>

#include "support/co_test.hpp"
#include "words/system.hpp"

#include <algorithm>
#include <string>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::result;
using coproc::task;
using coproc::detail::cancel_scope;
using coproc::detail::wait_list;

namespace {

task<result<void>> for_ever() { co_return co_await coproc::sleep_for(24h); }

/// Awaits in `scope`.
task<result<void>> for_ever_in(cancel_scope& scope) {
    co_await coproc::detail::enter_scope(scope);
    co_return co_await coproc::sleep_for(24h);
}

/// Cancels inside a libuv callback.
class cancel_on_time : public coproc::detail::alarm {
 public:
    explicit cancel_on_time(coproc::spawned<result<void>>& handle) noexcept
        : alarm([](alarm& self) noexcept { static_cast<cancel_on_time&>(self).handle_->cancel(); }),
          handle_(&handle) {}

 private:
    coproc::spawned<result<void>>* handle_;
};

task<result<void>> turns(int count) {
    for (int i = 0; i < count; ++i) {
        COPROC_CO_TRY(co_await coproc::yield());
    }
    co_return coproc::success();
}

}  // namespace

CO_TEST_CASE("cancellation: every await after a cancel fails at once", "[cancellation]") {
    const auto ends = coproc::system::socket_pair().value();
    wait_list open;
    open.open();
    cancel_scope canceled(co_await coproc::detail::current_scope());
    cancel_scope& outer = co_await coproc::detail::enter_scope(canceled);
    canceled.cancel();
    for (int i = 0; i < 3; ++i) {
        const auto slept = co_await coproc::sleep_for(0s);
        const auto yielded = co_await coproc::yield();
        const auto opened = co_await open.wait();
        const auto readable = co_await coproc::wait_writable(ends[0].get());
        const auto worked = co_await coproc::offload([] {});
        const auto limited = co_await coproc::timeout(1h, coproc::sleep_for(0s));
        CHECK(slept.error() == errc::canceled);
        CHECK(yielded.error() == errc::canceled);
        CHECK(opened.error() == errc::canceled);
        CHECK(readable.error() == errc::canceled);
        CHECK(worked.error() == errc::canceled);
        CHECK(limited.error() == errc::canceled);
    }
    co_await coproc::detail::enter_scope(outer);
    const auto again = co_await coproc::yield();
    CHECK(again.has_value());
}

CO_TEST_CASE("cancellation: reaches down through tasks, scopes, when_all and timeouts",
             "[cancellation]") {
    std::string order;
    const auto leaf = [&](char name) -> task<result<void>> {
        auto slept = co_await for_ever();
        order += name;
        co_return slept;
    };
    const auto tree = [&]() -> task<result<void>> {
        auto done = co_await coproc::with_scope([&](coproc::scope& s) -> task<result<void>> {
            s.spawn(leaf('a'));
            s.spawn(coproc::timeout(1h, leaf('b')));
            s.spawn(coproc::when_all(leaf('c'), leaf('d')));
            co_return co_await leaf('e');
        });
        co_return done;
    };
    const auto rt = co_await coproc::current_runtime();
    auto running = rt.spawn(tree());
    (co_await turns(5)).value();
    running.cancel();
    const auto done = co_await running;
    CHECK(done.error() == errc::canceled);
    std::sort(order.begin(), order.end());
    CHECK(order == "abcde");
}

CO_TEST_CASE("cancellation: of an inner scope leaves the outer one alone", "[cancellation]") {
    cancel_scope outer(co_await coproc::detail::current_scope());
    cancel_scope inner(outer);
    cancel_scope sibling(outer);
    inner.cancel();
    CHECK(inner.is_canceled());
    CHECK_FALSE(outer.is_canceled());
    CHECK_FALSE(sibling.is_canceled());
    const auto in_inner = co_await for_ever_in(inner);
    const auto in_outer = co_await coproc::yield();
    CHECK(in_inner.error() == errc::canceled);
    CHECK(in_outer.has_value());
}

CO_TEST_CASE("cancellation: of an outer scope reaches those within, also later ones",
             "[cancellation]") {
    cancel_scope outer(co_await coproc::detail::current_scope());
    cancel_scope inner(outer);
    cancel_scope shielded(outer, cancel_scope::shielded::yes);
    cancel_scope below_shield(shielded);
    outer.cancel();
    const cancel_scope later(inner);
    CHECK(inner.is_canceled());
    CHECK(later.is_canceled());
    CHECK_FALSE(shielded.is_canceled());
    CHECK_FALSE(below_shield.is_canceled());
    shielded.cancel();
    CHECK(below_shield.is_canceled());
}

CO_TEST_CASE("cancellation: a shield keeps it away, as long as it lasts", "[cancellation]") {
    std::string order;
    wait_list saved;
    const auto save = [&]() -> task<result<void>> {
        const auto inside = co_await coproc::shield(saved.wait());
        order += inside ? "saved " : "canceled ";
        auto after = co_await coproc::yield();
        order += after ? "went on" : "canceled";
        co_return after;
    };
    const auto rt = co_await coproc::current_runtime();
    auto saving = rt.spawn(save());
    (co_await turns(1)).value();
    saving.cancel();
    (co_await turns(3)).value();
    CHECK_FALSE(saving.done());
    saved.wake_one();
    const auto done = co_await saving;
    CHECK(done.error() == errc::canceled);
    CHECK(order == "saved canceled");
}

CO_TEST_CASE("cancellation: a shield gives values, exceptions and references on",
             "[cancellation]") {
    int here = 1;
    const auto same = [](int& value) -> task<int&> { co_return value; };
    const auto refuse = []() -> task<int> {
        const result<int> failed = errc::closed;
        co_return failed.value();
    };
    int& there = co_await coproc::shield(same(here));
    std::error_code code;
    try {
        co_await coproc::shield(refuse());
    } catch (const std::system_error& thrown) {
        code = thrown.code();
    }
    CHECK(&there == &here);
    CHECK(code == errc::closed);
}

CO_TEST_CASE("cancellation: a timeout inside a shield still ends it", "[cancellation]") {
    const auto shielded = []() -> task<result<void>> {
        co_return co_await coproc::shield(coproc::timeout(1ms, coproc::sleep_for(24h)));
    };
    const auto rt = co_await coproc::current_runtime();
    auto running = rt.spawn(shielded());
    (co_await turns(1)).value();
    running.cancel();
    const auto done = co_await running;
    CHECK(done.error() == errc::timed_out);
}

CO_TEST_CASE("cancellation: from a callback of the loop", "[cancellation]") {
    const auto rt = co_await coproc::current_runtime();
    auto posted = rt.spawn(for_ever());
    auto rung = rt.spawn(for_ever());
    (co_await turns(1)).value();
    rt.post([&] { posted.cancel(); });
    const auto by_post = co_await posted;
    cancel_on_time alarm(rung);
    alarm.start(rt.home(), coproc::clock::now());
    const auto by_alarm = co_await rung;
    CHECK(by_post.error() == errc::canceled);
    CHECK(by_alarm.error() == errc::canceled);
}

CO_TEST_CASE("cancellation: what has finished before it stays finished", "[cancellation]") {
    wait_list list;
    const auto wait = [&]() -> task<result<void>> { co_return co_await list.wait(); };
    const auto rt = co_await coproc::current_runtime();
    auto woken = rt.spawn(wait());
    (co_await turns(1)).value();
    // Woken and canceled before it can run.
    CHECK(list.wake_one());
    woken.cancel();
    const auto outcome = co_await woken;
    CHECK(outcome.has_value());
}

CO_TEST_CASE("cancellation: a waiter that was canceled takes no wake-up from the next",
             "[cancellation]") {
    wait_list list;
    const auto wait = [&]() -> task<result<void>> { co_return co_await list.wait(); };
    const auto rt = co_await coproc::current_runtime();
    auto first = rt.spawn(wait());
    const auto second = rt.spawn(wait());
    (co_await turns(1)).value();
    first.cancel();
    CHECK(list.wake_one());
    CHECK_FALSE(list.wake_one());
    const auto canceled = co_await first;
    const auto woken = co_await second;
    CHECK(canceled.error() == errc::canceled);
    CHECK(woken.has_value());
}

CO_TEST_CASE("cancellation: resumes a waiter once, however often it is asked for",
             "[cancellation]") {
    int resumed = 0;
    const auto wait = [&]() -> task<void> {
        const auto slept = co_await for_ever();
        CHECK_FALSE(slept.has_value());
        ++resumed;
    };
    const auto rt = co_await coproc::current_runtime();
    auto waiting = rt.spawn(wait());
    (co_await turns(1)).value();
    for (int i = 0; i < 3; ++i) waiting.cancel();
    (co_await waiting).value();
    waiting.cancel();
    CHECK(resumed == 1);
}

CO_TEST_CASE("cancellation: resumes nobody before the canceler waits itself", "[cancellation]") {
    std::string order;
    const auto wait = [&]() -> task<void> {
        const auto slept = co_await for_ever();
        order += slept ? "slept" : "canceled";
    };
    const auto rt = co_await coproc::current_runtime();
    auto waiting = rt.spawn(wait());
    (co_await turns(1)).value();
    waiting.cancel();
    order += "canceler ";
    (co_await waiting).value();
    CHECK(order == "canceler canceled");
}
