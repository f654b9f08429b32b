#pragma once
// Tests whose body is a coroutine, and which are all leak tests:
//
//   CO_TEST_CASE("queue: what is put first is got first", "[queue]") {
//       auto text = co_await q.get();       // await first,
//       REQUIRE(text.value() == "a");       // assert after: GCC 12 miscompiles co_await in REQUIRE
//   }

#include <coproc/runtime.hpp>
#include <coproc/task.hpp>

#include "support/catch.hpp"

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace coproc::testing {

/// What a test must leave as it found it.
class leak_check {
 public:
    leak_check();
    /// Which fds are open that were not at the beginning, and the other way round, which child is
    /// to be reaped, and which run besides, each in a line of its own. Children that run have
    /// `patience` to end.
    std::string left(std::chrono::nanoseconds patience = std::chrono::seconds(10)) const;
    /// Checks that nothing is left.
    void done() const;

 private:
    std::vector<std::string> fds_;
    std::vector<::pid_t> children_;
};

/// Runs `body` on a fresh runtime, then checks that it has left no task, no fd and no child behind.
/// When it throws (as a failed REQUIRE does), its tasks are ended first.
void run_and_check(task<void> body);

}  // namespace coproc::testing

#define COPROC_JOIN_WORDS_(a, b) a##b
#define COPROC_JOIN_WORDS(a, b) COPROC_JOIN_WORDS_(a, b)
#define COPROC_CO_TEST_CASE(body, ...)                                 \
    static coproc::task<void> body();                                  \
    TEST_CASE(__VA_ARGS__) { coproc::testing::run_and_check(body()); } \
    static coproc::task<void> body()

#define CO_TEST_CASE(...) \
    COPROC_CO_TEST_CASE(COPROC_JOIN_WORDS(coproc_co_test_, __LINE__), __VA_ARGS__)
