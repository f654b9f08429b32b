#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/run.hpp>
#include <coproc/sleep.hpp>
#include <coproc/this_process.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"
#include "support/processes.hpp"
#include "words/system.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using coproc::process;
using coproc::task;
using coproc::testing::ask;
using coproc::testing::run_to_end;

namespace {

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> lines_of(const std::string& path, const std::string& begin) {
    std::ifstream file(path);
    std::vector<std::string> found;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with(begin)) found.push_back(line);
    }
    return found;
}

/// All that a process can find out about itself when its target begins.
struct surroundings {
    std::string name;
    int pid;
    int parent_pid;
    bool daemon;
    std::string parent_name;
    int pid_of_parent;
    bool parent_is_alive;
    std::map<int, std::string> fds;
    std::vector<std::string> signals;
    std::vector<int> handled;
    std::string directory;
    unsigned umask;
    int nice;
    std::uint64_t file_limit;
    std::string environment;
    std::string arguments;
    std::string comm;
    bool has_marker;
};

surroundings look_around() {
    surroundings seen{};
    const auto& self = coproc::current_process();
    seen.name = self.name();
    seen.pid = self.pid();
    seen.parent_pid = self.parent_pid();
    seen.daemon = self.daemon();
    if (const auto parent = coproc::parent_process()) {
        seen.parent_name = parent->name();
        seen.pid_of_parent = parent->pid();
        seen.parent_is_alive = parent->is_alive();
    }
    std::vector<std::filesystem::path> entries;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        entries.push_back(entry.path());
    }
    for (const auto& path : entries) {
        std::error_code gone;  // the directory's own fd
        const auto link = std::filesystem::read_symlink(path, gone);
        if (!gone) seen.fds[std::stoi(path.filename())] = link.string();
    }
    for (const char* kind : {"SigBlk", "SigIgn"}) {
        for (auto& line : lines_of("/proc/self/status", kind)) seen.signals.push_back(line);
    }
    for (int number = 1; number < 32; ++number) {
        struct sigaction action{};
        ::sigaction(number, nullptr, &action);
        if (action.sa_handler != SIG_DFL) seen.handled.push_back(number);
    }
    seen.directory = std::filesystem::current_path().string();
    seen.umask = ::umask(0);
    ::umask(seen.umask);
    seen.nice = ::getpriority(PRIO_PROCESS, 0);
    ::rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    seen.file_limit = limit.rlim_cur;
    const char* variable = std::getenv("COPROC_TEST_VARIABLE");
    seen.environment = variable == nullptr ? "" : variable;
    seen.arguments = read_file("/proc/self/cmdline");
    seen.comm = read_file("/proc/self/comm");
    seen.has_marker = std::getenv("COPROC_BOOTSTRAP") != nullptr;
    return seen;
}

/// A plain target's surroundings: no runtime is made before it looks.
task<void> tell(coproc::connection to, surroundings seen) { (co_await to.send(seen)).value(); }
void look_and_tell(coproc::connection to) {
    surroundings seen = look_around();
    auto rt = coproc::runtime::create().value();
    rt.run(tell(std::move(to), std::move(seen)));
}

/// The fds that are no business of libuv's, of the sanitizers' or of the test's connection.
std::vector<int> unexpected(const surroundings& seen) {
    std::vector<int> found;
    for (const auto& [fd, link] : seen.fds) {
        const bool ours = link.starts_with("socket:") || link.starts_with("pipe:");
        if (fd > 2 && !ours) found.push_back(fd);
    }
    return found;
}

}  // namespace

CO_TEST_CASE("this_process: a process that nobody has started is MainProcess", "[process]") {
    const auto& self = coproc::current_process();
    CHECK(self.name() == "MainProcess");
    CHECK(self.pid() == ::getpid());
    CHECK(self.parent_pid() == ::getppid());
    CHECK_FALSE(self.daemon());
    CHECK_FALSE(coproc::parent_process().has_value());
    CHECK_FALSE(coproc::run_if_child().has_value());  // called again: empty
    CHECK(&self == &coproc::current_process());
    co_return;
}

CO_TEST_CASE("this_process: a child knows itself and its parent", "[process]") {
    const auto answer =
        co_await ask<surroundings>({.name = "curious", .daemon = true}, look_and_tell);
    const surroundings& seen = answer.value();
    CHECK(seen.name == "curious");
    CHECK(seen.daemon);
    CHECK(seen.pid != ::getpid());
    CHECK(seen.parent_pid == ::getpid());
    CHECK(seen.parent_name == "MainProcess");
    CHECK(seen.pid_of_parent == ::getpid());
    CHECK(seen.parent_is_alive);
}

CO_TEST_CASE("this_process: a child looks like the program that started it", "[process]") {
    const auto answer = co_await ask<surroundings>({}, look_and_tell);
    const surroundings& seen = answer.value();
    CHECK(seen.arguments == read_file("/proc/self/cmdline"));
    CHECK(seen.comm == read_file("/proc/self/comm"));
    CHECK_FALSE(seen.has_marker);
}

