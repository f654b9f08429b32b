#include <coproc/sleep.hpp>
#include <coproc/task.hpp>

#include "support/co_test.hpp"

#include <memory>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;
using coproc::task;

namespace {

task<int> ready(int value) { co_return value; }

task<int> after_a_turn(int value) {
    (co_await coproc::yield()).value();
    co_return value;
}

task<std::unique_ptr<int>> move_only() { co_return std::make_unique<int>(7); }

task<int&> reference_to(int& value) { co_return value; }

task<void> append(std::string& text, const char* more) {
    text += more;
    co_return;
}

task<int> refuse() {
    (co_await coproc::yield()).value();
    throw std::runtime_error("refused");
}

/// Neither default-constructible nor assignable.
class rigid {
 public:
    explicit rigid(int value) : value_(value) {}
    rigid(rigid&&) = default;
    int value() const { return value_; }

 private:
    const int value_;
};

task<rigid> make_rigid() { co_return rigid(3); }

class counted {
 public:
    explicit counted(int& alive) : alive_(&alive) { ++*alive_; }
    counted(const counted& other) : alive_(other.alive_) { ++*alive_; }
    ~counted() { --*alive_; }

 private:
    int* alive_;
};

task<void> hold(counted, int& begun) {
    ++begun;
    co_return;
}

task<int> depth(int left) {
    if (left == 0) co_return co_await after_a_turn(0);
    const int below = co_await depth(left - 1);
    co_return below + 1;
}

}  // namespace

CO_TEST_CASE("task: gives what it returns, at once or later", "[task]") {
    const int now = co_await ready(1);
    const int later = co_await after_a_turn(2);
    CHECK(now == 1);
    CHECK(later == 2);
}

CO_TEST_CASE("task: a value may be move-only, or neither default-constructible nor assignable",
             "[task]") {
    const auto pointer = co_await move_only();
    const auto stiff = co_await make_rigid();
    CHECK(*pointer == 7);
    CHECK(stiff.value() == 3);
}

CO_TEST_CASE("task: a reference is the object itself", "[task]") {
    int here = 1;
    int& there = co_await reference_to(here);
    CHECK(&there == &here);
}

CO_TEST_CASE("task: awaiting runs it to its end before the next statement", "[task]") {
    std::string text;
    co_await append(text, "a");
    co_await append(text, "b");
    CHECK(text == "ab");
}

CO_TEST_CASE("task: an exception arrives where the task is awaited", "[task]") {
    std::string what;
    try {
        co_await refuse();
    } catch (const std::runtime_error& thrown) {
        what = thrown.what();
    }
    CHECK(what == "refused");
}

CO_TEST_CASE("task: is awaited by another task that is awaited, a thousand deep", "[task]") {
    const int reached = co_await depth(1000);
    CHECK(reached == 1000);
}

CO_TEST_CASE("task: a million awaits in a row that do not wait need no stack", "[task]") {
    long sum = 0;
    for (int i = 0; i < 1'000'000; ++i) sum += co_await ready(1);
    CHECK(sum == 1'000'000);
}

CO_TEST_CASE("task: a hundred thousand awaits in a row that do wait need no stack", "[task]") {
    long sum = 0;
    for (int i = 0; i < 100'000; ++i) sum += co_await after_a_turn(1);
    CHECK(sum == 100'000);
}

CO_TEST_CASE("task: one that is never awaited never begins, and destroys its arguments", "[task]") {
    int alive = 0;
    int begun = 0;
    {
        const auto never = hold(counted(alive), begun);
        CHECK(alive == 1);
    }
    CHECK(alive == 0);
    CHECK(begun == 0);
    co_return;
}

CO_TEST_CASE("task: destroys its arguments when it has been awaited", "[task]") {
    int alive = 0;
    int begun = 0;
    co_await hold(counted(alive), begun);
    CHECK(alive == 0);
    CHECK(begun == 1);
}

CO_TEST_CASE("task: may be moved and assigned before it is awaited", "[task]") {
    auto first = ready(1);
    auto second = ready(2);
    first = std::move(second);
    auto third = std::move(first);
    const int value = co_await std::move(third);
    CHECK(value == 2);
}

CO_TEST_CASE("task: the awaiter goes on before anything else that is ready", "[task]") {
    std::string order;
    const auto rt = co_await coproc::current_runtime();
    const auto other = [&]() -> task<void> {
        order += "other ";
        co_return;
    };
    const auto child = [&]() -> task<void> {
        (co_await coproc::yield()).value();
        const auto spawned = rt.spawn(other());
        order += "child ";
    };
    co_await child();
    order += "awaiter ";
    (co_await coproc::yield()).value();
    CHECK(order == "child awaiter other ");
}
