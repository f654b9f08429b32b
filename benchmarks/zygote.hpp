#pragma once
// The bare system calls of a fork server: a copy of this program, executed once, that clones a
// child of its parent for every request; the child reads its job, does it, reports and exits.

#include "workers.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <uv.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

namespace coproc::bench {

inline constexpr const char* zygote_variable = "COPROC_BENCH_ZYGOTE=1";
inline constexpr int zygote_fd = 3;

/// What a child is to call, as a distance that is the same in all copies of the program.
struct job {
    std::ptrdiff_t function;
    int argument;
};

inline int anchor(int code) { return code; }

inline bool send_with_fds(int socket, std::span<const int> fds) {
    char byte = 0;
    ::iovec part{&byte, 1};
    alignas(::cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> space{};
    ::msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    ::cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
    return ::sendmsg(socket, &message, 0) == 1;
}

inline bool receive_with_fds(int socket, std::span<int> fds) {
    char byte = 0;
    ::iovec part{&byte, 1};
    alignas(::cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> space{};
    ::msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    if (::recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1) return false;
    const ::cmsghdr* const header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_len != CMSG_LEN(fds.size_bytes())) return false;
    std::memcpy(fds.data(), CMSG_DATA(header), fds.size_bytes());
    return true;
}

[[noreturn]] inline void live_as_child(std::span<const int> fds) {
    ::close(zygote_fd);
    for (int fd = 0; fd <= 2; ++fd) {
        ::dup2(fds[static_cast<std::size_t>(fd) + 1], fd);
        ::close(fds[static_cast<std::size_t>(fd) + 1]);
    }
    job mine{};
    must(::read(fds[0], &mine, sizeof mine) == sizeof mine);
    using function = int (*)(int);
    const auto place = reinterpret_cast<std::intptr_t>(&anchor) + mine.function;
    const int code = reinterpret_cast<function>(place)(mine.argument);
    must(::write(fds[0], &code, sizeof code) == sizeof code);
    std::exit(code);
}

/// What main() does in the copy.
[[noreturn]] inline void serve_as_zygote() {
    ::pid_t* thread_id = nullptr;
    ::prctl(PR_GET_TID_ADDRESS, &thread_id);
    for (;;) {
        std::array<int, 4> fds{};
        if (!receive_with_fds(zygote_fd, fds)) ::_exit(0);
        const unsigned long flags =
            CLONE_PARENT | CLONE_PIDFD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
        int pidfd = -1;
        if (::syscall(SYS_clone, flags, nullptr, &pidfd, thread_id, 0) == 0) live_as_child(fds);
        must(send_with_fds(zygote_fd, std::span(&pidfd, 1)));
        ::close(pidfd);
        for (const int fd : fds) ::close(fd);
    }
}

/// The application's side, on a libuv loop.
class zygote {
 public:
    zygote() {
        int ends[2];
        must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        socket_ = ends[0];
        server_ = ::fork();
        if (server_ == 0) {
            ::dup2(ends[1], zygote_fd);
            char name[] = "bench";
            char variable[32];
            std::strcpy(variable, zygote_variable);
            char* const arguments[] = {name, nullptr};
            char* const environment[] = {variable, nullptr};
            ::execve("/proc/self/exe", arguments, environment);
            ::_exit(127);
        }
        ::close(ends[1]);
        uv_loop_init(&loop_);
        uv_poll_init(&loop_, &answers_, socket_);
        answers_.data = this;
    }
    zygote(const zygote&) = delete;
    zygote& operator=(const zygote&) = delete;
    ~zygote() {
        for (const auto& one : kept_) {
            must(::syscall(SYS_pidfd_send_signal, one->pidfd, SIGKILL, nullptr, 0) == 0);
            uv_ref(reinterpret_cast<uv_handle_t*>(&one->end));
        }
        uv_close(reinterpret_cast<uv_handle_t*>(&answers_), nullptr);
        uv_run(&loop_, UV_RUN_DEFAULT);
        uv_loop_close(&loop_);
        ::close(socket_);
        ::waitpid(server_, nullptr, 0);
    }

    /// Its exit code, or -1.
    int run(int (*function)(int), int argument) {
        child one;
        start(one, function, argument);
        uv_run(&loop_, UV_RUN_DEFAULT);
        return one.code;
    }

    /// One that lives, and is watched, as long as this.
    void keep(int (*function)(int), int argument) {
        child& one = *kept_.emplace_back(std::make_unique<child>());
        one.is_kept = true;
        start(one, function, argument);
        uv_run(&loop_, UV_RUN_DEFAULT);
    }

 private:
    struct child {
        child() = default;
        child(const child&) = delete;
        child& operator=(const child&) = delete;
        ~child() {
            ::close(control);
            ::close(pidfd);
        }

        uv_poll_t end{};
        job work{};
        int control = -1;
        int pidfd = -1;
        int code = -1;
        bool is_kept = false;
    };

    /// The loop then runs until its end; of one that is kept, until its job has been sent.
    void start(child& one, int (*function)(int), int argument) {
        one.work = {
            reinterpret_cast<std::intptr_t>(function) - reinterpret_cast<std::intptr_t>(&anchor),
            argument};
        int ends[2];
        must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        one.control = ends[0];
        const int fds[] = {ends[1], 0, 1, 2};
        must(send_with_fds(socket_, fds));
        ::close(ends[1]);
        starting_ = &one;
        uv_poll_start(&answers_, UV_READABLE, [](uv_poll_t* self, int, int) {
            static_cast<zygote*>(self->data)->on_answer();
        });
    }
    void on_answer() {
        child& one = *starting_;
        must(receive_with_fds(socket_, std::span(&one.pidfd, 1)));
        uv_poll_stop(&answers_);
        must(::write(one.control, &one.work, sizeof one.work) == sizeof one.work);
        uv_poll_init(&loop_, &one.end, one.pidfd);
        one.end.data = &one;
        uv_poll_start(&one.end, UV_READABLE,
                      [](uv_poll_t* self, int, int) { on_end(*static_cast<child*>(self->data)); });
        if (one.is_kept) uv_unref(reinterpret_cast<uv_handle_t*>(&one.end));
    }
    static void on_end(child& one) {
        int reported = -1;
        ::siginfo_t info{};
        ::waitid(P_PIDFD, static_cast<::id_t>(one.pidfd), &info, WEXITED | WNOHANG);
        if (::read(one.control, &reported, sizeof reported) == sizeof reported) {
            one.code = reported == info.si_status ? reported : -1;
        }
        uv_close(reinterpret_cast<uv_handle_t*>(&one.end), nullptr);
    }

    uv_loop_t loop_{};
    uv_poll_t answers_{};
    int socket_ = -1;
    ::pid_t server_ = 0;
    child* starting_ = nullptr;
    std::vector<std::unique_ptr<child>> kept_;
};

}  // namespace coproc::bench
