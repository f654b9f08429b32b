#include "processes/server_linux.hpp"

#include "processes/birth_register.hpp"
#include "processes/control.hpp"
#include "processes/launch_linux.hpp"
#include "processes/lifeline_linux.hpp"
#include "shared/participant.hpp"
#include "words/system.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>

namespace coproc::detail {

namespace {

/// What the C library has told the kernel of its thread, and a raw clone loses.
struct thread_words {
    /// Where the thread's id is kept: mutexes that know their owner compare it.
    ::pid_t* id = nullptr;
    /// What the kernel gives back of the robust mutexes that a dying thread holds.
    ::robust_list_head* robust = nullptr;
    std::size_t robust_size = 0;
};

result<thread_words> find_thread_words() {
    thread_words mine;
    if (::prctl(PR_GET_TID_ADDRESS, &mine.id) != 0) return system::last_error("PR_GET_TID_ADDRESS");
    if (::syscall(SYS_get_robust_list, 0, &mine.robust, &mine.robust_size) != 0) {
        return system::last_error("get_robust_list");
    }
    return mine;
}

/// As fork() returns, but the new process's parent is ours, and its id is at `written_down` before
/// it runs. Legacy clone: container profiles answer ENOSYS to clone3.
long clone_sibling(const thread_words& mine, int& pidfd, ::pid_t* written_down) {
    if (const int refused = system::injected_fault("clone")) {
        errno = refused;
        return -1;
    }
    const unsigned long flags = CLONE_PARENT | CLONE_PIDFD | CLONE_CHILD_SETTID | SIGCHLD;
    // The kernels do not agree whether the id's place is the fourth or the fifth argument; the
    // other one is for CLONE_SETTLS, and not looked at.
    const long pid = ::syscall(SYS_clone, flags, nullptr, &pidfd, written_down, written_down);
    if (pid == 0) {
        *mine.id = static_cast<::pid_t>(::syscall(SYS_set_tid_address, mine.id));
        ::syscall(SYS_set_robust_list, mine.robust, mine.robust_size);
    }
    return pid;
}

/// Threads other than ours would not be in the children, what they have locked would be.
bool has_one_thread() {
    struct ::stat tasks{};
    return ::stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 2 + 1;
}

result<void> run_preload(const std::optional<code_place>& place) {
    if (!place) return success();
    COPROC_TRY(const void* function, function_at(*place));
    try {
        reinterpret_cast<void (*)()>(const_cast<void*>(function))();
    } catch (const std::exception& thrown) {
        return error(errc::not_supported,
                     std::string("the preload function threw ") + thrown.what());
    } catch (...) {
        return error(errc::not_supported, "the preload function threw");
    }
    return success();
}

void block_signals(bool all) {
    ::sigset_t blocked;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGINT);
    if (all) ::sigfillset(&blocked);
    ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
}

/// The application's stdout shall end when the application closes it.
result<void> let_go_of_standard_fds() {
    const unique_fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (int fd = 0; fd <= 2; ++fd) {
        if (!null || ::dup2(null.get(), fd) < 0) return system::last_error("open /dev/null");
    }
    return success();
}

class server {
 public:
    explicit server(message_socket& application) noexcept : application_(&application) {}

    result<void> prepare(const message_header& order);
    void refuse_all(const error& why);
    unique_fd serve();

 private:
    result<control::service> read(const message_header& order);
    message_header wait_message();
    void wait_for(short event) const;
    void answer(const control::answer& what, int pidfd);
    unique_fd begin_child(std::vector<unique_fd> fds, unsigned standard_fds);

