#include "processes/surroundings_linux.hpp"

#include "words/system.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string_view>

extern char** environ;

namespace coproc::detail {

namespace {

std::string environment_now() {
    std::string text;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        text.append(*variable, std::strlen(*variable) + 1);
    }
    return text;
}

/// umask() itself would have to change it to tell it, for all threads.
result<unsigned> umask_now() {
    COPROC_TRY(const unique_fd file, system::open_read_only("/proc/self/status"));
    std::array<char, 256> begin;
    COPROC_TRY(const std::size_t size,
               system::read(file.get(), std::as_writable_bytes(std::span(begin))));
    const std::string_view text(begin.data(), size);
    constexpr std::string_view name = "Umask:\t";
    const std::size_t at = text.find(name);
    if (at == std::string_view::npos) return error(errc::not_supported, "no Umask in /proc");
    unsigned mask = 0;
    std::from_chars(text.data() + at + name.size(), text.data() + size, mask, 8);
    return mask;
}

std::string cpus_now() {
    // As large as the kernel wants it: it may know of more CPUs than a cpu_set_t.
    std::string cpus(sizeof(::cpu_set_t), '\0');
    while (cpus.size() <= 64 * sizeof(::cpu_set_t)) {
        const long size = ::syscall(SYS_sched_getaffinity, 0, cpus.size(), cpus.data());
        if (size >= 0) return cpus.substr(0, static_cast<std::size_t>(size));
        if (errno != EINVAL) break;
        cpus.resize(2 * cpus.size());
    }
    return {};
}

int nice_now() { return ::getpriority(PRIO_PROCESS, 0); }

surroundings::limit limit_now(int resource) {
    ::rlimit known{};
    ::getrlimit(static_cast<__rlimit_resource>(resource), &known);
    return {known.rlim_cur, known.rlim_max};
}

result<void> did(const char* call, int outcome) {
    if (outcome != 0) return system::last_error(call);
    return success();
}

}  // namespace

result<surroundings> surroundings::now() {
    surroundings found;
    found.environment = environment_now();
    // Also of one that we may not enter any more.
    struct ::stat directory{};
    COPROC_TRY(did("fstatat", ::fstatat(AT_FDCWD, "", &directory, AT_EMPTY_PATH)));
    found.directory_device = directory.st_dev;
    found.directory_inode = directory.st_ino;
    COPROC_TRY(found.umask, umask_now());
    found.nice = nice_now();
    found.cpus = cpus_now();
    for (std::size_t i = 0; i < found.limits.size(); ++i) {
        found.limits[i] = limit_now(static_cast<int>(i));
    }
    return found;
}

namespace {

template <class T>
void encode_change(encoder& into, const T& before, const T& now) {
    into.put(before == now ? std::optional<T>() : std::optional<T>(now));
}

result<void> take_on_environment(const std::string& text) {
    ::clearenv();
    for (std::size_t at = 0; at < text.size();) {
        const std::string_view variable(text.c_str() + at);
        at += variable.size() + 1;
        const std::size_t equals = variable.find('=');
        if (equals == std::string_view::npos || equals == 0) continue;
        const std::string name(variable.substr(0, equals));
        COPROC_TRY(did("setenv", ::setenv(name.c_str(), variable.data() + equals + 1, 1)));
    }
    return success();
}

result<void> take_on_cpus(const std::string& cpus) {
    const long outcome = ::syscall(SYS_sched_setaffinity, 0, cpus.size(), cpus.data());
    return did("sched_setaffinity", static_cast<int>(outcome));
}

result<void> take_on_umask(const unsigned& mask) {
    ::umask(static_cast<::mode_t>(mask));
    return success();
}

result<void> take_on_nice(const int& nice) {
    return did("setpriority", ::setpriority(PRIO_PROCESS, 0, nice));
}

template <class T, class TakeOn>
result<void> take_on_change(decoder& changes, const TakeOn& take_on_this) {
    COPROC_TRY(const auto change, changes.get<std::optional<T>>());
    if (!change) return success();
    return take_on_this(*change);
}

}  // namespace

result<unique_fd> encode_changes(encoder& into, const surroundings& before,
                                 const surroundings& now) {
    unique_fd directory;
    const bool has_moved = before.directory_device != now.directory_device ||
                           before.directory_inode != now.directory_inode;
    into.put(has_moved);
    if (has_moved) {
        COPROC_TRY(directory, system::open_directory("."));
        into.attach(directory.get());
    }
    encode_change(into, before.environment, now.environment);
    encode_change(into, before.umask, now.umask);
    encode_change(into, before.nice, now.nice);
    encode_change(into, before.cpus, now.cpus);
    for (std::size_t i = 0; i < now.limits.size(); ++i) {
        encode_change(into, before.limits[i], now.limits[i]);
    }
    return directory;
}

result<void> take_on(decoder& changes) {
    COPROC_TRY(const bool has_moved, changes.get<bool>());
    if (has_moved) {
        COPROC_TRY(const auto directory, changes.take_fd());
        COPROC_TRY(did("fchdir", ::fchdir(directory.get())));
    }
    COPROC_TRY(take_on_change<std::string>(changes, take_on_environment));
    COPROC_TRY(take_on_change<unsigned>(changes, take_on_umask));
    COPROC_TRY(take_on_change<int>(changes, take_on_nice));
    COPROC_TRY(take_on_change<std::string>(changes, take_on_cpus));
    for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
        const auto take_on_this = [&](const surroundings::limit& wanted) {
            const ::rlimit limit{wanted.soft, wanted.hard};
            return did("setrlimit", ::setrlimit(static_cast<__rlimit_resource>(resource), &limit));
        };
        COPROC_TRY(take_on_change<surroundings::limit>(changes, take_on_this));
    }
    return changes.finish();
}

privileges privileges::now() {
    privileges found;
    ::getresuid(&found.users[0], &found.users[1], &found.users[2]);
    ::getresgid(&found.groups[0], &found.groups[1], &found.groups[2]);
    const int count = ::getgroups(0, nullptr);
    found.more_groups.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    if (count > 0) ::getgroups(count, found.more_groups.data());
    ::__user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    static_assert(sizeof found.capabilities == 2 * sizeof(::__user_cap_data_struct));
    ::syscall(SYS_capget, &header, found.capabilities.data());
    found.secure_bits = ::prctl(PR_GET_SECUREBITS);
    found.no_new_privileges = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    found.seccomp = ::prctl(PR_GET_SECCOMP);
    found.session = ::getsid(0);
    found.process_group = ::getpgid(0);
    struct ::stat root{};
    if (::stat("/", &root) == 0) {
        found.root_device = root.st_dev;
        found.root_inode = root.st_ino;
    }
    return found;
}

}  // namespace coproc::detail
