#include <coproc/scope.hpp>
#include <coproc/shield.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"

#include <memory>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::result;
using coproc::scope;
using coproc::task;

namespace {

/// Waits until it is canceled.
task<result<void>> for_ever() { co_return co_await coproc::sleep_for(24h); }

task<result<void>> note(std::string& order, const char* what) {
    order += what;
    co_return coproc::success();
}

task<result<int>> fail(errc why) {
    COPROC_CO_TRY(co_await coproc::yield());
    co_return why;
}

task<void> refuse() {
    (co_await coproc::yield()).value();
    throw std::runtime_error("refused");
}

task<void> family(scope& s, int generations, int& ended) {
    (co_await coproc::yield()).value();
    for (int i = 0; i < 2 && generations > 0; ++i) s.spawn(family(s, generations - 1, ended));
    ++ended;
}

}  // namespace

CO_TEST_CASE("scope: gives the body's value", "[scope]") {
    const auto number =
        co_await coproc::with_scope([](scope&) -> task<result<int>> { co_return 5; });
    const auto plain = co_await coproc::with_scope([](scope&) -> task<int> { co_return 6; });
    const auto nothing = co_await coproc::with_scope([](scope&) -> task<void> { co_return; });
    const auto pointer = co_await coproc::with_scope(
        [](scope&) -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); });
    static_assert(std::is_same_v<decltype(plain), const result<int>>);
    static_assert(std::is_same_v<decltype(nothing), const result<void>>);
    CHECK(number.value() == 5);
    CHECK(plain.value() == 6);
    CHECK(nothing.has_value());
    CHECK(*pointer.value() == 7);
}

CO_TEST_CASE("scope: has waited for its children when it returns", "[scope]") {
    int ended = 0;
    const auto child = [&](int yields) -> task<void> {
        for (int i = 0; i < yields; ++i) (co_await coproc::yield()).value();
        ++ended;
    };
    const auto done = co_await coproc::with_scope([&](scope& s) -> task<void> {
        for (int i = 0; i < 10; ++i) s.spawn(child(i));
        co_return;
    });
    CHECK(done.has_value());
    CHECK(ended == 10);
}

CO_TEST_CASE("scope: children take turns with each other and with the body", "[scope]") {
    std::string order;
    const auto child = [&](char name) -> task<void> {
        for (int i = 0; i < 2; ++i) {
            order += name;
            (co_await coproc::yield()).value();
        }
    };
    const auto done = co_await coproc::with_scope([&](scope& s) -> task<void> {
        s.spawn(child('a'));
        s.spawn(child('b'));
        co_await child('c');
    });
    CHECK(done.has_value());
    CHECK(order == "cabcab");
}

CO_TEST_CASE("scope: keeps a callable and its arguments alive until the child has ended",
             "[scope]") {
    std::string order;
    const auto done = co_await coproc::with_scope([&](scope& s) -> task<void> {
        for (const char* name : {"first ", "second "}) {
            const std::string text = name;
            s.spawn([text, &order]() -> task<void> {
                (co_await coproc::yield()).value();
                order += text;
            });
        }
        s.spawn(
            [&order](const std::string& text, std::unique_ptr<int> number) -> task<void> {
                (co_await coproc::yield()).value();
                order += text + std::to_string(*number);
            },
            "third ", std::make_unique<int>(4));
        co_return;
    });
    CHECK(done.has_value());
    CHECK(order == "first second third 4");
}

CO_TEST_CASE("scope: spawns functions and operations, too", "[scope]") {
    std::string order;
    const auto done = co_await coproc::with_scope([&](scope& s) -> task<void> {
        s.spawn(note, std::ref(order), "called");
        s.spawn(coproc::sleep_for(1us));
        co_return;
    });
    CHECK(done.has_value());
    CHECK(order == "called");
}

CO_TEST_CASE("scope: a child may spawn more children", "[scope]") {
    int ended = 0;
    const auto done = co_await coproc::with_scope([&](scope& s) -> task<void> {
        s.spawn(family(s, 3, ended));
        co_return;
    });
    CHECK(done.has_value());
    CHECK(ended == 15);
}

CO_TEST_CASE("scope: the first child that fails cancels the rest and is what the scope gives",
             "[scope]") {
    result<void> other = coproc::success();
    const auto done = co_await coproc::with_scope([&](scope& s) -> task<result<int>> {
        s.spawn([&]() -> task<void> { other = co_await for_ever(); });
        s.spawn(fail(errc::closed));
        s.spawn(fail(errc::truncated));
        COPROC_CO_TRY(co_await for_ever());
        co_return 1;
    });
    REQUIRE_FALSE(done.has_value());
    CHECK(done.error() == errc::closed);
    CHECK(other.error() == errc::canceled);
}

CO_TEST_CASE("scope: a body that fails cancels the children", "[scope]") {
    result<void> child = coproc::success();
    const auto done = co_await coproc::with_scope([&](scope& s) -> task<result<int>> {
        s.spawn([&]() -> task<void> { child = co_await for_ever(); });
        (co_await coproc::yield()).value();
        co_return errc::bad_message;
    });
    REQUIRE_FALSE(done.has_value());
    CHECK(done.error() == errc::bad_message);
    CHECK(child.error() == errc::canceled);
}

CO_TEST_CASE("scope: what a child throws cancels the rest and is thrown to whoever awaits it",
             "[scope]") {
    std::string what;
    bool ended = false;
    const auto other = [&]() -> task<void> {
        const auto slept = co_await for_ever();
        ended = !slept.has_value();
    };
    try {
        const auto done = co_await coproc::with_scope([&](scope& s) -> task<void> {
            s.spawn(other());
            s.spawn(refuse());
            co_return;
        });
    } catch (const std::runtime_error& thrown) {
        what = thrown.what();
    }
    CHECK(what == "refused");
    CHECK(ended);
}

