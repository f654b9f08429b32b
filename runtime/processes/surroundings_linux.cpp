#include "processes/surroundings_linux.hpp"

#include "words/placing_linux.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>

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

/// The value of a line of /proc/…/status; empty if there is none.
std::string_view value_in(std::string_view status, std::string_view name) {
    const std::size_t at = status.find(name);
    if (at == std::string_view::npos) return {};
    const std::string_view rest = status.substr(at + name.size());
    return rest.substr(0, rest.find('\n'));
}

/// umask() itself would have to change it to tell it, for all threads.
result<unsigned> umask_in(std::string_view status) {
    const std::string_view text = value_in(status, "\nUmask:\t");
    unsigned mask = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), mask, 8);
    if (failed != std::errc{}) return error(errc::not_supported, "no Umask in /proc");
    return mask;
}

std::array<std::uint64_t, 2> identity_of(const char* path, int flags) {
    struct ::stat found{};
    if (::fstatat(AT_FDCWD, path, &found, flags) != 0) return {};
    return {found.st_dev, found.st_ino};
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

result<surroundings> surroundings_now(std::string_view status) {
    surroundings found;
    found.environment = environment_now();
    // Also of one that we may not enter any more.
    found.directory = identity_of("", AT_EMPTY_PATH);
    COPROC_TRY(found.umask, umask_in(status));
    found.nice = nice_now();
    found.cpus = cpus_now();
    for (std::size_t i = 0; i < found.limits.size(); ++i) {
        found.limits[i] = limit_now(static_cast<int>(i));
    }
    return found;
}

/// Their names and numbers. By what the links say: to look where they lead, the kernel would make
/// each an inode.
std::string namespaces_now() {
    std::string all;
    for (const char* const link :
         {"/proc/thread-self/ns/cgroup", "/proc/thread-self/ns/ipc", "/proc/thread-self/ns/mnt",
          "/proc/thread-self/ns/net", "/proc/thread-self/ns/pid_for_children",
          "/proc/thread-self/ns/user", "/proc/thread-self/ns/uts"}) {
        std::array<char, 64> name;
        const ::ssize_t size = ::readlink(link, name.data(), name.size());
        // A kernel may not know all of them.
        if (size > 0) all.append(name.data(), static_cast<std::size_t>(size));
        all += ' ';
    }
    return all;
}

privileges privileges_now(std::string_view status) {
    privileges found;
    ::getresuid(&found.users[0], &found.users[1], &found.users[2]);
    ::getresgid(&found.groups[0], &found.groups[1], &found.groups[2]);
    const int count = ::getgroups(0, nullptr);
    found.more_groups.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    if (count > 0) ::getgroups(count, found.more_groups.data());
    found.secure_bits = ::prctl(PR_GET_SECUREBITS);
    for (const std::string_view name :
         {"\nCapInh:", "\nCapPrm:", "\nCapEff:", "\nCapBnd:", "\nCapAmb:", "\nNoNewPrivs:",
          "\nSeccomp:", "\nSeccomp_filters:"}) {
        found.security += value_in(status, name);
    }
    found.session = ::getsid(0);
    found.process_group = ::getpgid(0);
    found.root = identity_of("/", 0);
    found.namespaces = namespaces_now();
    return found;
}

}  // namespace

result<standing> standing::now() {
    COPROC_TRY(const auto status, system::read_file("/proc/thread-self/status"));
    COPROC_TRY(auto around, surroundings_now(status));
    return standing{privileges_now(status), std::move(around)};
}

bool standing::can_become(const standing& later) const {
    const auto& before = around.limits;
    const auto& after = later.around.limits;
    const bool has_risen = !std::ranges::equal(
        before, after, [](const auto& a, const auto& b) { return a.hard >= b.hard; });
    return rights == later.rights && around.nice <= later.around.nice && !has_risen &&
           before[RLIMIT_STACK] == after[RLIMIT_STACK];
}

namespace {

template <class T>
void encode_change(encoder& into, const T& before, const T& now) {
    into.put(before == now ? std::optional<T>() : std::optional<T>(now));
}

/// Exactly as it is in the parent: setenv() would merge what is there twice.
result<void> take_on_environment(const std::string& text) {
    // Never destroyed: they are the environment until the very end of the process.
    static auto& kept = *new std::string;
    static auto& variables = *new std::vector<char*>;
    kept = text;
    for (std::size_t at = 0; at < kept.size(); at += std::strlen(kept.data() + at) + 1) {
        variables.push_back(kept.data() + at);
    }
    variables.push_back(nullptr);
    environ = variables.data();
    return success();
}

template <class T, class TakeOn>
result<void> take_on_change(decoder& changed, const TakeOn& take_on_this) {
    COPROC_TRY(const auto change, changed.get<std::optional<T>>());
    if (!change) return success();
    return take_on_this(*change);
}

}  // namespace

result<changes> find_changes(const surroundings& before, const surroundings& now) {
    changes found;
    const bool has_moved = before.directory != now.directory;
    found.message.put(has_moved);
    if (has_moved) {
        COPROC_TRY(found.directory, system::open_directory("."));
        found.message.attach(found.directory.get());
    }
    encode_change(found.message, before.environment, now.environment);
    encode_change(found.message, before.umask, now.umask);
    encode_change(found.message, before.nice, now.nice);
    encode_change(found.message, before.cpus, now.cpus);
    for (std::size_t i = 0; i < now.limits.size(); ++i) {
        encode_change(found.message, before.limits[i], now.limits[i]);
    }
    return found;
}

result<void> take_on(decoder& changed) {
    COPROC_TRY(const bool has_moved, changed.get<bool>());
    if (has_moved) {
        COPROC_TRY(const auto directory, changed.take_fd());
        COPROC_TRY(system::change_directory(directory.get()));
    }
    COPROC_TRY(take_on_change<std::string>(changed, take_on_environment));
    COPROC_TRY(take_on_change<unsigned>(changed, system::set_umask));
    COPROC_TRY(take_on_change<int>(changed, system::set_nice));
    COPROC_TRY(take_on_change<std::string>(changed, system::set_cpu_mask));
    for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
        const auto take_on_this = [&](const surroundings::limit& wanted) {
            return system::set_limit(resource, wanted.soft, wanted.hard);
        };
        COPROC_TRY(take_on_change<surroundings::limit>(changed, take_on_this));
    }
    return changed.finish();
}

}  // namespace coproc::detail
