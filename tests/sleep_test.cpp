#include <coproc/sleep.hpp>
#include <coproc/when_all.hpp>

#include "support/co_test.hpp"

#include <limits>
#include <string>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::result;
using coproc::task;

namespace {

task<void> note_at(coproc::clock::time_point when, std::string& order, char name) {
    (co_await coproc::sleep_until(when)).value();
    order += name;
}

}  // namespace

CO_TEST_CASE("sleep: never ends before its time", "[sleep]") {
    for (const auto delay : {100us, 999us, 1000us, 1001us, 3500us}) {
        const auto begin = coproc::clock::now();
        const auto slept = co_await coproc::sleep_for(delay);
        CHECK(slept.has_value());
        CHECK(coproc::clock::now() - begin >= delay);
    }
}

CO_TEST_CASE("sleep: until a time that is past takes a turn of the loop", "[sleep]") {
    const auto rt = co_await coproc::current_runtime();
    const auto late = coproc::clock::now() - 1h;
    for (const auto until : {late, coproc::clock::now(), coproc::clock::time_point::min()}) {
        bool other_ran = false;
        const auto other = [&]() -> task<void> {
            other_ran = true;
            co_return;
        };
        const auto spawned = rt.spawn(other());
        const auto slept = co_await coproc::sleep_until(until);
        CHECK(slept.has_value());
        CHECK(other_ran);
    }
}

CO_TEST_CASE("sleep: sleepers wake in the order of their times", "[sleep]") {
    std::string order;
    const auto soon = coproc::clock::now() + 50ms;
    co_await coproc::when_all(note_at(soon + 2ms, order, 'c'), note_at(soon, order, 'a'),
                              note_at(soon + 1ms, order, 'b'));
    CHECK(order == "abc");
}

CO_TEST_CASE("sleep: takes any duration, beyond the clock's range for ever", "[sleep]") {
    const std::chrono::duration<double> endless(std::numeric_limits<double>::infinity());
    const auto rt = co_await coproc::current_runtime();
    const auto sleep = [](auto duration) -> task<result<void>> {
        auto slept = co_await coproc::sleep_for(duration);
        co_return slept;
    };
    coproc::spawned<result<void>> sleepers[] = {
        rt.spawn(sleep(std::chrono::hours::max())), rt.spawn(sleep(coproc::clock::duration::max())),
        rt.spawn(sleep(endless)), rt.spawn(sleep(std::chrono::years(1000)))};
    (co_await coproc::sleep_for(5ms)).value();
    for (auto& sleeper : sleepers) {
        CHECK_FALSE(sleeper.done());
        sleeper.cancel();
        const auto slept = co_await sleeper;
        CHECK(slept.error() == errc::canceled);
    }
    const auto half = co_await coproc::sleep_for(std::chrono::duration<float, std::milli>(0.5F));
    const auto zero = co_await coproc::sleep_for(0s);
    const auto past = co_await coproc::sleep_for(std::chrono::hours::min());
    CHECK(half.has_value());
    CHECK(zero.has_value());
    CHECK(past.has_value());
}

CO_TEST_CASE("sleep: a thousand timers at a time, and again", "[sleep]") {
    for (int round = 0; round < 3; ++round) {
        std::vector<coproc::sleep_op> sleeps;
        sleeps.reserve(1000);
        for (int i = 0; i < 1000; ++i) sleeps.push_back(coproc::sleep_for(1ms));
        const auto slept = co_await coproc::when_all(std::move(sleeps));
        REQUIRE(slept.size() == 1000);
        for (const auto& one : slept) REQUIRE(one.has_value());
    }
}
