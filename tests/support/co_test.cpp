#include "support/co_test.hpp"

#include "engine/loop.hpp"
#include "support/command.hpp"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>

namespace coproc::testing {

namespace {

std::vector<std::string> open_fds() {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;  // the directory's own fd, while it is being read
        const auto target = std::filesystem::read_symlink(entry.path(), gone);
        if (target == "/proc/" + std::to_string(::getpid()) + "/fd") continue;
        found.push_back(entry.path().filename().string() + " -> " + target.string());
    }
    std::sort(found.begin(), found.end());
    return found;
}

/// The pid of a child that has ended and that nobody has reaped, or 0.
::pid_t zombie() {
    ::siginfo_t info{};
    const int status = ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    return status == 0 ? info.si_pid : 0;
}

/// The kernel's line of each: its name, its state and so on.
std::string described(const std::vector<::pid_t>& processes) {
    std::string lines;
    for (const ::pid_t one : processes) {
        std::ifstream file("/proc/" + std::to_string(one) + "/stat");
        std::string line;
        std::getline(file, line);
        lines += line + "\n";
    }
    return lines;
}

std::exception_ptr run_body(runtime& rt, task<void> body) {
    try {
        rt.run(std::move(body));
    } catch (...) {
        return std::current_exception();
    }
    return nullptr;
}

/// libuv opens a few fds with a program's first loop, and keeps them.
void make_first_loop() { [[maybe_unused]] static const bool made = runtime::create().has_value(); }

}  // namespace

leak_check::leak_check() {
    make_first_loop();
    fds_ = open_fds();
    children_ = children_of(::getpid());
}

void leak_check::done() const {
    CHECK(open_fds() == fds_);
    CHECK(zombie() == 0);
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    auto children = children_of(::getpid());
    while (children != children_ && std::chrono::steady_clock::now() < limit) {
        ::sched_yield();  // a thread or a killer of the test may be at its last child
        children = children_of(::getpid());
    }
    INFO(described(children));
    CHECK(children == children_);
}

void run_and_check(task<void> body) {
    const leak_check leaks;
    std::exception_ptr thrown;
    {
        auto rt = runtime::create().value();
        thrown = run_body(rt, std::move(body));
        const detail::cancel_scope nobody(rt.home());
        const bool task_left = rt.home().task_to_end() != nullptr;
        if (!thrown) CHECK_FALSE(task_left);
        rt.run(rt.shutdown()).value();
    }
    if (thrown) std::rethrow_exception(thrown);
    leaks.done();
}

}  // namespace coproc::testing
