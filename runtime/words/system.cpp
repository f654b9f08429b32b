#include "words/system.hpp"

#include "words/attempt.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace coproc::detail {

void unique_fd::reset(int fd) noexcept {
    // close() must not be repeated after EINTR on Linux: the fd is gone.
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
}

}  // namespace coproc::detail

namespace coproc::system {

namespace {

constinit std::atomic<fault_hook> current_hook = nullptr;

}  // namespace

result<unique_fd> clear_of_standard_fds(unique_fd fd) {
    if (fd.get() > STDERR_FILENO) return fd;
    return duplicate(fd.get(), STDERR_FILENO + 1);
}

void set_fault_hook(fault_hook hook) noexcept {
    current_hook.store(hook, std::memory_order_relaxed);
}

int injected_fault(const char* call) noexcept {
    const fault_hook hook = current_hook.load(std::memory_order_relaxed);
    return hook == nullptr ? 0 : hook(call);
}

error last_error(const char* call) {
    return {std::error_code(errno, std::system_category()), call};
}

result<std::array<unique_fd, 2>> socket_pair() {
    return attempt_fds("socketpair", [](int* ends) {
        return ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends);
    });
}

result<std::array<unique_fd, 2>> pipe() {
    return attempt_fds("pipe2", [](int* ends) { return ::pipe2(ends, O_CLOEXEC); });
}

result<unique_fd> event_fd() {
    return attempt_fd("eventfd", [] { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); });
}

result<unique_fd> open_read_only(const char* path) {
    return attempt_fd("open", [&] { return ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
}

result<unique_fd> open_directory(const char* path) {
    return attempt_fd("open", [&] { return ::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC); });
}

result<unique_fd> duplicate(int fd, int lowest) {
    return attempt_fd("dup", [&] { return ::fcntl(fd, F_DUPFD_CLOEXEC, lowest); });
}

result<void> set_nonblocking(int fd) {
    return attempt_void("fcntl", [&] {
        const int flags = ::fcntl(fd, F_GETFL);
        return flags < 0 ? flags : ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    });
}

result<void> make_public(int fd) {
    return attempt_void("fchmod", [&] { return ::fchmod(fd, 0444); });
}

result<void> shut_down(int socket, int how) {
    return attempt_void("shutdown", [&] { return ::shutdown(socket, how); });
}

result<std::size_t> read(int fd, std::span<std::byte> into) {
    return attempt_io("read", [&] { return ::read(fd, into.data(), into.size()); });
}

result<std::size_t> write(int fd, std::span<const std::byte> from) {
    return attempt_io("write", [&] { return ::write(fd, from.data(), from.size()); });
}

result<std::size_t> send(int socket, const ::msghdr& message) {
    return attempt_io("sendmsg",
                      [&] { return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT); });
}

result<std::size_t> receive(int socket, ::msghdr& message) {
    return attempt_io("recvmsg",
                      [&] { return ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT); });
}

void wait_for_room(int socket) noexcept {
    ::pollfd waiting{socket, POLLOUT, 0};
    while (::poll(&waiting, 1, -1) < 0 && errno == EINTR) {}
}

