// Dumps that are asked for from outside: by a signal, and in a debugger.

#include <coproc/event.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>

#include "support/co_test.hpp"
#include "support/command.hpp"
#include "support/processes.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <future>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using Catch::Contains;
using coproc::result;
using coproc::runtime;
using coproc::task;
using coproc::testing::eventually;

namespace {

task<result<void>> here_for_ever() { co_return co_await coproc::sleep_for(24h); }
task<result<void>> there_for_ever() { co_return co_await coproc::sleep_for(24h); }

/// As many turns of the loop as a signal may take that has arrived.
task<void> settle() {
    for (int i = 0; i < 8; ++i) (co_await coproc::detail::loop_turn()).value();
}

bool is_default(int signal) {
    struct ::sigaction now{};
    ::sigaction(signal, nullptr, &now);
    return now.sa_handler == SIG_DFL;
}

/// Waits for its dump, in a thread of its own.
std::string dump_of_another(std::promise<void>& ready) {
    auto rt = runtime::create().value();
    std::vector<std::string> got;
    rt.dump_on(SIGUSR2, [&](const std::string& text) { got.push_back(text); }).value();
    const auto waiting = rt.spawn(there_for_ever());
    rt.run(settle());
    ready.set_value();
    const bool has_come = rt.run(eventually([&] { return !got.empty(); }));
    rt.run(settle());
    const bool is_one = has_come && got.size() == 1;
    rt.run(rt.shutdown()).value();
    return is_one ? got.front() : std::to_string(got.size()) + " dumps";
}

}  // namespace

TEST_CASE("dump: two runtimes of a program dump on one signal and each says what is its own",
          "[dump]") {
    const coproc::testing::leak_check leaks;
    {
        auto rt = runtime::create().value();
        std::vector<std::string> got;
        rt.dump_on(SIGUSR2, [&](const std::string& text) { got.push_back(text); }).value();
        const auto waiting = rt.spawn(here_for_ever());
        rt.run(settle());
        std::promise<void> ready;
        auto other = std::async(std::launch::async, [&] { return dump_of_another(ready); });
        ready.get_future().wait();
        ::raise(SIGUSR2);
        const std::string theirs = other.get();
        rt.run(settle());
        REQUIRE(got.size() == 1);
        CHECK_THAT(got.front(), Contains("here_for_ever") && !Contains("there_for_ever"));
        CHECK_THAT(theirs, Contains("there_for_ever (dump_signal_test.cpp:"));
        CHECK_THAT(theirs, !Contains("    here_for_ever"));
        // The end of the one is none of the other's.
        CHECK_FALSE(is_default(SIGUSR2));
        ::raise(SIGUSR2);
        rt.run(settle());
        CHECK(got.size() == 2);
        rt.run(rt.shutdown()).value();
    }
    CHECK(is_default(SIGUSR2));
    leaks.done();
}

namespace {

/// A stderr that nobody reads, and that has room for little.
class full_stderr {
 public:
    full_stderr() : before_(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) {
        std::array<int, 2> ends{};
        REQUIRE(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
        room_ = static_cast<std::size_t>(::fcntl(ends[1], F_SETPIPE_SZ, 4096));
        ::dup2(ends[1], STDERR_FILENO);
        ::close(ends[1]);
        output_ = ends[0];
    }
    full_stderr(const full_stderr&) = delete;
    full_stderr& operator=(const full_stderr&) = delete;
    ~full_stderr() {
        restore();
        ::close(output_);
    }
    std::size_t room() const noexcept { return room_; }
    /// What has come, and everything is as before.
    std::string read() {
        restore();
        std::string all(2 * room_, '\0');
        const ssize_t count = ::read(output_, all.data(), all.size());
        all.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
        return all;
    }

 private:
    void restore() {
        if (before_ < 0) return;
        ::dup2(before_, STDERR_FILENO);
        ::close(before_);
        before_ = -1;
    }

    int before_;
    int output_ = -1;
    std::size_t room_ = 0;
};

std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream all(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(all, line);) lines.push_back(line);
    return lines;
}

task<result<void>> wait_for(coproc::event until) { co_return co_await until.wait(); }

}  // namespace

TEST_CASE("dump: where stderr has no room for all of it each line that arrives is whole",
          "[dump]") {
    const coproc::testing::leak_check leaks;
    {
        auto rt = runtime::create().value();
        const auto never = coproc::event::create().value();
        for (int i = 0; i < 200; ++i) (void)rt.spawn(wait_for(never));
        std::string whole;
        rt.dump_on(SIGUSR2, [&](const std::string& text) { whole = text; }).value();
        rt.dump_on(SIGUSR2).value();
        rt.run(settle());
        full_stderr narrow;
        ::raise(SIGUSR2);
        rt.run(settle());
        const std::string got = narrow.read();
        const auto all = lines_of(whole);
        REQUIRE(whole.size() > 2 * narrow.room());
        CHECK(got.size() > narrow.room() / 2);
        CHECK(got.ends_with('\n'));
        // In their order, with some left out.
        auto next = all.begin();
        for (const std::string& line : lines_of(got)) {
            next = std::find(next, all.end(), line);
            CAPTURE(line);
            REQUIRE(next != all.end());
            ++next;
        }
        rt.run(rt.shutdown()).value();
    }
    leaks.done();
}

TEST_CASE("dump: a debugger prints one in a frame that has a runtime", "[dump][process]") {
    if (std::system("gdb --version >/dev/null 2>&1") != 0) {
        WARN("gdb is not installed");
        return;
    }
    coproc::testing::actor program({"stand_still"});
    const std::string pid = program.line_after("ready ");
    coproc::testing::command debugger({"gdb", "-nx", "-batch", "-p", pid, "-ex",
                                       "set print elements 0", "-ex", "frame function stand_still",
                                       "-ex", "print rt.dump()"});
    const auto said = debugger.finish();
    if (said.err.find("ptrace: ") != std::string::npos) {
        WARN("may not be debugged: " << said.err);
        return;
    }
    INFO(said.err);
    CHECK_THAT(said.out, Contains("pid " + pid + "\\ntasks of this runtime:\\n"));
    CHECK_THAT(said.out, Contains("standing_still (actor.cpp:"));
    // It goes on.
    program.send_signal(SIGTERM);
    CHECK(program.rest() == "stands no more\n");
    CHECK(WEXITSTATUS(program.wait()) == 3);
}