    message_socket* application_;
    unique_fd lifeline_;
    std::optional<birth_register> births_;
    thread_words words_;
};

result<control::service> server::read(const message_header& order) {
    decoder message(application_->body(order), application_->take_fds(order));
    COPROC_TRY(lifeline_, message.take_fd());
    COPROC_TRY(control::expect_protocol(message));
    COPROC_TRY(const auto service, message.get<control::service>());
    if (service.has_birth_register) {
        COPROC_TRY(auto memory, message.take_fd());
        auto births = birth_register::open(std::move(memory));
        if (births) births_.emplace(std::move(births).value());
    }
    return service;
}

result<void> server::prepare(const message_header& order) {
    const auto read_order = read(order);
    application_->drop(order);
    COPROC_TRY(const auto service, read_order);
    COPROC_TRY(die_with_parent(lifeline_.get()));
    if (service.has_binding_variable) ::unsetenv(binding_variable);
    COPROC_TRY(run_preload(service.preload));
    std::fflush(nullptr);  // or each child would print it
    // What a terminal or an administrator sends to the family is not meant for the server.
    block_signals(true);
    COPROC_TRY(let_go_of_standard_fds());
    if (!has_one_thread()) return error(errc::not_supported, "there are threads before run()");
    COPROC_TRY(words_, find_thread_words());
    // Registers what each child would have to register anew.
    (void)this_participant();
    return success();
}

void server::wait_for(short event) const {
    ::pollfd waiting{application_->fd(), event, 0};
    while (::poll(&waiting, 1, -1) < 0 && errno == EINTR) continue;
}

message_header server::wait_message() {
    for (;;) {
        const auto header = application_->try_message();
        if (header) return header.value();
        if (header.error() != errc::would_block) ::_exit(0);
        wait_for(POLLIN);
    }
}

void server::answer(const control::answer& what, int pidfd) {
    encoder message;
    message.put(what);
    if (pidfd >= 0) message.attach(pidfd);
    for (;;) {
        const auto sent =
            application_->try_send({control::answer_type, message.bytes(), message.fds()});
        if (sent || sent.error() != errc::would_block) return;
        wait_for(POLLOUT);
    }
}

void server::refuse_all(const error& why) {
    for (;;) {
        const message_header header = wait_message();
        decoder message(application_->body(header), application_->take_fds(header));
        const auto asked = message.get<control::request>();
        application_->drop(header);
        // Also what another protocol's application has asked.
        answer({asked ? asked.value().number : 0, 0, 0, true, why.message()}, -1);
    }
}

unique_fd server::serve() {
    for (;;) {
        const message_header header = wait_message();
        auto fds = application_->take_fds(header);
        decoder message(application_->body(header));
        const auto asked = message.get<control::request>();
        application_->drop(header);
        if (!asked || fds.empty()) continue;
        int pidfd = -1;
        const std::uint64_t number = asked.value().number;
        ::pid_t* const written_down = births_ ? births_->place_of(number) : words_.id;
        const long pid = clone_sibling(words_, pidfd, written_down);
        if (pid == 0) return begin_child(std::move(fds), asked.value().standard_fds);
        const int failure = pid < 0 ? errno : 0;
        const bool never = failure == EPERM || failure == EINVAL || failure == ENOSYS;
        const unique_fd held(pidfd);
        answer({number, static_cast<int>(pid), failure, never, "clone"}, pidfd);
    }
}

/// The fds are the control socket, and those of the standard ones that the application has.
unique_fd server::begin_child(std::vector<unique_fd> fds, unsigned standard_fds) {
    application_->close();
    lifeline_.reset();
    births_.reset();
    std::size_t next = 1;
    for (int fd = 0; fd <= 2; ++fd) {
        if ((standard_fds & 1U << fd) == 0 || next == fds.size()) continue;
        if (::dup2(fds[next++].get(), fd) < 0) ::_exit(127);
    }
    // As in a child that has been executed.
    const int control = ::dup3(fds.front().get(), control_fd_in_child, O_CLOEXEC);
    if (control < 0) ::_exit(127);
    block_signals(false);
    return unique_fd(control);
}

}  // namespace

unique_fd serve(message_socket& application, const message_header& order) {
    server made(application);
    if (const auto prepared = made.prepare(order); !prepared) made.refuse_all(prepared.error());
    return made.serve();
}

}  // namespace coproc::detail
