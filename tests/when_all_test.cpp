#include <coproc/offload.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_all.hpp>

#include "support/co_test.hpp"

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

task<result<int>> fail(errc why) {
    COPROC_CO_TRY(co_await coproc::yield());
    co_return why;
}

task<int> refuse() {
    (co_await coproc::yield()).value();
    throw std::runtime_error("refused");
}

task<result<void>> for_ever() { co_return co_await coproc::sleep_for(24h); }
task<void> nothing() { co_return; }
task<int&> same(int& value) { co_return value; }
task<result<std::unique_ptr<int>>> pointer() { co_return std::make_unique<int>(9); }

}  // namespace

CO_TEST_CASE("when_all: gives each value in its place", "[when_all]") {
    const auto [slow, quick, text] = co_await coproc::when_all(
        after(3, 1), after(0, 2), []() -> task<std::string> { co_return "three"; }());
    CHECK(slow == 1);
    CHECK(quick == 2);
    CHECK(text == "three");
}

CO_TEST_CASE("when_all: a result stays one, void becomes monostate, a reference stays the object",
             "[when_all]") {
    int here = 1;
    const auto all = co_await coproc::when_all(pointer(), nothing(), same(here));
    static_assert(
        std::is_same_v<decltype(all), const std::tuple<result<std::unique_ptr<int>>, std::monostate,
                                                       std::reference_wrapper<int>>>);
    CHECK(*std::get<0>(all).value() == 9);
    CHECK(&std::get<2>(all).get() == &here);
}

CO_TEST_CASE("when_all: takes operations and spawned handles as well as tasks", "[when_all]") {
    const auto rt = co_await coproc::current_runtime();
    const auto handle = rt.spawn(after(1, 4));
    const auto [slept, yielded, worked, joined] = co_await coproc::when_all(
        coproc::sleep_for(1us), coproc::yield(), coproc::offload([] { return 3; }), handle);
    CHECK(slept.has_value());
    CHECK(yielded.has_value());
    CHECK(worked.value() == 3);
    CHECK(joined.value() == 4);
}

CO_TEST_CASE("when_all: all run at the same time, and begin in their order", "[when_all]") {
    std::string order;
    const auto say = [&](char name) -> task<void> {
        for (int i = 0; i < 2; ++i) {
            order += name;
            (co_await coproc::yield()).value();
        }
    };
    co_await coproc::when_all(say('a'), say('b'), say('c'));
    CHECK(order == "abcabc");
}

CO_TEST_CASE("when_all: a failed result cancels the others, which say so themselves",
             "[when_all]") {
    const auto [first, failed, last] =
        co_await coproc::when_all(for_ever(), fail(errc::closed), coproc::sleep_for(24h));
    CHECK(first.error() == errc::canceled);
    CHECK(failed.error() == errc::closed);
    CHECK(last.error() == errc::canceled);
}

CO_TEST_CASE("when_all: an exception cancels the others and is thrown when they have ended",
             "[when_all]") {
    std::string order;
    const auto other = [&]() -> task<void> {
        const auto slept = co_await for_ever();
        order += slept ? "slept " : "canceled ";
    };
    try {
        co_await coproc::when_all(other(), refuse(), other());
    } catch (const std::runtime_error& thrown) {
        order += thrown.what();
    }
    CHECK(order == "canceled canceled refused");
}

CO_TEST_CASE("when_all: when one has no value because another failed, that failure is thrown",
             "[when_all]") {
    std::error_code code;
    const auto must_sleep = []() -> task<int> {
        (co_await for_ever()).value();
        co_return 1;
    };
    try {
        co_await coproc::when_all(must_sleep(), fail(errc::bad_message));
    } catch (const std::system_error& thrown) {
        code = thrown.code();
    }
    CHECK(code == errc::bad_message);
}

CO_TEST_CASE("when_all: of nothing is there at once", "[when_all]") {
    const auto none = co_await coproc::when_all();
    const auto empty = co_await coproc::when_all(std::vector<task<int>>());
    CHECK(std::tuple_size_v<decltype(none)> == 0);
    CHECK(empty.empty());
}

CO_TEST_CASE("when_all: a vector of tasks gives a vector of values", "[when_all]") {
    std::vector<task<int>> tasks;
    for (int i = 0; i < 100; ++i) tasks.push_back(after(100 - i, i));
    const auto values = co_await coproc::when_all(std::move(tasks));
    REQUIRE(values.size() == 100);
    for (int i = 0; i < 100; ++i) CHECK(values[static_cast<std::size_t>(i)] == i);
}

CO_TEST_CASE("when_all: a failure in a vector cancels the rest of it", "[when_all]") {
    std::vector<task<result<int>>> tasks;
    for (const auto why : {errc::closed, errc::truncated}) tasks.push_back(fail(why));
    const auto values = co_await coproc::when_all(std::move(tasks));
    CHECK(values[0].error() == errc::closed);
    CHECK(values[1].error() == errc::canceled);
}

CO_TEST_CASE("when_all: a vector of tasks without value", "[when_all]") {
    std::vector<task<void>> tasks;
    for (int i = 0; i < 3; ++i) tasks.push_back(nothing());
    const auto values = co_await coproc::when_all(std::move(tasks));
    CHECK(values.size() == 3);
}

CO_TEST_CASE("when_all: is canceled as a whole", "[when_all]") {
    bool ended = false;
    const auto both = [&]() -> task<result<void>> {
        const auto [first, second] = co_await coproc::when_all(for_ever(), for_ever());
        ended = true;
        CHECK(first.error() == errc::canceled);
        co_return second;
    };
    const auto limited = co_await coproc::timeout(1ms, both());
    CHECK(limited.error() == errc::timed_out);
    CHECK(ended);
}