CO_TEST_CASE("scope: what the body throws is thrown when the children have ended", "[scope]") {
    std::string order;
    const auto child = [&]() -> task<void> {
        const auto slept = co_await for_ever();
        order += slept ? "slept " : "canceled ";
        co_await coproc::shield([]() -> task<void> { (co_await coproc::yield()).value(); }());
        order += "ended ";
    };
    try {
        const auto done = co_await coproc::with_scope([&](scope& s) -> task<void> {
            s.spawn(child());
            co_await refuse();
        });
    } catch (const std::runtime_error& thrown) {
        order += thrown.what();
    }
    CHECK(order == "canceled ended refused");
}

CO_TEST_CASE("scope: after cancel() a canceled child is no failure", "[scope]") {
    const auto done = co_await coproc::with_scope([&](scope& s) -> task<result<int>> {
        s.spawn(for_ever());
        s.spawn([]() -> task<void> { (co_await for_ever()).value(); });
        (co_await coproc::yield()).value();
        s.cancel();
        CHECK(s.is_canceled());
        co_return 3;
    });
    CHECK(done.value() == 3);
}

CO_TEST_CASE("scope: after cancel() another failure still is one", "[scope]") {
    const auto done = co_await coproc::with_scope([&](scope& s) -> task<result<int>> {
        s.spawn([]() -> task<result<void>> {
            const auto slept = co_await for_ever();
            co_return slept ? errc::bad_message : errc::closed;
        });
        (co_await coproc::yield()).value();
        s.cancel();
        co_return 3;
    });
    REQUIRE_FALSE(done.has_value());
    CHECK(done.error() == errc::closed);
}

CO_TEST_CASE("scope: a child may cancel the scope, and the body's own result stands", "[scope]") {
    const auto patient = co_await coproc::with_scope([&](scope& s) -> task<result<int>> {
        s.spawn([&s]() -> task<void> {
            s.cancel();
            co_return;
        });
        const auto slept = co_await for_ever();
        co_return slept ? 1 : 2;
    });
    const auto strict = co_await coproc::with_scope([&](scope& s) -> task<void> {
        s.cancel();
        (co_await for_ever()).value();
    });
    CHECK(patient.value() == 2);
    REQUIRE_FALSE(strict.has_value());
    CHECK(strict.error() == errc::canceled);
}

CO_TEST_CASE("scope: canceled from outside, it is canceled if any of it was", "[scope]") {
    const auto in_body = co_await coproc::timeout(
        1ms, coproc::with_scope([](scope&) -> task<result<void>> { return for_ever(); }));
    const auto in_child =
        co_await coproc::timeout(1ms, coproc::with_scope([](scope& s) -> task<result<int>> {
                                     s.spawn(for_ever());
                                     co_return 1;
                                 }));
    const auto thrown =
        co_await coproc::timeout(1ms, coproc::with_scope([](scope& s) -> task<result<int>> {
                                     s.spawn([]() -> task<void> { (co_await for_ever()).value(); });
                                     co_return 1;
                                 }));
    for (const auto& error : {in_body.error(), in_child.error(), thrown.error()})
        CHECK(error == errc::timed_out);
}

CO_TEST_CASE("scope: canceled from outside, it succeeds if all of it did", "[scope]") {
    const auto done =
        co_await coproc::timeout(1ms, coproc::with_scope([](scope& s) -> task<result<int>> {
                                     s.spawn([]() -> task<void> {
                                         const auto slept = co_await for_ever();
                                         CHECK_FALSE(slept.has_value());
                                     });
                                     co_return 1;
                                 }));
    CHECK(done.value() == 1);
}

CO_TEST_CASE("scope: a child spawned in a canceled scope begins, and finds its awaits failing",
             "[scope]") {
    std::string order;
    const auto done = co_await coproc::with_scope([&](scope& s) -> task<void> {
        s.cancel();
        s.spawn([&]() -> task<void> {
            order += "begun ";
            const auto slept = co_await for_ever();
            order += slept ? "slept" : "canceled";
        });
        co_return;
    });
    CHECK(done.has_value());
    CHECK(order == "begun canceled");
}

CO_TEST_CASE("scope: joins without being canceled", "[scope]") {
    std::string order;
    const auto outer = [&](scope&) -> task<result<void>> {
        const auto inner = co_await coproc::with_scope([&](scope& s) -> task<void> {
            s.spawn(coproc::shield([](std::string& seen) -> task<void> {
                for (int i = 0; i < 3; ++i) (co_await coproc::yield()).value();
                seen += "child ";
            }(order)));
            co_return;
        });
        order += inner ? "inner " : "canceled ";
        co_return co_await coproc::yield();
    };
    const auto done = co_await coproc::with_scope([&](scope& s) -> task<result<void>> {
        s.spawn(coproc::with_scope(outer));
        (co_await coproc::yield()).value();
        s.cancel();
        co_return coproc::success();
    });
    CHECK(done.has_value());
    CHECK(order == "child inner ");
}

CO_TEST_CASE("scope: ten thousand children", "[scope]") {
    int ended = 0;
    const auto child = [&]() -> task<void> {
        (co_await coproc::yield()).value();
        ++ended;
    };
    const auto done = co_await coproc::with_scope([&](scope& s) -> task<void> {
        for (int i = 0; i < 10'000; ++i) s.spawn(child());
        co_return;
    });
    CHECK(done.has_value());
    CHECK(ended == 10'000);
}
