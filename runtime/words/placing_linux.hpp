#pragma once
// System calls for where and how a process runs: its files, its surroundings, its limits.

#include "words/system.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace coproc::system {

enum class file_use { read, write, append };

/// Never waits for the other side of a named pipe; the fd itself is blocking.
result<unique_fd> open_file(const char* path, file_use use);
result<void> set_blocking(int fd);
/// Makes `number` a duplicate of `fd` that survives exec.
result<void> place_at(int fd, int number);

result<void> change_directory(int directory);
result<void> set_umask(unsigned mask);
/// Of this thread.
result<void> set_thread_name(const char* name);
result<void> set_nice(int value);

/// More than any kernel is built for (CONFIG_NR_CPUS).
inline constexpr int most_cpus = 8192;
/// Exactly these, each from 0 to below most_cpus.
/// Errors: std::errc::invalid_argument if one of them is not to be had.
result<void> set_cpus(std::span<const int> cpus);

/// As sched_getaffinity has given it; of any length.
result<void> set_cpu_mask(std::string_view mask);

/// `resource` is an RLIMIT_ constant.
result<void> set_limit(int resource, std::uint64_t soft, std::uint64_t hard);
/// Bytes.
result<std::uint64_t> address_space_in_use();

/// To everybody in the group that the process leads, or led before it was reaped; nothing, if
/// nobody is left. Kernels before 6.9 do not know groups of pidfds: there the leader must not have
/// been reaped, as its pid may be somebody else's by now.
/// Errors: std::errc::no_such_process.
result<void> signal_group(int pidfd, ::pid_t leader, int signal);

}  // namespace coproc::system
