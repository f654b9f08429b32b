#include <coproc/run.hpp>

#include "support/catch.hpp"
#include "support/processes.hpp"

#include <fcntl.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <string>

using coproc::testing::actor;
using coproc::testing::is_running;

namespace {

struct outcome {
    int status;
    std::string output;
    bool exited_with(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
    bool killed_by(int signal) const { return WIFSIGNALED(status) && WTERMSIG(status) == signal; }
    bool says(const std::string& text) const { return output.find(text) != std::string::npos; }
};

outcome end_of(actor& one) {
    std::string output = one.rest();
    return {one.wait(), std::move(output)};
}
outcome outcome_of(std::vector<std::string> arguments) {
    actor one(std::move(arguments));
    return end_of(one);
}

}  // namespace

// -- what the task gives

TEST_CASE("run: the task's int is the exit code", "[process][run]") {
    CHECK(outcome_of({"code", "0"}).exited_with(0));
    CHECK(outcome_of({"code", "7"}).exited_with(7));
    CHECK(outcome_of({"code", "300"}).exited_with(44));
    CHECK(outcome_of({"nothing"}).exited_with(0));
    CHECK(outcome_of({"code", "7"}).output.empty());
}

TEST_CASE("run: a failed result is printed, and is 1", "[process][run]") {
    const auto end = outcome_of({"failure"});
    CHECK(end.exited_with(1));
    CHECK(end.output.starts_with("coproc::run: reading the book"));
}

TEST_CASE("run: an exception is printed, and is 1", "[process][run]") {
    const auto end = outcome_of({"exception"});
    CHECK(end.exited_with(1));
    CHECK(end.output == "coproc::run: out of paper\n");
    CHECK(outcome_of({"strange_exception"}).exited_with(1));
}

TEST_CASE("run: children see the parent's arguments", "[process][run]") {
    const auto end = outcome_of({"arguments", "", "a b", "ü"});
    CHECK(end.exited_with(0));
    CHECK(end.says("<arguments> <> <a b> <ü>\n"));
}

// -- signals

TEST_CASE("run: SIGINT and SIGTERM cancel the task, and are what the program then dies of",
          "[process][run]") {
    for (const int number : {SIGINT, SIGTERM}) {
        CAPTURE(number);
        actor one({"wait_for_signal"});
        one.line_after("ready ");
        one.send_signal(number);
        const auto end = end_of(one);
        CHECK(end.says("app was canceled"));
        CHECK(end.killed_by(number));
        CHECK_FALSE(end.says("coproc::run:"));
    }
}

TEST_CASE("run: a task that gives a code in spite of the signal does not hide it",
          "[process][run]") {
    actor one({"ignore_cancellation"});
    one.line_after("ready ");
    one.send_signal(SIGTERM);
    CHECK(end_of(one).killed_by(SIGTERM));
}

TEST_CASE("run: a signal stops the children, which get to clean up", "[process][run]") {
    actor one({"wait_with_children"});
    const int daemon = std::stoi(one.line_after("daemon "));
    const int child = std::stoi(one.line_after("child "));
    one.line_after("ready ");
    one.send_signal(SIGTERM);
    const auto end = end_of(one);
    CHECK(end.says("child was canceled"));
    CHECK(end.killed_by(SIGTERM));
    CHECK_FALSE(is_running(daemon));
    CHECK_FALSE(is_running(child));
}

TEST_CASE("run: a signal while children are joined in the end stops them", "[process][run]") {
    actor one({"leave_patient_child"});
    const int child = std::stoi(one.line_after("child "));
    one.line_after("app has returned");
    one.send_signal(SIGTERM);
    CHECK(end_of(one).killed_by(SIGTERM));
    CHECK_FALSE(is_running(child));
}

TEST_CASE("run: a second signal ends it at once, and the children with it", "[process][run]") {
    actor one({"wait_with_deaf_child"});
    const int child = std::stoi(one.line_after("child "));
    one.line_after("ready ");
    one.send_signal(SIGTERM);
    one.line_after("app was canceled");
    one.send_signal(SIGTERM);
    const auto end = end_of(one);  // its output ends with the child, too
    CHECK(end.killed_by(SIGTERM));
    for (int i = 0; i < 1000 && is_running(child); ++i) ::usleep(1000);
    CHECK_FALSE(is_running(child));
}

TEST_CASE("run: a second signal also ends a program that ignores its cancellation",
          "[process][run]") {
    actor one({"ignore_everything"});
    one.line_after("ready ");
    one.send_signal(SIGTERM);
    one.line_after("app was canceled");
    one.send_signal(SIGTERM);
    CHECK(end_of(one).killed_by(SIGTERM));
}

TEST_CASE("run: a signal to a plain fork of the program is the fork's alone", "[process][run]") {
    for (const char* when : {"early", "late"}) {
        CAPTURE(when);
        const auto end = outcome_of({"strike_a_fork", when});
        INFO(end.output);
        CHECK(end.says("the fork's signal " + std::to_string(SIGTERM) + "\n"));
        CHECK(end.exited_with(0));
    }
    const auto handled = outcome_of({"strike_a_fork", "handled"});
    CHECK(handled.says("the fork's code 4\n"));
    CHECK(handled.exited_with(0));
}

namespace {

/// What the actor says on a terminal where Ctrl-C is typed as soon as it is ready; and its status.
outcome interrupted_at_terminal(const char* verb) {
    int terminal = -1;
    const ::pid_t pid = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    if (pid == 0) {
        ::execl(COPROC_ACTOR, COPROC_ACTOR, verb, nullptr);
        ::_exit(127);
    }
    REQUIRE(pid > 0);
    outcome end{};
    std::array<char, 4096> piece;
    bool typed = false;
    for (ssize_t count = 0; (count = ::read(terminal, piece.data(), piece.size())) > 0;) {
        end.output.append(piece.data(), static_cast<std::size_t>(count));
        if (!typed && end.says("ready ")) typed = ::write(terminal, "\x03", 1) == 1;
    }
    ::waitpid(pid, &end.status, 0);
    ::close(terminal);
    return end;
}

}  // namespace

TEST_CASE("run: a terminal's Ctrl-C is the parent's business", "[process][run]") {
    const auto end = interrupted_at_terminal("wait_with_children");
    CHECK(end.killed_by(SIGINT));
    CHECK(end.says("child was canceled"));  // asked, not struck
    CHECK(end.says("app was canceled"));
}

TEST_CASE("run: a terminal's Ctrl-C does not strike a child that is still being started",
          "[process][run]") {
    const auto end = interrupted_at_terminal("wait_for_signal_in_a_start");
    INFO(end.output);
    CHECK(end.killed_by(SIGINT));
    CHECK(end.says("app was canceled"));
    CHECK(end.says("child: exitcode 20"));
}

// -- children at the end

TEST_CASE("run: daemons are terminated at the end", "[process][run]") {
    actor one({"leave_daemon"});
    const int daemon = std::stoi(one.line_after("daemon "));
    CHECK(end_of(one).exited_with(0));
    CHECK_FALSE(is_running(daemon));
}

TEST_CASE("run: a daemon that ignores it is killed after two seconds", "[process][run]") {
    actor one({"leave_deaf_daemon"});
    const int daemon = std::stoi(one.line_after("daemon "));
    CHECK(end_of(one).exited_with(0));
    CHECK_FALSE(is_running(daemon));
}

TEST_CASE("run: other children are joined, however long they take", "[process][run]") {
    const auto end = outcome_of({"leave_child"});
    CHECK(end.exited_with(0));
    CHECK(end.output == "app has returned\nparent is about to let the child go\nchild ended\n");
}

TEST_CASE("run: when the task fails, the children are stopped", "[process][run]") {
    actor one({"fail_with_children"});
    const int child = std::stoi(one.line_after("child "));
    const int daemon = std::stoi(one.line_after("daemon "));
    const auto end = end_of(one);
    CHECK(end.exited_with(1));
    CHECK(end.says("child was canceled"));
    CHECK_FALSE(is_running(child));
    CHECK_FALSE(is_running(daemon));
}

TEST_CASE("run: a start that is still going on at the end is finished, and the child joined",
          "[process][run]") {
    const auto end = outcome_of({"leave_start"});
    CHECK(end.exited_with(0));
    CHECK(end.output.starts_with("app has returned\n"));
    CHECK(end.says("\nstarted\n"));
    CHECK(end.says("\nchild ended\n"));
}

TEST_CASE("run: what is to be preloaded may be said before it", "[process][run]") {
    CHECK(outcome_of({"preload_first"}).exited_with(7));
}

// -- the log

TEST_CASE("run: logs a family's life as Python does", "[process][run]") {
    const auto end = outcome_of({"log"});
    CHECK(end.exited_with(0));
    for (const char* line :
         {"[DEBUG/MainProcess] started process process 0 with pid ",
          "[INFO/process 0] child process calling its target\n",
          "[INFO/process 0] process exiting with exitcode 0\n",
          "[INFO/process 0] process shutting down\n", "[INFO/MainProcess] process shutting down\n",
          "[INFO/MainProcess] calling terminate() for daemon process 1\n",
          "[INFO/MainProcess] calling join() for process process 1\n"}) {
        CAPTURE(line);
        CHECK(end.says(line));
    }
    CHECK(end.output.find("[INFO/process 0] process shutting down\n") <
          end.output.find("[INFO/process 0] process exiting with exitcode 0\n"));
    CHECK(end.output.find("[INFO/MainProcess] process shutting down\n") <
          end.output.find("[INFO/MainProcess] calling terminate()"));
}

// -- who may start

TEST_CASE("run: a program without run or run_if_child starts nothing, and is told what to do",
          "[process][run]") {
    const auto end = outcome_of({"unbootstrapped"});
    CHECK(end.exited_with(0));
    CHECK(end.says("start: "));
    CHECK(end.says("run_if_child"));
    CHECK(end.says("initial)>"));
}

TEST_CASE("run: a program whose file has been deleted starts children as before",
          "[process][run]") {
    const auto copy =
        std::filesystem::temp_directory_path() / ("coproc-deleted-" + std::to_string(::getpid()));
    std::filesystem::copy_file(COPROC_ACTOR, copy);
    const ::pid_t pid = ::fork();
    if (pid == 0) {
        ::execl(copy.c_str(), copy.c_str(), "deleted", nullptr);
        ::_exit(127);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    CHECK_FALSE(std::filesystem::exists(copy));
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("run: a host that has closed its first fds passes none of ours on", "[process][run]") {
    const auto end = outcome_of({"closed_fds"});
    INFO(end.output);
    CHECK(end.exited_with(0));
    // A child's first fds are its own, closed or /dev/null: no socket, pipe or eventfd of the
    // parent's.
    CHECK_FALSE(end.says("fd of the child: socket"));
    CHECK_FALSE(end.says("fd of the child: pipe"));
    CHECK_FALSE(end.says("fd of the child: anon_inode"));
    CHECK(end.says("ended: exitcode 0"));
}
