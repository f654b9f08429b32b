#pragma once
// What the tests of processes have in common: a process's whole life in one line, and programs of
// their own that are driven by a verb (support/actor.cpp).

#include <coproc/connection.hpp>
#include <coproc/process.hpp>
#include <coproc/task.hpp>

#include "support/catch.hpp"

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace coproc::testing {

/// For what holds however a process is started: GENERATE(each_method()).
inline auto each_method() {
    return Catch::Generators::values({start_method::forkserver, start_method::spawn});
}

/// Whether the long forms of tests are wanted: COPROC_TEST_LONG is set.
bool is_long();

/// Starts and joins; the status, or what went wrong.
task<result<exit_status>> run_to_end(process& one);

/// Starts `target(connection, args…)` and joins it: the T that it has sent.
template <class T, class Target, class... Args>
task<result<T>> ask(process_options options, Target target, Args... args) {
    auto [ours, theirs] = pipe().value();
    process asked(options, target, std::move(theirs), std::move(args)...);
    COPROC_CO_TRY(co_await asked.start());
    auto answer = co_await ours.recv<T>();
    COPROC_CO_TRY(co_await asked.join());
    co_return std::move(answer);
}

/// Turns the loop until `condition()` is true; false after ten seconds.
task<bool> eventually(std::function<bool()> condition);

/// Is there a process with this pid that is no zombie?
bool is_running(::pid_t pid);

/// Children print what ended them; this keeps it out of the tests' output.
class quiet_stderr {
 public:
    quiet_stderr();
    quiet_stderr(const quiet_stderr&) = delete;
    quiet_stderr& operator=(const quiet_stderr&) = delete;
    ~quiet_stderr();

 private:
    int before_;
};

/// support/actor.cpp, running `verb` with the test's own stderr or one that can be read.
class actor {
 public:
    explicit actor(std::vector<std::string> arguments, const std::string& program = COPROC_ACTOR);
    actor(const actor&) = delete;
    actor& operator=(const actor&) = delete;
    ~actor();

    ::pid_t pid() const noexcept { return pid_; }
    /// What it says on stdout and stderr, up to the next line's end; empty at the end of all.
    std::string line();
    /// Lines until one begins with `begin`, which is returned without it; fails the test if none
    /// does.
    std::string line_after(const std::string& begin);
    /// The rest of what it says.
    std::string rest();
    void send_signal(int number) const;
    /// Its wait status.
    int wait();

 private:
    ::pid_t pid_ = 0;
    int output_ = -1;
    std::string read_;
};

}  // namespace coproc::testing
