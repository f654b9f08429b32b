#include "support/processes.hpp"

#include <coproc/sleep.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>

extern char** environ;

namespace coproc::testing {

bool is_long() { return std::getenv("COPROC_TEST_LONG") != nullptr; }

task<result<exit_status>> run_to_end(process& one) {
    COPROC_CO_TRY(co_await one.start());
    co_return co_await one.join();
}

task<bool> eventually(std::function<bool()> condition) {
    const auto until = clock::now() + std::chrono::seconds(10);
    while (!condition()) {
        if (clock::now() > until) co_return false;
        (co_await sleep_for(std::chrono::milliseconds(1))).value();
    }
    co_return true;
}

bool is_running(::pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    if (!std::getline(file, text)) return false;
    const auto after_name = text.rfind(')');
    const char state = after_name == std::string::npos ? 'X' : text.at(after_name + 2);
    return state != 'Z' && state != 'X';
}

quiet_stderr::quiet_stderr() : before_(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) {
    const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(null, STDERR_FILENO);
    ::close(null);
}

quiet_stderr::~quiet_stderr() {
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
}

actor::actor(std::vector<std::string> arguments, const std::string& program) {
    arguments.insert(arguments.begin(), program);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    ::posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    const int failed =
        ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, pointers.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    output_ = ends[0];
    REQUIRE(failed == 0);
}

actor::~actor() {
    if (pid_ != 0) {
        ::kill(pid_, SIGKILL);
        wait();
    }
    ::close(output_);
}

std::string actor::line() {
    for (;;) {
        if (const auto end = read_.find('\n'); end != std::string::npos) {
            std::string first = read_.substr(0, end);
            read_.erase(0, end + 1);
            return first;
        }
        std::array<char, 4096> piece;
        const ssize_t count = ::read(output_, piece.data(), piece.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return std::exchange(read_, {});
        read_.append(piece.data(), static_cast<std::size_t>(count));
    }
}

std::string actor::line_after(const std::string& begin) {
    std::string seen;
    for (;;) {
        std::string next = line();
        if (next.starts_with(begin)) return next.substr(begin.size());
        seen += next + "\n";
        if (next.empty() && read_.empty()) FAIL("no line begins with " << begin << ":\n" << seen);
    }
}

std::string actor::rest() {
    std::string all;
    for (std::string next = line(); !next.empty(); next = line()) all += next + "\n";
    return all;
}

void actor::send_signal(int number) const { ::kill(pid_, number); }

int actor::wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
    pid_ = 0;
    return status;
}

}  // namespace coproc::testing
