#include <coproc/offload.hpp>
#include <coproc/sleep.hpp>
#include <coproc/when_all.hpp>

#include "support/co_test.hpp"

#include <memory>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::offload;
using coproc::result;
using coproc::task;

CO_TEST_CASE("offload: works in another thread, and goes on in the loop's", "[offload]") {
    const auto here = std::this_thread::get_id();
    const auto there = co_await offload([] { return std::this_thread::get_id(); });
    CHECK(there.value() != here);
    CHECK(std::this_thread::get_id() == here);
}

CO_TEST_CASE("offload: gives what the work returns: a value, nothing, a result", "[offload]") {
    int done = 0;
    const auto pointer = co_await offload([] { return std::make_unique<int>(1); });
    const auto nothing = co_await offload([&] { ++done; });
    const auto flat = co_await offload([]() -> result<int> { return errc::closed; });
    static_assert(std::is_same_v<decltype(flat), const result<int>>);
    CHECK(*pointer.value() == 1);
    CHECK(nothing.has_value());
    CHECK(done == 1);
    CHECK(flat.error() == errc::closed);
}

CO_TEST_CASE("offload: what the work throws arrives where it is awaited", "[offload]") {
    std::string what;
    const auto refuse = []() -> int { throw std::runtime_error("refused"); };
    try {
        const auto never = co_await offload(refuse);
    } catch (const std::runtime_error& thrown) {
        what = thrown.what();
    }
    CHECK(what == "refused");
}

CO_TEST_CASE("offload: a named closure may own what it likes", "[offload]") {
    const std::string text = "a text that is too long to be kept inside the string itself";
    auto work = [text, number = std::make_unique<int>(1)] {
        return text + std::to_string(*number);
    };
    const auto done = co_await offload(std::ref(work));
    CHECK(done.value() == text + "1");
}

CO_TEST_CASE("offload: the loop turns while the work goes on", "[offload]") {
    std::binary_semaphore go(0);
    const auto rt = co_await coproc::current_runtime();
    const auto wait = [](std::binary_semaphore& gate) -> task<result<void>> {
        co_return co_await offload([&gate] { gate.acquire(); });
    };
    const auto working = rt.spawn(wait(go));
    (co_await coproc::sleep_for(1ms)).value();
    CHECK_FALSE(working.done());
    go.release();
    const auto done = co_await working;
    CHECK(done.has_value());
}

CO_TEST_CASE("offload: canceled, work that has not begun is dropped, work that has is waited for",
             "[offload]") {
    // More than the pool can have threads at once: libuv allows 1024, and 4 are usual.
    constexpr int count = 1100;
    std::counting_semaphore<> go(0);
    std::atomic<int> begun = 0;
    int succeeded = 0;
    int canceled = 0;
    const auto one = [&]() -> task<void> {
        const auto done = co_await offload([&] {
            ++begun;
            go.acquire();
        });
        if (done) {
            ++succeeded;
        } else if (done.error() == errc::canceled) {
            ++canceled;
        }
    };
    const auto all = [&]() -> task<void> {
        std::vector<task<void>> tasks;
        for (int i = 0; i < count; ++i) tasks.push_back(one());
        co_await coproc::when_all(std::move(tasks));
    };
    const auto rt = co_await coproc::current_runtime();
    auto running = rt.spawn(all());
    while (begun == 0) (co_await coproc::yield()).value();
    running.cancel();
    go.release(count);
    (co_await running).value();
    CHECK(succeeded == begun);
    CHECK(succeeded + canceled == count);
    CHECK(canceled > 0);
}

CO_TEST_CASE("offload: a thousand pieces of work are all done once", "[offload]") {
    std::atomic<int> done = 0;
    const auto one = [&]() -> task<result<void>> { co_return co_await offload([&] { ++done; }); };
    std::vector<task<result<void>>> tasks;
    for (int i = 0; i < 1000; ++i) tasks.push_back(one());
    const auto results = co_await coproc::when_all(std::move(tasks));
    for (const auto& each : results) REQUIRE(each.has_value());
    CHECK(done == 1000);
}
