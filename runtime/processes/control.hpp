#pragma once
// What parent and child say to each other on the control socket. One message each way is all in
// most lives: the bootstrap to the child, and its report as its last act.
// A child that starts children says so, too.

#include <coproc/codec.hpp>
#include <coproc/detail/target.hpp>
#include <coproc/log.hpp>

#include "processes/placement_linux.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace coproc::detail::control {

/// Types of messages; no type_info hashes to so small a number.
enum type : std::uint64_t {
    bootstrap_type = 16,
    cancel_type = 17,
    report_type = 18,
    birth_type = 19,
    service_type = 20,
    request_type = 21,
    answer_type = 22,
    hello_type = 23,
    surroundings_type = 24
};

/// Of all that the processes of a family say to each other: a version that changes any of that has
/// another number. (What they leave in shared memory has its own: see region.cpp.) It is not the
/// version itself: a program whose shared library is replaced by another patch version goes on
/// starting children.
inline constexpr const char* protocol = "coproc protocol 1";

/// Both messages that begin a process's life begin with it, as what follows may be laid out in any
/// way.
inline void put_protocol(encoder& message) { message.put(std::string(protocol)); }
/// Errors: errc::version_mismatch.
inline result<void> expect_protocol(decoder& message) {
    COPROC_TRY(const auto theirs, message.get<std::string>());
    if (theirs != protocol) return errc::version_mismatch;
    return success();
}

/// Parent to child, with the lifeline's read end and what the placement attaches; after the
/// protocol, and followed by the target's arguments.
struct bootstrap {
    std::string name;
    std::string path;
    std::string parent_name;
    std::uint64_t participant;  ///< who the child is in shared memory
    bool daemon;
    bool quick_exit;
    bool cancel_on_parent_death;
    int log_level;
    bool log_to_stderr;
    record_place target;
    placement place;
};

/// Child to parent, the last of its messages. The code is what waitid would say.
struct report {
    int code;
    bool failed;
    std::string exception_type;
    std::string exception_message;
    int failure;           ///< value of the failure's error_code
    bool failure_is_ours;  ///< of coproc's category; otherwise the system's
};

/// Child to parent, with a pidfd: a descendant has been born.
struct birth {
    std::uint64_t participant;
};

/// Application to fork server, with the lifeline's read end and the birth register, if there is
/// one, in place of a bootstrap; after the protocol.
struct service {
    std::optional<code_place> preload;  ///< a void (*)(), called once
    bool has_binding_variable;          ///< which the application has not
    bool has_birth_register;
};

/// Application to fork server: one more child, whose control socket is attached, followed by those
/// of the standard fds that have their bit set.
struct request {
    std::uint64_t number;
    unsigned standard_fds;
};

/// Fork server to application, with the child's pidfd if there is one. Every protocol has it like
/// this: it also says that the server is one of another.
struct answer {
    std::uint64_t number;
    int pid;
    int failure;  ///< errno of the clone
    bool never;   ///< this server makes no children, for this reason
    std::string reason;
};

/// Child of the fork server to its parent, with a pidfd: the answer to an empty message of this
/// type, which comes if the server is gone. What has changed since the server was made comes before
/// the bootstrap (surroundings_type).
struct hello {
    int pid;
};

/// The longest message of an exception that is carried back; the rest is cut off, so that a report
/// always fits into the socket and the dying child never waits.
inline constexpr std::size_t longest_text = std::size_t{16} * 1024;
/// What the parent takes for a report at all.
inline constexpr std::size_t longest_report = std::size_t{64} * 1024;

}  // namespace coproc::detail::control
