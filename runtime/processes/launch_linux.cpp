#include "processes/launch_linux.hpp"

#include "words/system.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

extern char** environ;

namespace coproc::detail {

namespace {

/// What the child works with, in the parent's memory; its failure comes back the same way.
struct plan {
    char* const* arguments;
    char* const* environment;
    int control;
    bool shared_fds;
    leading leads;
    const char* failed_call = nullptr;
    int failure = 0;
};

// From here to enter_child only what is async-signal-safe: the child has the parent's memory, and
// other threads may have been stopped anywhere, with malloc's lock held, say.

/// True if the call went well; otherwise notes why it did not.
bool did(plan& work, const char* call, long outcome) {
    if (outcome >= 0) return true;
    work.failed_call = call;
    work.failure = errno;
    return false;
}

long refused_or(const char* call, long (*make)(const plan&), const plan& work) {
    if (const int refused = system::injected_fault(call)) {
        errno = refused;
        return -1;
    }
    return make(work);
}

long close_range(unsigned first, unsigned last, unsigned flags) {
    return ::syscall(SYS_close_range, first, last, flags);
}

/// The table of fds is the parent's until here; what lies above the control socket is not copied,
/// so that a parent with many fds pays only for those below.
long take_own_fds(const plan& work) {
    if (!work.shared_fds) return 0;
    return close_range(static_cast<unsigned>(work.control) + 1, ~0U, CLOSE_RANGE_UNSHARE);
}

long place_control(const plan& work) { return ::dup3(work.control, control_fd_in_child, 0); }

long close_the_rest(const plan& work) {
    constexpr unsigned first = control_fd_in_child + 1;
    if (work.shared_fds) return close_range(first, ~0U, 0);
    // Kernels before 5.9: one by one, as far as the limit allows them to reach.
    ::rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
    for (::rlim_t fd = first; fd < limit.rlim_cur; ++fd) ::close(static_cast<int>(fd));
    return 0;
}

/// Where the parent has closed one of them, or has something private there (close-on-exec), the
/// child gets /dev/null: it shall not read and write what is not meant for it.
long keep_standard_fds(const plan&) {
    for (int fd = 0; fd <= 2; ++fd) {
        const int flags = ::fcntl(fd, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0) continue;
        const int null = ::open("/dev/null", O_RDWR);
        if (null < 0) return -1;
        if (null == fd) continue;
        if (::dup2(null, fd) < 0) return -1;
        ::close(null);
    }
    return 0;
}

/// Every signal is blocked since before the clone, so no handler of the parent's can run here.
void reset_signals() {
    struct sigaction standard{};
    standard.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number) ::sigaction(number, &standard, nullptr);
    // A terminal's Ctrl-C is for the parent: SIGINT waits until the child can tell where it is
    // from.
    ::sigset_t interrupt;
    ::sigemptyset(&interrupt);
    ::sigaddset(&interrupt, SIGINT);
    ::sigprocmask(SIG_SETMASK, &interrupt, nullptr);
}

long lead(const plan& work) { return begin_to_lead(work.leads); }

long execute(const plan& work) {
    reset_signals();
    return ::execve("/proc/self/exe", work.arguments, work.environment);
}

int enter_child(void* argument) {
    auto& work = *static_cast<plan*>(argument);
    [[maybe_unused]] const bool never =
        did(work, "close_range", refused_or("child close_range", &take_own_fds, work)) &&
        did(work, "dup3", refused_or("child dup3", &place_control, work)) &&
        did(work, "close_range", refused_or("child close_range", &close_the_rest, work)) &&
        did(work, "fcntl", keep_standard_fds(work)) &&
        did(work, "setpgid", refused_or("child setpgid", &lead, work)) &&
        did(work, "execve /proc/self/exe", refused_or("execve", &execute, work));
    ::_exit(127);
}

// In the parent again.

/// Linux 5.9 has close_range; older kernels, and sandboxes, answer ENOSYS or EPERM.
bool has_close_range() {
    if (system::injected_fault("probe close_range") != 0) return false;
    return close_range(~0U, ~0U, 0) == 0;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

std::vector<std::string> child_environment(binding symbols) {
    const std::string name = std::string(bootstrap_variable) + "=";
    std::vector<std::string> variables{name + std::to_string(control_fd_in_child)};
    if (symbols == binding::at_once) variables.push_back(std::string(binding_variable) + "=1");
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        if (std::strncmp(*variable, name.c_str(), name.size()) != 0)
            variables.emplace_back(*variable);
    }
    return variables;
}

class all_signals_blocked {
 public:
    all_signals_blocked() {
        ::sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    all_signals_blocked(const all_signals_blocked&) = delete;
    all_signals_blocked& operator=(const all_signals_blocked&) = delete;
    ~all_signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
    ::sigset_t before_;
};

/// Legacy clone: container profiles answer ENOSYS to clone3. Returns when the child has executed or
/// ended (CLONE_VFORK).
result<launched> clone_child(plan& work) {
    if (const int refused = system::injected_fault("clone")) {
        errno = refused;
        return system::last_error("clone");
    }
    alignas(16) std::array<std::byte, std::size_t{32} * 1024> stack;
    const int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
    int pidfd = -1;
    const all_signals_blocked quiet;
    const ::pid_t pid = ::clone(&enter_child, stack.data() + stack.size(),
                                flags | (work.shared_fds ? CLONE_FILES : 0), &work, &pidfd);
    if (pid < 0) return system::last_error("clone");
    return launched{pid, clear_of_standard_fds(unique_fd(pidfd))};
}

}  // namespace

unique_fd clear_of_standard_fds(unique_fd pidfd) {
    if (pidfd.get() > STDERR_FILENO) return pidfd;
    auto moved = system::duplicate(pidfd.get());
    return moved ? std::move(moved).value() : std::move(pidfd);
}

long begin_to_lead(leading what) noexcept {
    switch (what) {
        case leading::nothing:
            break;
        case leading::group:
            return ::setpgid(0, 0);
        case leading::session:
            return ::setsid() < 0 ? -1 : 0;
    }
    return 0;
}

result<launched> launch(const std::vector<std::string>& arguments, int control, leading leads,
                        binding symbols) {
    unique_fd moved;  // out of the way of the fds that the child puts in order
    if (control <= control_fd_in_child) {
        COPROC_TRY(moved, system::duplicate(control, control_fd_in_child + 1));
        control = moved.get();
    }
    std::vector<std::string> argument_texts = arguments;
    std::vector<std::string> environment_texts = child_environment(symbols);
    const std::vector<char*> argument_pointers = pointers_to(argument_texts);
    const std::vector<char*> environment_pointers = pointers_to(environment_texts);
    plan work{argument_pointers.data(), environment_pointers.data(), control, has_close_range(),
              leads};
    COPROC_TRY(auto child, clone_child(work));
    if (work.failure == 0) return child;
    // It is already ending: this wait is short, and nobody shall find a zombie.
    system::wait_for_end(child.pidfd.get());
    return error(std::error_code(work.failure, std::system_category()), work.failed_call);
}

}  // namespace coproc::detail
