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
#include <functional>
#include <iterator>

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

/// What is in just one of the two; both are in order.
template <class T>
std::vector<T> differences(const std::vector<T>& before, const std::vector<T>& now) {
    std::vector<T> all;
    std::ranges::set_symmetric_difference(before, now, std::back_inserter(all));
    return all;
}

/// The kernel's line of a process: its name, its state and so on.
std::string described(::pid_t process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string line;
    std::getline(file, line);
    return line;
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

std::string leak_check::left(std::chrono::nanoseconds patience) const {
    std::string found;
    for (const std::string& fd : differences(fds_, open_fds())) found += "fd " + fd + "\n";
    if (const ::pid_t one = zombie(); one != 0) found += "zombie " + std::to_string(one) + "\n";
    const auto limit = std::chrono::steady_clock::now() + patience;
    auto children = differences(children_, children_of(::getpid()));
    while (!children.empty() && std::chrono::steady_clock::now() < limit) {
        ::sched_yield();  // a thread or a killer of the test may be at its last child
        children = differences(children_, children_of(::getpid()));
    }
    for (const ::pid_t one : children) {
        found += "child " + std::to_string(one) + ": " + described(one) + "\n";
    }
    return found;
}

void leak_check::done() const { CHECK(left() == ""); }

void run_and_check(task<void> body) {
    const leak_check leaks;
    std::exception_ptr thrown;
    {
        auto rt = runtime::create().value();
        thrown = run_body(rt, std::move(body));
        const detail::cancel_scope nobody(rt.home());
        // The library's own errands are not the body's to end.
        const bool task_left = rt.home().find_task(std::mem_fn(&detail::root::is_callers));
        if (!thrown) CHECK_FALSE(task_left);
        rt.run(rt.shutdown()).value();
    }
    if (thrown) std::rethrow_exception(thrown);
    leaks.done();
}

}  // namespace coproc::testing
