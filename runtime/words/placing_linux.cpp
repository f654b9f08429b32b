#include "words/placing_linux.hpp"

#include "words/attempt.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <string>

namespace coproc::system {

namespace {

int flags_of(file_use use) {
    switch (use) {
        case file_use::read:
            return O_RDONLY;
        case file_use::write:
            return O_WRONLY | O_CREAT | O_TRUNC;
        case file_use::append:
            return O_WRONLY | O_CREAT | O_APPEND;
    }
    return 0;
}

}  // namespace

result<unique_fd> open_file(const char* path, file_use use) {
    const int flags = flags_of(use) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    COPROC_TRY(auto file, attempt_fd("open", [&] { return ::open(path, flags, 0666); }));
    COPROC_TRY(set_blocking(file.get()));
    return file;
}

result<void> set_blocking(int fd) {
    return attempt_void("fcntl", [&] {
        const int flags = ::fcntl(fd, F_GETFL);
        return flags < 0 ? flags : ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    });
}

result<void> place_at(int fd, int number) {
    return attempt_void("dup2", [&] { return ::dup2(fd, number); });
}

result<void> change_directory(int directory) {
    return attempt_void("fchdir", [&] { return ::fchdir(directory); });
}

result<void> set_umask(unsigned mask) {
    return attempt_void("umask", [&] {
        ::umask(static_cast<::mode_t>(mask));
        return 0;
    });
}

result<void> set_thread_name(const char* name) {
    return attempt_void("prctl", [&] { return ::prctl(PR_SET_NAME, name); });
}

result<void> set_nice(int value) {
    return attempt_void("setpriority", [&] { return ::setpriority(PRIO_PROCESS, 0, value); });
}

result<void> set_cpus(std::span<const int> cpus) {
    struct mask {
        // cpu_set_t is for 1024 of them.
        ::cpu_set_t parts[most_cpus / CPU_SETSIZE]{};
    };
    mask wanted;
    for (const int cpu : cpus)
        CPU_SET_S(static_cast<std::size_t>(cpu), sizeof wanted, wanted.parts);
    COPROC_TRY(attempt_void("sched_setaffinity",
                            [&] { return ::sched_setaffinity(0, sizeof wanted, wanted.parts); }));
    // The kernel leaves out without a word what is not there.
    mask given;
    COPROC_TRY(attempt_void("sched_getaffinity",
                            [&] { return ::sched_getaffinity(0, sizeof given, given.parts); }));
    for (const int cpu : cpus) {
        if (CPU_ISSET_S(static_cast<std::size_t>(cpu), sizeof given, given.parts)) continue;
        return error(std::make_error_code(std::errc::invalid_argument),
                     "CPU " + std::to_string(cpu));
    }
    return success();
}

result<void> set_cpu_mask(std::string_view mask) {
    return attempt_void("sched_setaffinity", [&] {
        return static_cast<int>(::syscall(SYS_sched_setaffinity, 0, mask.size(), mask.data()));
    });
}

result<void> set_limit(int resource, std::uint64_t soft, std::uint64_t hard) {
    return attempt_void("setrlimit", [&] {
        const ::rlimit limit{soft, hard};
        return ::setrlimit(static_cast<__rlimit_resource_t>(resource), &limit);
    });
}

result<std::uint64_t> address_space_in_use() {
    COPROC_TRY(const std::string text, read_file("/proc/self/statm"));
    std::uint64_t pages = 0;
    std::from_chars(text.data(), text.data() + text.size(), pages);
    return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

namespace {

/// PIDFD_SIGNAL_PROCESS_GROUP of linux/pidfd.h, which Debian 12's headers do not have.
constexpr unsigned to_group = 1U << 2;

bool is_unreaped(int pidfd) {
    ::siginfo_t info{};
    return ::waitid(P_PIDFD, static_cast<::id_t>(pidfd), &info,
                    WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

}  // namespace

result<void> signal_group(int pidfd, ::pid_t leader, int signal) {
    auto sent = attempt_void("pidfd_send_signal to group", [&] {
        return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, to_group));
    });
    if (sent || sent.error() != std::errc::invalid_argument) return sent;
    // Either an old kernel or a bad signal; kill() tells the one from the other.
    if (!is_unreaped(pidfd)) return std::errc::no_such_process;
    return attempt_void("kill", [&] { return ::kill(-leader, signal); });
}

}  // namespace coproc::system
