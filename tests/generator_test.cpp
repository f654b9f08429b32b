#include <coproc/generator.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"

#include <memory>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::generator;
using coproc::result;
using coproc::task;

namespace {

generator<int> count_to(int last) {
    for (int i = 1; i <= last; ++i) co_yield i;
}

generator<std::string> words_after_turns() {
    for (const char* word : {"one", "two", "three"}) {
        (co_await coproc::yield()).value();
        co_yield word;
    }
}

generator<std::unique_ptr<int>> owned() {
    for (int i = 0; i < 3; ++i) co_yield std::make_unique<int>(i);
}

generator<int> fails_after(int values) {
    for (int i = 0; i < values; ++i) co_yield i;
    (co_await coproc::yield()).value();
    throw std::runtime_error("refused");
}

struct named {
    int number;
    std::string name;
};

generator<named> people() {
    for (int i = 0; i < 3; ++i) {
        const named person{i, "a name that is too long to be kept inside the string itself"};
        co_yield person;
    }
}

struct at_end {
    explicit at_end(bool& ended) noexcept : ended_(&ended) {}
    at_end(const at_end&) = delete;
    ~at_end() { *ended_ = true; }
    bool* ended_;
};

generator<int> endless(bool& ended) {
    const at_end mark(ended);
    for (int i = 0;; ++i) co_yield i;
}

generator<result<void>> sleeps() {
    for (;;) {
        auto slept = co_await coproc::sleep_for(24h);
        co_yield slept;
    }
}

}  // namespace

CO_TEST_CASE("generator: gives its values one by one, then nothing", "[generator]") {
    int sum = 0;
    auto numbers = count_to(4);
    while (const auto number = co_await numbers.next()) sum = 10 * sum + *number;
    const auto after_the_end = co_await numbers.next();
    CHECK(sum == 1234);
    CHECK_FALSE(after_the_end.has_value());
}

CO_TEST_CASE("generator: may be empty", "[generator]") {
    auto numbers = count_to(0);
    const auto none = co_await numbers.next();
    CHECK_FALSE(none.has_value());
}

CO_TEST_CASE("generator: may await between its values", "[generator]") {
    std::string text;
    auto words = words_after_turns();
    while (const auto word = co_await words.next()) text += *word + " ";
    CHECK(text == "one two three ");
}

CO_TEST_CASE("generator: values may be move-only", "[generator]") {
    int sum = 0;
    auto pointers = owned();
    while (const auto pointer = co_await pointers.next()) sum += **pointer;
    CHECK(sum == 3);
}

CO_TEST_CASE("generator: yields a named aggregate", "[generator]") {
    int sum = 0;
    auto all = people();
    while (const auto person = co_await all.next()) {
        sum += person->number;
        CHECK(person->name.size() > 40);
    }
    CHECK(sum == 3);
}

CO_TEST_CASE("generator: an exception goes to whoever awaits next(), and ends it", "[generator]") {
    std::string what;
    auto numbers = fails_after(1);
    const auto first = co_await numbers.next();
    try {
        co_await numbers.next();
    } catch (const std::runtime_error& thrown) {
        what = thrown.what();
    }
    const auto after = co_await numbers.next();
    CHECK(*first == 0);
    CHECK(what == "refused");
    CHECK_FALSE(after.has_value());
}

CO_TEST_CASE("generator: dropping it destroys what it holds", "[generator]") {
    bool ended = false;
    {
        auto numbers = endless(ended);
        co_await numbers.next();
        const auto second = co_await numbers.next();
        CHECK(*second == 1);
        CHECK_FALSE(ended);
    }
    CHECK(ended);
}

CO_TEST_CASE("generator: one that was never asked never begins", "[generator]") {
    bool ended = false;
    { const auto numbers = endless(ended); }
    CHECK_FALSE(ended);
    co_return;
}

CO_TEST_CASE("generator: runs in the scope of whoever awaits next()", "[generator]") {
    auto all = sleeps();
    const auto next = [&]() -> task<result<void>> {
        const auto item = co_await all.next();
        co_return *item;
    };
    // The first asks in a scope that is canceled meanwhile, the second in one of its own.
    for (int i = 0; i < 2; ++i) {
        const auto slept = co_await coproc::timeout(1ms, next());
        CHECK(slept.error() == errc::timed_out);
    }
}

CO_TEST_CASE("generator: a million values that need no wait need no stack", "[generator]") {
    long sum = 0;
    auto numbers = count_to(1'000'000);
    while (const auto number = co_await numbers.next()) sum += *number;
    CHECK(sum == 500'000'500'000);
}

CO_TEST_CASE("generator: may be moved between two values", "[generator]") {
    auto numbers = count_to(3);
    const auto first = co_await numbers.next();
    auto moved = std::move(numbers);
    const auto second = co_await moved.next();
    CHECK(*first == 1);
    CHECK(*second == 2);
}