CO_TEST_CASE(
    "this_process: a child begins with directory, umask, environment, limits and nice "
    "value of the moment of its start",
    "[process]") {
    // Constructed before all of it is changed.
    auto [ours, theirs] = coproc::pipe().value();
    process p(look_and_tell, std::move(theirs));
    const auto directory = std::filesystem::current_path();
    const ::mode_t mask = ::umask(0027);
    ::rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    ::rlimit lower = before;
    lower.rlim_cur = 200;
    ::setrlimit(RLIMIT_NOFILE, &lower);
    std::filesystem::current_path("/proc");
    ::setenv("COPROC_TEST_VARIABLE", "of the moment", 1);
    const auto started = co_await p.start();
    std::filesystem::current_path(directory);
    ::umask(mask);
    ::setrlimit(RLIMIT_NOFILE, &before);
    ::unsetenv("COPROC_TEST_VARIABLE");
    started.value();
    const auto seen = (co_await ours.recv<surroundings>()).value();
    (co_await p.join()).value();
    CHECK(seen.directory == "/proc");
    CHECK(seen.umask == 0027);
    CHECK(seen.environment == "of the moment");
    CHECK(seen.file_limit == 200);
    CHECK(seen.nice == ::getpriority(PRIO_PROCESS, 0));
}

CO_TEST_CASE("this_process: a child has no signal blocked or ignored, and handles only SIGINT",
             "[process]") {
    ::sigset_t blocked;
    ::sigset_t before;
    ::sigfillset(&blocked);
    ::pthread_sigmask(SIG_SETMASK, &blocked, &before);
    struct sigaction old_usr1{};
    struct sigaction old_pipe{};
    struct sigaction ignored{};
    ignored.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignored, &old_pipe);
    ignored.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &ignored, &old_usr1);
    const auto answer = co_await ask<surroundings>({}, look_and_tell);
    ::sigaction(SIGPIPE, &old_pipe, nullptr);
    ::sigaction(SIGUSR1, &old_usr1, nullptr);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    const surroundings& seen = answer.value();
    CHECK(seen.signals ==
          std::vector<std::string>{"SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"});
    auto handled = seen.handled;
    for (const int sanitizers : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}) {
        std::erase(handled, sanitizers);
    }
    CHECK(handled == std::vector<int>{SIGINT});
}

CO_TEST_CASE("this_process: of a parent's many fds a child has 0 to 2 and what it was given",
             "[process]") {
    for (const char* probe : {"", "probe close_range"}) {
        static const char* refused = nullptr;
        refused = probe;
        coproc::system::set_fault_hook([](const char* call) noexcept {
            return std::string_view(call) == refused ? ENOSYS : 0;
        });
        std::vector<coproc::unique_fd> open;  // inherited by whatever does not close them
        for (int i = 0; i < 500; ++i) open.emplace_back(::open("/dev/zero", O_RDONLY));
        const auto answer = co_await ask<surroundings>({}, look_and_tell);
        coproc::system::set_fault_hook(nullptr);
        const surroundings& seen = answer.value();
        CHECK(unexpected(seen) == std::vector<int>{});
        for (int fd = 0; fd <= 2; ++fd) {
            std::error_code none;
            const auto link =
                std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), none);
            const auto found = seen.fds.find(fd);
            REQUIRE(found != seen.fds.end());
            CHECK(found->second == link.string());
        }
        CHECK(seen.fds.size() <= 8);
    }
}

namespace {
/// Is the parent's end reported to a child that asked for it, and not before?
task<int> sees_parent(coproc::event ready) {
    const auto parent = coproc::parent_process();
    if (!parent) co_return 2;
    const auto early = co_await coproc::timeout(5ms, parent->join());
    if (early || early.error() != coproc::errc::timed_out) co_return 3;
    ready.set().value();
    co_return 0;
}
}  // namespace

CO_TEST_CASE("this_process: the parent's end can be awaited, and is not there while it lives",
             "[process]") {
    const auto ready = coproc::event::create().value();
    process p(sees_parent, ready);
    const auto status = (co_await run_to_end(p)).value();
    CHECK(status.code() == 0);
    CHECK(ready.is_set());
}

CO_TEST_CASE("this_process: active_children are those that have not ended", "[process]") {
    CHECK(coproc::active_children().empty());
    const auto until = coproc::event::create().value();
    const auto wait = [](coproc::event stop) -> task<void> { (co_await stop.wait()).value(); };
    process a({.name = "a"}, wait, until);
    process b({.name = "b", .daemon = true}, wait, until);
    CHECK(coproc::active_children().empty());
    (co_await a.start()).value();
    (co_await b.start()).value();
    auto active = coproc::active_children();
    REQUIRE(active.size() == 2);
    CHECK(active[0].name == "a");
    CHECK(active[0].pid == a.pid());
    CHECK_FALSE(active[0].daemon);
    CHECK(active[1].name == "b");
    CHECK(active[1].daemon);
    b.kill().value();
    (co_await b.join()).value();
    active = coproc::active_children();
    REQUIRE(active.size() == 1);
    CHECK(active[0].name == "a");
    until.set().value();
    (co_await a.join()).value();
    CHECK(coproc::active_children().empty());
}

CO_TEST_CASE("this_process: the processors, and those that may be used", "[process]") {
    CHECK(coproc::cpu_count() == static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)));
    CHECK(coproc::usable_cpu_count() >= 1);
    CHECK(coproc::usable_cpu_count() <= coproc::cpu_count());
    process pinned([] {
        ::cpu_set_t all;
        ::cpu_set_t first;
        CPU_ZERO(&first);
        ::sched_getaffinity(0, sizeof all, &all);
        for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&first) == 0; ++i) {
            if (CPU_ISSET(i, &all)) CPU_SET(i, &first);
        }
        ::sched_setaffinity(0, sizeof first, &first);
        return coproc::usable_cpu_count();
    });
    const auto status = (co_await run_to_end(pinned)).value();
    CHECK(status.code() == 1);
}
