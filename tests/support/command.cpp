#include "support/command.hpp"

#include "support/catch.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

namespace coproc::testing {

namespace {

using clock = std::chrono::steady_clock;
using detail::unique_fd;

constexpr std::chrono::seconds patience{100};
constexpr ::uid_t nobody = 65534;

unique_fd open_process(::pid_t pid) {
    return unique_fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

std::array<unique_fd, 2> make_pipe() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    return {unique_fd(ends[0]), unique_fd(ends[1])};
}

std::array<unique_fd, 2> make_terminal() {
    unique_fd ours(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    REQUIRE(::grantpt(ours.get()) == 0);
    REQUIRE(::unlockpt(ours.get()) == 0);
    unique_fd theirs(::open(::ptsname(ours.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    REQUIRE(theirs.get() >= 0);
    return {std::move(ours), std::move(theirs)};
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> made;
    for (const auto& text : texts) made.push_back(const_cast<char*>(text.c_str()));
    return made;
}

/// Appends what is there; false at the end of the stream.
bool read_some(int fd, std::string& into) {
    std::array<char, 65536> buffer;
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size <= 0) return false;  // a terminal's end is EIO
    into.append(buffer.data(), static_cast<std::size_t>(size));
    return true;
}

struct process_state {
    char letter;
    ::pid_t session;
};

std::optional<process_state> state_of(const std::filesystem::path& folder) {
    std::ifstream file(folder / "stat");
    std::string line;
    if (!std::getline(file, line)) return std::nullopt;
    std::istringstream rest(line.substr(line.rfind(')') + 1));
    process_state found{};
    ::pid_t parent = 0;
    ::pid_t group = 0;
    rest >> found.letter >> parent >> group >> found.session;
    return found;
}

std::vector<::pid_t> alive_in_session(::pid_t session) {
    std::vector<::pid_t> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        const auto state = state_of(entry.path());
        const bool alive = state && state->letter != 'Z' && state->letter != 'X';
        if (alive && state->session == session) found.push_back(std::stoi(name));
    }
    return found;
}

/// In the child. Nothing here may allocate: the test program may have threads.
[[noreturn]] void become(int program, char** words, char** environment, const int (&fds)[3],
                         bool as_nobody) {
    ::setsid();
    for (int i = 0; i < 3; ++i) ::dup2(fds[i], i);
    ::ioctl(0, TIOCSCTTY, 0);  // if it is a terminal
    const bool dropped =
        !as_nobody || ::geteuid() != 0 ||
        (::setgroups(0, nullptr) == 0 && ::setgid(nobody) == 0 && ::setuid(nobody) == 0);
    if (dropped && program >= 0) ::fexecve(program, words, environment);
    if (dropped && program < 0) ::execvpe(words[0], words, environment);
    ::_exit(127);
}

}  // namespace

command::command(const std::vector<std::string>& words, const options& how) { start(words, how); }

void command::start(const std::vector<std::string>& words, const options& how) {
    std::vector<char*> arguments = pointers(words);
    arguments.push_back(nullptr);
    std::vector<char*> environment = pointers(how.environment);  // first: getenv finds the first
    for (char** variable = environ; *variable != nullptr; ++variable) {
        environment.push_back(*variable);
    }
    environment.push_back(nullptr);
    // Opened before the rights are dropped that may be needed to get there.
    const unique_fd program(how.as_nobody ? ::open(words.front().c_str(), O_RDONLY | O_CLOEXEC)
                                          : -1);
    const unique_fd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    auto out = make_pipe();
    auto err = how.on_terminal ? make_terminal() : make_pipe();
    const int fds[3] = {how.on_terminal ? err[1].get() : nothing.get(), out[1].get(), err[1].get()};
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
        become(program.get(), arguments.data(), environment.data(), fds, how.as_nobody);
    }
    pidfd_ = open_process(pid_);
    out_ = std::move(out[0]);
    err_ = std::move(err[0]);
}

command::~command() {
    if (pid_ <= 0 || has_ended_) return;
    for (const ::pid_t one : alive_in_session(pid_)) ::kill(one, SIGKILL);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

void command::send_signal(int signal) const { REQUIRE(::kill(pid_, signal) == 0); }

void command::type(std::string_view keys) const {
    REQUIRE(::write(err_.get(), keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
}

/// Waits for the next that happens: output, the end of a stream or that of the program.
void command::pump(clock::time_point limit) {
    std::array<::pollfd, 3> waits{::pollfd{out_.get(), POLLIN, 0}, ::pollfd{err_.get(), POLLIN, 0},
                                  ::pollfd{has_ended_ ? -1 : pidfd_.get(), POLLIN, 0}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - clock::now());
    INFO("stdout: " << ended_.out << "\nstderr: " << ended_.err);
    REQUIRE(left.count() > 0);
    REQUIRE(::poll(waits.data(), waits.size(), static_cast<int>(left.count())) > 0);
    if (waits[0].revents != 0 && !read_some(out_.get(), ended_.out)) out_.reset();
    if (waits[1].revents != 0 && !read_some(err_.get(), ended_.err)) err_.reset();
    if (waits[2].revents == 0) return;
    ended_.left = alive_in_session(pid_);
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, 0) == pid_);
    ended_.code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    has_ended_ = true;
}

void command::wait_for_error(std::string_view text) {
    const auto limit = clock::now() + patience;
    while (ended_.err.find(text) == std::string::npos) {
        REQUIRE(err_.get() >= 0);
        pump(limit);
    }
}

std::string command::first_line() {
    const auto limit = clock::now() + patience;
    while (ended_.out.find('\n') == std::string::npos) {
        REQUIRE(out_.get() >= 0);
        pump(limit);
    }
    return ended_.out.substr(0, ended_.out.find('\n'));
}

ended_command command::finish() {
    const auto limit = clock::now() + patience;
    while (!has_ended_ || out_.get() >= 0 || err_.get() >= 0) pump(limit);
    return std::move(ended_);
}

std::vector<::pid_t> children_of(::pid_t parent) {
    std::vector<::pid_t> found;
    std::error_code gone;
    const std::string folder = "/proc/" + std::to_string(parent) + "/task";
    for (std::filesystem::directory_iterator thread(folder, gone), end; !gone && thread != end;
         thread.increment(gone)) {
        std::ifstream file(thread->path() / "children");
        for (::pid_t one = 0; file >> one;) found.push_back(one);
    }
    std::sort(found.begin(), found.end());
    return found;
}

bool has_open(::pid_t process, const std::string& file) {
    std::error_code gone;
    const std::string folder = "/proc/" + std::to_string(process) + "/fd";
    for (std::filesystem::directory_iterator one(folder, gone), end; !gone && one != end;
         one.increment(gone)) {
        std::error_code closed;
        if (std::filesystem::read_symlink(one->path(), closed) == file) return true;
    }
    return false;
}

void kill_and_wait(::pid_t process) {
    const unique_fd pidfd = open_process(process);
    REQUIRE(pidfd.get() >= 0);
    REQUIRE(::kill(process, SIGKILL) == 0);
    ::pollfd wait{pidfd.get(), POLLIN, 0};
    REQUIRE(::poll(&wait, 1, static_cast<int>(std::chrono::milliseconds(patience).count())) == 1);
}

void wait_until(const std::string& what, const std::function<bool()>& is_true) {
    INFO("waiting until " << what);
    const auto limit = clock::now() + patience;
    while (!is_true()) {
        REQUIRE(clock::now() < limit);
        ::sched_yield();
    }
}

}  // namespace coproc::testing