void write_to_stderr(const std::string& line) noexcept {
    ::sigset_t broken_pipe;
    ::sigset_t before;
    ::sigset_t pending;
    ::sigemptyset(&broken_pipe);
    ::sigaddset(&broken_pipe, SIGPIPE);
    ::sigpending(&pending);
    ::pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
    // Ours is taken back; one that was pending before is not ours.
    if (written < 0 && errno == EPIPE && ::sigismember(&pending, SIGPIPE) == 0) {
        const ::timespec now{};
        ::sigtimedwait(&broken_pipe, nullptr, &now);
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

result<std::string> read_file(const char* path) {
    COPROC_TRY(const unique_fd file, open_read_only(path));
    std::string text;
    for (;;) {
        std::array<char, 4096> piece;
        COPROC_TRY(const std::size_t count,
                   read(file.get(), std::as_writable_bytes(std::span(piece))));
        if (count == 0) return text;
        text.append(piece.data(), count);
    }
}

result<peer> socket_peer(int socket) {
    ::ucred who{};
    ::socklen_t size = sizeof who;
    COPROC_TRY(attempt_void(
        "getsockopt", [&] { return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size); }));
    return peer{who.pid, who.uid};
}

bool is_unix_stream(int fd) noexcept {
    int domain = 0;
    int type = 0;
    ::socklen_t size = sizeof domain;
    if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return false;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return false;
    return domain == AF_UNIX && type == SOCK_STREAM;
}

bool is_event_fd(int fd) noexcept {
    const std::string link = "/proc/thread-self/fd/" + std::to_string(fd);
    std::array<char, 32> name{};
    const ssize_t size = ::readlink(link.c_str(), name.data(), name.size());
    return size > 0 &&
           std::string_view(name.data(), static_cast<std::size_t>(size)) == "anon_inode:[eventfd]";
}

bool is_readable(int fd) noexcept {
    ::pollfd asked{fd, POLLIN, 0};
    return ::poll(&asked, 1, 0) > 0;
}

void wait_until_readable(int fd, std::chrono::milliseconds longest) noexcept {
    ::pollfd asked{fd, POLLIN, 0};
    ::poll(&asked, 1, static_cast<int>(longest.count()));
}

result<void> signal_process(int pidfd, int signal) {
    return attempt_void("pidfd_send_signal", [&] {
        return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
    });
}

bool is_process(int fd) noexcept {
    const auto asked = signal_process(fd, 0);
    return asked || asked.error() == std::errc::no_such_process ||
           asked.error() == std::errc::operation_not_permitted;
}

result<unique_fd> open_process(::pid_t pid) {
    return attempt_fd("pidfd_open", [&] { return ::syscall(SYS_pidfd_open, pid, 0); });
}

result<void> keep_across_exec(int fd) {
    return attempt_void("fcntl", [&] { return ::fcntl(fd, F_SETFD, 0); });
}

result<void> kill_on_end_of(int pipe_read_end, ::pid_t whom) {
    COPROC_TRY(attempt_void("fcntl", [&] { return ::fcntl(pipe_read_end, F_SETOWN, whom); }));
    COPROC_TRY(attempt_void("fcntl", [&] { return ::fcntl(pipe_read_end, F_SETSIG, SIGKILL); }));
    return attempt_void(
        "fcntl", [&] { return ::fcntl(pipe_read_end, F_SETFL, O_RDONLY | O_NONBLOCK | O_ASYNC); });
}

namespace {

/// struct pidfd_info and PIDFD_GET_INFO of linux/pidfd.h, which Debian 12's headers do not have.
/// Layout and numbers: Linux 6.15, include/uapi/linux/pidfd.h.
struct pidfd_info {
    std::uint64_t mask;
    std::uint64_t cgroupid;
    std::uint32_t pid, tgid, ppid;
    std::uint32_t ids[8];
    std::int32_t exit_code;
};
static_assert(sizeof(pidfd_info) == 64);
constexpr std::uint64_t pidfd_info_exit = 1U << 3;
constexpr unsigned long pidfd_get_info = _IOWR(0xFF, 11, pidfd_info);

end_of_process from_wait_status(int status) {
    if (WIFSIGNALED(status)) return {-WTERMSIG(status), WCOREDUMP(status) != 0, std::nullopt};
    return {WEXITSTATUS(status), false, std::nullopt};
}

/// Asks the kernel for the status of a process that somebody else has reaped. The pidfd is
/// readable, and waitid() no longer knows the process, a little before the kernel has written the
/// status down: until then it answers without the bit, and with ESRCH if it never will.
result<end_of_process> status_of_reaped(int pidfd) {
    pidfd_info info{};
    info.mask = pidfd_info_exit;
    const int done = attempt("pidfd_info", [&] { return ::ioctl(pidfd, pidfd_get_info, &info); });
    if (done < 0) return errc::status_lost;
    if ((info.mask & pidfd_info_exit) == 0) return errc::would_block;
    return from_wait_status(info.exit_code);
}

}  // namespace

bool is_child(int pidfd) noexcept {
    ::siginfo_t info{};
    const int how = WEXITED | WNOHANG | WNOWAIT | __WALL;
    return ::waitid(P_PIDFD, static_cast<::id_t>(pidfd), &info, how) == 0;
}

void wait_for_end(int pidfd) noexcept {
    ::siginfo_t info{};
    while (::waitid(P_PIDFD, static_cast<::id_t>(pidfd), &info, WEXITED | __WALL) < 0 &&
           errno == EINTR) {}
}

result<end_of_process> reap(int pidfd) {
    ::siginfo_t info{};
    ::rusage usage{};
    // The library function has no place for the usage, the system call does.
    const long done = attempt("waitid", [&] {
        return ::syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOHANG | __WALL, &usage);
    });
    if (done < 0 && errno == ECHILD) return status_of_reaped(pidfd);
    if (done < 0) return last_error("waitid");
    if (info.si_pid == 0) return errc::would_block;
    const bool exited = info.si_code == CLD_EXITED;
    return end_of_process{exited ? info.si_status : -info.si_status, info.si_code == CLD_DUMPED,
                          usage};
}

}  // namespace coproc::system
