#pragma once
// What a process has from its parent at its start, beside memory and fds: children of the fork
// server have it from the server, which was made earlier, and are told what has changed since.

#include <coproc/codec.hpp>
#include <coproc/detail/unique_fd.hpp>
#include <coproc/result.hpp>

#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace coproc::detail {

/// What a process can take on by itself.
struct surroundings {
    struct limit {
        std::uint64_t soft;
        std::uint64_t hard;
        bool operator==(const limit&) const = default;
    };

    /// This thread's. Errors: /proc is not there.
    static result<surroundings> now();
    bool operator==(const surroundings&) const = default;

    std::string environment;  ///< "NAME=value" and a zero, each
    std::uint64_t directory_device = 0;
    std::uint64_t directory_inode = 0;
    unsigned umask = 0;
    int nice = 0;
    std::string cpus;  ///< the bytes of a cpu_set_t
    std::array<limit, RLIM_NLIMITS> limits{};
};

/// What is different in `now`, for take_on() in another process. The fd belongs to the message.
/// Errors: the working directory is closed to us.
result<unique_fd> encode_changes(encoder& into, const surroundings& before,
                                 const surroundings& now);
/// In the child.
result<void> take_on(decoder& changes);

/// What a process cannot take on by itself, or should not: who it is, and what it may do.
struct privileges {
    /// This thread's.
    static privileges now();
    bool operator==(const privileges&) const = default;

    std::array<::uid_t, 3> users{};
    std::array<::gid_t, 3> groups{};
    std::vector<::gid_t> more_groups;
    std::array<std::uint32_t, 6> capabilities{};
    int secure_bits = 0;
    int no_new_privileges = 0;
    int seccomp = 0;
    ::pid_t session = 0;
    ::pid_t process_group = 0;
    std::uint64_t root_device = 0;
    std::uint64_t root_inode = 0;
};

}  // namespace coproc::detail
