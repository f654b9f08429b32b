#include <coproc/detail/wait_list.hpp>
#include <coproc/shield.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_all.hpp>
#include <coproc/when_any.hpp>

#include "support/co_test.hpp"

#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::result;
using coproc::task;

namespace {

task<result<void>> for_ever() { co_return co_await coproc::sleep_for(24h); }

}  // namespace

CO_TEST_CASE("timeout: gives the value that came in time", "[timeout]") {
    const auto number = co_await coproc::timeout(1h, []() -> task<int> { co_return 1; }());
    const auto pointer = co_await coproc::timeout(1h, []() -> task<result<std::unique_ptr<int>>> {
        COPROC_CO_TRY(co_await coproc::yield());
        co_return std::make_unique<int>(2);
    }());
    const auto nothing = co_await coproc::timeout(1h, []() -> task<void> { co_return; }());
    const auto slept = co_await coproc::timeout(1h, coproc::sleep_for(1us));
    static_assert(std::is_same_v<decltype(number), const result<int>>);
    static_assert(std::is_same_v<decltype(nothing), const result<void>>);
    CHECK(number.value() == 1);
    CHECK(*pointer.value() == 2);
    CHECK(nothing.has_value());
    CHECK(slept.has_value());
}

CO_TEST_CASE("timeout: ends a wait with timed_out, and not before its time", "[timeout]") {
    const auto begin = coproc::clock::now();
    const auto slept = co_await coproc::timeout(5ms, coproc::sleep_for(24h));
    CHECK(coproc::clock::now() - begin >= 5ms);
    REQUIRE_FALSE(slept.has_value());
    CHECK(slept.error() == errc::timed_out);
    CHECK(slept.error() == std::errc::timed_out);
}

CO_TEST_CASE("timeout: canceled is timed_out, whether it is returned or thrown by value()",
             "[timeout]") {
    const auto returned = co_await coproc::timeout(1ms, for_ever());
    const auto thrown = co_await coproc::timeout(1ms, []() -> task<int> {
        (co_await for_ever()).value();
        co_return 1;
    }());
    CHECK(returned.error() == errc::timed_out);
    CHECK(thrown.error() == errc::timed_out);
}

CO_TEST_CASE("timeout: a value, failure or exception that comes nevertheless is what it gives",
             "[timeout]") {
    const auto value = co_await coproc::timeout(1ms, []() -> task<int> {
        const auto slept = co_await for_ever();
        co_return slept ? 1 : 2;
    }());
    const auto failure = co_await coproc::timeout(1ms, []() -> task<result<int>> {
        const auto slept = co_await for_ever();
        if (slept) co_return 1;
        co_return errc::truncated;
    }());
    std::string what;
    const auto refuse = []() -> task<void> {
        const auto slept = co_await for_ever();
        if (!slept) throw std::runtime_error("refused");
    };
    try {
        (co_await coproc::timeout(1ms, refuse())).value();
    } catch (const std::runtime_error& thrown) {
        what = thrown.what();
    }
    CHECK(value.value() == 2);
    CHECK(failure.error() == errc::truncated);
    CHECK(what == "refused");
}

CO_TEST_CASE("timeout: an own cancellation is not one by time", "[timeout]") {
    const auto gave_up =
        co_await coproc::timeout(1h, []() -> task<result<int>> { co_return errc::canceled; }());
    CHECK(gave_up.error() == errc::canceled);
}

