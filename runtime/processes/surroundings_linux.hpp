#pragma once
// What a process has from its parent at its start, beside memory and fds. Children of the fork
// server have it from the server, which was made earlier; what has changed since they are told, or,
// if it is nothing that a process can take on, the server is made anew.

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
    bool operator==(const surroundings&) const = default;

    std::string environment;  ///< "NAME=value" and a zero, each
    std::array<std::uint64_t, 2> directory{};
    unsigned umask = 0;
    int nice = 0;
    std::string cpus;  ///< the bytes of a cpu_set_t
    std::array<limit, RLIM_NLIMITS> limits{};
};

/// What it cannot take on, or should not be trusted to: who it is, and what it may do.
struct privileges {
    bool operator==(const privileges&) const = default;

    std::array<::uid_t, 3> users{};
    std::array<::gid_t, 3> groups{};
    std::vector<::gid_t> more_groups;
    int secure_bits = 0;
    std::string security;  ///< capabilities, no_new_privs and seccomp, as /proc says them
    ::pid_t session = 0;
    ::pid_t process_group = 0;
    std::array<std::uint64_t, 2> root{};
    std::string namespaces;
};

struct standing {
    /// This thread's. Errors: /proc is not there, or says too little.
    static result<standing> now();

    /// Can one who has stood so take on what is different in `later`? Lowering the nice value, and
    /// raising a hard limit, may need privileges; the C library has looked at the stack's limit at
    /// its start.
    bool can_become(const standing& later) const;

    privileges rights;
    surroundings around;
};

/// What is different in `now`, for take_on() in another process.
struct changes {
    encoder message;
    unique_fd directory;  ///< belongs to the message
};
/// Errors: the working directory is closed to us.
result<changes> find_changes(const surroundings& before, const surroundings& now);
/// In the child.
result<void> take_on(decoder& changed);

}  // namespace coproc::detail
