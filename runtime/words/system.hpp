#pragma once
// The system calls that coproc makes, as functions that return results: nobody else sees errno.
//
// Each one first asks the fault hook, so that a test can refuse the Nth call and see what the
// program makes of it. Calls interrupted by a signal are made again. Every fd made here is
// close-on-exec. Thread-safe.

#include <coproc/detail/unique_fd.hpp>
#include <coproc/result.hpp>

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace coproc::system {

using detail::unique_fd;

/// Called with the name of the call that is about to be made; a value other than 0 is the errno
/// that it fails with instead. nullptr switches it off. Must be async-signal-safe: it is also
/// asked between clone and exec.
using fault_hook = int (*)(const char* call) noexcept;
void set_fault_hook(fault_hook hook) noexcept;

/// What the hook says of `call`: 0, or the errno to fail with. For calls made elsewhere.
int injected_fault(const char* call) noexcept;

/// The error of a failed call: errno with the call's name.
error last_error(const char* call);

/// A connected pair of Unix stream sockets, not blocking.
result<std::array<unique_fd, 2>> socket_pair();
/// Read end, write end.
result<std::array<unique_fd, 2>> pipe();
/// A non-blocking eventfd with value 0.
result<unique_fd> event_fd();
/// Does not wait for the other side of a named pipe.
result<unique_fd> open_read_only(const char* path);
/// Only as a place (O_PATH).
result<unique_fd> open_directory(const char* path);
/// Numbered `lowest` or above.
result<unique_fd> duplicate(int fd, int lowest = 3);
result<void> set_nonblocking(int fd);
/// Readable for whoever can open it through /proc.
result<void> make_public(int fd);
result<void> shut_down(int socket, int how);

/// errc::would_block when the fd has nothing or no room. 0 bytes read are the end of the stream.
result<std::size_t> read(int fd, std::span<std::byte> into);
result<std::size_t> write(int fd, std::span<const std::byte> from);
/// Sends without SIGPIPE; errc::end_of_stream when the other end is closed.
result<std::size_t> send(int socket, const ::msghdr& message);
result<std::size_t> receive(int socket, ::msghdr& message);

/// One write, so that another process's line cannot come between; never SIGPIPE. What a full or
/// broken stderr does not take is lost.
void write_to_stderr(const std::string& line) noexcept;

/// Blocks until a send could go on, or would fail.
void wait_for_room(int socket) noexcept;

/// The whole of a small file such as those in /proc.
result<std::string> read_file(const char* path);

struct peer {
    ::pid_t pid;
    ::uid_t uid;
};
/// Who made the socket pair (or connected).
result<peer> socket_peer(int socket);
/// AF_UNIX, SOCK_STREAM?
bool is_unix_stream(int fd) noexcept;
bool is_event_fd(int fd) noexcept;
/// Is it a pidfd? Also of a process that has ended.
bool is_process(int fd) noexcept;
/// Would a read not block now?
bool is_readable(int fd) noexcept;
/// Blocks until it is so, or for `longest`.
void wait_until_readable(int fd, std::chrono::milliseconds longest) noexcept;

result<void> signal_process(int pidfd, int signal);
result<unique_fd> open_process(::pid_t pid);
result<void> keep_across_exec(int fd);
/// SIGKILL as soon as the read end of a pipe is at its end, for a process, or for a process group
/// if the number is negative.
result<void> kill_on_end_of(int pipe_read_end, ::pid_t whom);

/// Ours, and nobody has reaped it?
bool is_child(int pidfd) noexcept;

struct end_of_process {
    int code;  ///< exit code, or -N for signal N
    bool core_dumped;
    std::optional<::rusage> usage;  ///< not known when somebody else reaped the process
};
/// Blocks until the process has ended, and reaps it. For one that is known to be ending.
void wait_for_end(int pidfd) noexcept;

/// Reaps. errc::would_block while it runs; errc::status_lost when somebody else has reaped it and
/// the kernel does not tell (Linux < 6.15).
result<end_of_process> reap(int pidfd);

}  // namespace coproc::system