CO_TEST_CASE("timeout: of several waits is timed_out unless one has given more", "[timeout]") {
    const auto first = co_await coproc::timeout(1ms, coproc::when_any(for_ever(), for_ever()));
    CHECK(first.error() == errc::timed_out);
    std::vector<task<result<void>>> several;
    several.push_back(for_ever());
    several.push_back(for_ever());
    const auto of_several = co_await coproc::timeout(1ms, coproc::when_any(std::move(several)));
    CHECK(of_several.error() == errc::timed_out);
    const auto all = co_await coproc::timeout(1ms, coproc::when_all(for_ever(), for_ever()));
    CHECK(all.error() == errc::timed_out);
    several.clear();
    several.push_back(for_ever());
    const auto all_several = co_await coproc::timeout(1ms, coproc::when_all(std::move(several)));
    CHECK(all_several.error() == errc::timed_out);
    const auto one_result = co_await coproc::timeout(
        1ms, coproc::when_any(for_ever(), [](task<result<void>> wait) -> task<void> {
            (co_await std::move(wait)).value();
        }(for_ever())));
    CHECK(one_result.error() == errc::timed_out);
    // What one has got is not to be lost.
    const auto mixed =
        co_await coproc::timeout(1ms, coproc::when_all(coproc::sleep_for(0ms), for_ever()));
    CHECK(std::get<0>(mixed.value()).has_value());
    CHECK(std::get<1>(mixed.value()).error() == errc::canceled);
    const auto won =
        co_await coproc::timeout(1h, coproc::when_any(coproc::sleep_for(0ms), for_ever()));
    CHECK(won.value().index() == 0);
    const auto nothing = co_await coproc::timeout(1ms, [](task<result<void>> wait) -> task<void> {
        (void)co_await std::move(wait);
    }(for_ever()));
    CHECK(nothing.has_value());
}

CO_TEST_CASE("timeout: of zero or less begins the wait, and ends it", "[timeout]") {
    for (const auto limit : {0s, -1s, std::chrono::seconds::min()}) {
        bool begun = false;
        const auto waits = [&]() -> task<result<void>> {
            begun = true;
            co_return co_await for_ever();
        };
        const auto waited = co_await coproc::timeout(limit, waits());
        CHECK(begun);
        CHECK(waited.error() == errc::timed_out);
        const auto ready = co_await coproc::timeout(limit, []() -> task<int> { co_return 1; }());
        CHECK(ready.value() == 1);
    }
}

CO_TEST_CASE("timeout: takes any duration of std::chrono", "[timeout]") {
    const auto huge = co_await coproc::timeout(std::chrono::hours::max(), coproc::yield());
    const auto longest = co_await coproc::timeout(coproc::clock::duration::max(), coproc::yield());
    const std::chrono::duration<double> endless(std::numeric_limits<double>::infinity());
    const auto infinite = co_await coproc::timeout(endless, coproc::yield());
    const auto fraction = co_await coproc::timeout(std::chrono::duration<float, std::milli>(0.5F),
                                                   coproc::sleep_for(24h));
    CHECK(huge.has_value());
    CHECK(longest.has_value());
    CHECK(infinite.has_value());
    CHECK(fraction.error() == errc::timed_out);
}

CO_TEST_CASE("timeout: the nearer of two nested ones is the one that ends the wait", "[timeout]") {
    const auto inner_first =
        co_await coproc::timeout(1h, coproc::timeout(1ms, coproc::sleep_for(24h)));
    const auto outer_first = [](std::string& seen) -> task<result<void>> {
        const auto inner = co_await coproc::timeout(1h, coproc::sleep_for(24h));
        seen = inner.error() == errc::canceled ? "canceled" : "other";
        co_return inner;
    };
    std::string inner;
    const auto outer = co_await coproc::timeout(1ms, outer_first(inner));
    CHECK(inner_first.error() == errc::timed_out);
    CHECK(inner == "canceled");
    CHECK(outer.error() == errc::timed_out);
}

CO_TEST_CASE("timeout: waits for what cannot be interrupted", "[timeout]") {
    coproc::detail::wait_list end;
    bool late = false;
    const auto outlasts = [&]() -> task<int> {
        const auto slept = co_await coproc::sleep_for(24h);
        late = !slept.has_value();
        (co_await coproc::shield(coproc::sleep_for(1us))).value();
        co_return 1;
    };
    const auto value = co_await coproc::timeout(1ms, outlasts());
    CHECK(late);
    CHECK(value.value() == 1);
}

CO_TEST_CASE("timeout: leaves an object that it gave up usable", "[timeout]") {
    coproc::detail::wait_list list;
    const auto first = co_await coproc::timeout(1ms, list.wait());
    CHECK(first.error() == errc::timed_out);
    CHECK_FALSE(list.wake_one());
    list.open();
    const auto second = co_await coproc::timeout(1h, list.wait());
    CHECK(second.has_value());
}
