#include <coproc/detail/wait_list.hpp>
#include <coproc/readiness.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_any.hpp>

#include "support/co_test.hpp"
#include "words/system.hpp"

#include <array>
#include <memory>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::result;
using coproc::task;

namespace {

task<int> after(int yields, int value) {
    for (int i = 0; i < yields; ++i) (co_await coproc::yield()).value();
    co_return value;
}

task<result<void>> for_ever() { co_return co_await coproc::sleep_for(24h); }
task<result<std::unique_ptr<int>>> pointer() { co_return std::make_unique<int>(9); }

task<int> refuse() {
    (co_await coproc::yield()).value();
    throw std::runtime_error("refused");
}

}  // namespace

CO_TEST_CASE("when_any: gives the value of the first to end, and says which it was", "[when_any]") {
    const auto first = co_await coproc::when_any(for_ever(), after(2, 7), coproc::sleep_for(24h));
    REQUIRE(first.index() == 1);
    CHECK(std::get<1>(first) == 7);
}

CO_TEST_CASE("when_any: the values may be of the same type, move-only, or nothing", "[when_any]") {
    const auto nothing = []() -> task<void> { co_return; };
    const auto same = co_await coproc::when_any(after(2, 1), after(1, 2));
    const auto owned = co_await coproc::when_any(for_ever(), pointer());
    const auto none = co_await coproc::when_any(nothing(), for_ever());
    static_assert(std::is_same_v<decltype(none), const std::variant<std::monostate, result<void>>>);
    CHECK(same.index() == 1);
    CHECK(std::get<1>(same) == 2);
    CHECK(*std::get<1>(owned).value() == 9);
    CHECK(none.index() == 0);
}

CO_TEST_CASE("when_any: of those that are ready at once, the first wins", "[when_any]") {
    const auto first = co_await coproc::when_any(after(0, 1), after(0, 2));
    CHECK(first.index() == 0);
}

CO_TEST_CASE("when_any: cancels the others before any other coroutine runs, and waits for them",
             "[when_any]") {
    std::string order;
    coproc::detail::wait_list go;
    const auto rt = co_await coproc::current_runtime();
    const auto loser = [&]() -> task<void> {
        const auto waited = co_await go.wait();
        order += waited ? "woken " : "canceled ";
    };
    const auto waker = [&]() -> task<void> {
        order += go.wake_one() ? "woke " : "alone ";
        co_return;
    };
    // While the winner ends, another coroutine is ready that would wake the loser.
    const auto winner = [&]() -> task<coproc::spawned<void>> {
        (co_await coproc::yield()).value();
        co_return rt.spawn(waker());
    };
    auto first = co_await coproc::when_any(loser(), winner());
    order += "joined";
    REQUIRE(first.index() == 1);
    const auto woke = co_await std::get<1>(first);
    CHECK(woke.has_value());
    CHECK(order == "alone canceled joined");
}

CO_TEST_CASE("when_any: losers have consumed nothing", "[when_any]") {
    const auto ends = coproc::system::socket_pair().value();
    const auto read_one = [&]() -> task<result<char>> {
        std::array<char, 1> byte{};
        COPROC_CO_TRY(co_await coproc::wait_readable(ends[0].get()));
        COPROC_CO_TRY(coproc::system::read(ends[0].get(), std::as_writable_bytes(std::span(byte))));
        co_return byte[0];
    };
    for (int i = 0; i < 10; ++i) {
        const auto first = co_await coproc::when_any(read_one(), coproc::yield());
        CHECK(first.index() == 1);
    }
    const std::array byte{'x'};
    coproc::system::write(ends[1].get(), std::as_bytes(std::span(byte))).value();
    const auto read = co_await read_one();
    CHECK(read.value() == 'x');
}

CO_TEST_CASE("when_any: a failed result wins, too", "[when_any]") {
    const auto fail = []() -> task<result<int>> {
        COPROC_CO_TRY(co_await coproc::yield());
        co_return errc::closed;
    };
    const auto first = co_await coproc::when_any(for_ever(), fail());
    REQUIRE(first.index() == 1);
    CHECK(std::get<1>(first).error() == errc::closed);
}

CO_TEST_CASE("when_any: what the winner throws is thrown, what a loser throws is not",
             "[when_any]") {
    std::string what;
    try {
        co_await coproc::when_any(for_ever(), refuse());
    } catch (const std::runtime_error& thrown) {
        what = thrown.what();
    }
    const auto throws_when_canceled = []() -> task<void> {
        const auto slept = co_await for_ever();
        if (!slept) throw std::runtime_error("too late");
    };
    const auto first = co_await coproc::when_any(throws_when_canceled(), after(1, 1));
    CHECK(what == "refused");
    CHECK(first.index() == 1);
}

CO_TEST_CASE("when_any: a value that comes after an exception does not win", "[when_any]") {
    std::string what;
    const auto stubborn = []() -> task<int> {
        const auto slept = co_await for_ever();
        co_return slept ? 1 : 2;
    };
    try {
        co_await coproc::when_any(stubborn(), refuse());
    } catch (const std::runtime_error& thrown) {
        what = thrown.what();
    }
    CHECK(what == "refused");
}

CO_TEST_CASE("when_any: of a vector gives index and value", "[when_any]") {
    std::vector<task<int>> tasks;
    for (int i = 0; i < 10; ++i) tasks.push_back(after(i == 6 ? 1 : 3, i * i));
    const auto first = co_await coproc::when_any(std::move(tasks));
    CHECK(first.index == 6);
    CHECK(first.value == 36);
}

CO_TEST_CASE("when_any: canceled from outside, the first to notice is what it gives",
             "[when_any]") {
    const auto either = []() -> task<result<void>> {
        const auto first = co_await coproc::when_any(for_ever(), for_ever());
        CHECK(first.index() == 0);
        co_return std::get<0>(first);
    };
    const auto limited = co_await coproc::timeout(1ms, either());
    CHECK(limited.error() == errc::timed_out);
}
