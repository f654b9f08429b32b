#include <coproc/result.hpp>
#include <coproc/task.hpp>

#include "support/co_test.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

using coproc::errc;
using coproc::error;
using coproc::result;
using coproc::task;

namespace {

result<int> positive(int value) {
    if (value <= 0) return error(errc::bad_message, "number " + std::to_string(value));
    return value;
}

result<void> check(int value) {
    COPROC_TRY(positive(value));
    return coproc::success();
}

result<std::string> text_of(int value) {
    COPROC_TRY(const int number, positive(value));
    return std::to_string(number);
}

task<result<std::string>> text_later(int value) {
    COPROC_CO_TRY(co_await coproc::yield());
    COPROC_CO_TRY(auto text, text_of(value));
    co_return text;
}

result<std::vector<std::string>> many() { return std::vector<std::string>(3, "a"); }

/// What value() of a failure throws.
template <class T>
std::system_error thrown_by(result<T> failure) {
    try {
        static_cast<void>(std::move(failure).value());
    } catch (const std::system_error& thrown) {
        return thrown;
    }
    return std::system_error(std::error_code());
}

}  // namespace

TEST_CASE("error: compares with our conditions, the system's, and the standard's", "[result]") {
    const error ours(errc::timed_out);
    const error theirs(std::errc::no_such_file_or_directory);
    CHECK(ours == errc::timed_out);
    CHECK(ours == std::errc::timed_out);
    CHECK_FALSE(ours == errc::closed);
    CHECK(theirs == std::errc::no_such_file_or_directory);
    CHECK(theirs.code().value() == ENOENT);
    CHECK(ours == error(errc::timed_out, "with a note"));
}

TEST_CASE("error: maps to the standard's condition where one fits", "[result]") {
    CHECK(error(errc::canceled) == std::errc::operation_canceled);
    CHECK(error(errc::would_block) == std::errc::operation_would_block);
    CHECK(error(errc::end_of_stream) == std::errc::broken_pipe);
    CHECK(error(errc::message_too_large) == std::errc::message_size);
    CHECK(error(errc::not_supported) == std::errc::not_supported);
}

TEST_CASE("error: every condition of ours has a text of its own", "[result]") {
    std::vector<std::string> texts;
    for (int i = 1; i <= static_cast<int>(errc::child_failed); ++i) {
        const std::string text = make_error_code(static_cast<errc>(i)).message();
        CHECK(text != "unknown error");
        CHECK(std::find(texts.begin(), texts.end(), text) == texts.end());
        texts.push_back(text);
    }
    CHECK(coproc::error_category().message(4711) == "unknown error");
    CHECK(std::string(coproc::error_category().name()) == "coproc");
}

TEST_CASE("error: its message is a sentence that names the steps", "[result]") {
    const error plain(errc::closed);
    const error noted(errc::closed, "queue jobs");
    const error deeper = noted.within("start of process-1");
    CHECK(plain.message() == "closed");
    CHECK(noted.message() == "queue jobs: closed");
    CHECK(deeper.message() == "start of process-1: queue jobs: closed");
    CHECK(plain.within("here").message() == "here: closed");
    CHECK(noted.message() == "queue jobs: closed");
}

TEST_CASE("error: one from a child tells type, message and pid", "[result]") {
    const auto e = error::from_child(errc::bad_message, "std::runtime_error", "no luck", 42);
    CHECK(e.child_type() == "std::runtime_error");
    CHECK(e.child_message() == "no luck");
    CHECK(e.child_pid() == 42);
    CHECK(e.message() == "in child process 42: std::runtime_error: no luck");
    CHECK(error(errc::closed).child_pid() == 0);
    CHECK(error(errc::closed).child_type().empty());
}

TEST_CASE("result: holds a value or an error", "[result]") {
    const auto good = positive(3);
    const auto bad = positive(-3);
    CHECK(good.value() == 3);
    REQUIRE_FALSE(bad.has_value());
    CHECK(bad.error() == errc::bad_message);
    CHECK(bad.error().message().rfind("number -3: bad message", 0) == 0);
}

TEST_CASE("result: value() of a failure throws system_error with its message", "[result]") {
    const auto thrown = thrown_by(positive(-3));
    CHECK(thrown.code() == errc::bad_message);
    CHECK(thrown.what() == positive(-3).error().message());
    const auto without_note = thrown_by(result<void>(errc::closed));
    CHECK(without_note.code() == errc::closed);
    CHECK(std::string(without_note.what()) == "closed");
}

TEST_CASE("result: an error may be given in every form", "[result]") {
    const result<int> results[] = {errc::closed, error(errc::closed), make_error_code(errc::closed),
                                   error(errc::closed, "note")};
    for (const auto& r : results) CHECK(r.error() == errc::closed);
    const result<void> system = std::errc::invalid_argument;
    CHECK(system.error() == std::errc::invalid_argument);
}

TEST_CASE("result: TRY goes on with the value or returns the error", "[result]") {
    CHECK(text_of(7).value() == "7");
    CHECK(text_of(-7).error() == errc::bad_message);
    CHECK(check(7).has_value());
    CHECK(check(-7).error().message() == positive(-7).error().message());
}

CO_TEST_CASE("result: CO_TRY does the same in a coroutine", "[result]") {
    const auto good = co_await text_later(7);
    const auto bad = co_await text_later(-7);
    CHECK(good.value() == "7");
    CHECK(bad.error() == errc::bad_message);
}

TEST_CASE("result: value() of an rvalue gives the value itself, safe in a range-for", "[result]") {
    std::string all;
    for (const auto& text : many().value()) all += text;
    CHECK(all == "aaa");
    static_assert(std::is_same_v<decltype(many().value()), std::vector<std::string>>);
}

TEST_CASE("result: takes what can only be moved", "[result]") {
    auto make = []() -> result<std::unique_ptr<int>> { return std::make_unique<int>(1); };
    auto kept = make();
    const auto pointer = std::move(kept).value();
    CHECK(*pointer == 1);
    CHECK(*make().value() == 1);
}

TEST_CASE("result: success() is the successful result<void>", "[result]") {
    const result<void> good = coproc::success();
    CHECK(good.has_value());
    good.value();
}

TEST_CASE("result: flat_result never nests", "[result]") {
    using coproc::detail::flat_result;
    static_assert(std::is_same_v<flat_result<int>, result<int>>);
    static_assert(std::is_same_v<flat_result<result<int>>, result<int>>);
    static_assert(std::is_same_v<flat_result<void>, result<void>>);
    SUCCEED();
}
