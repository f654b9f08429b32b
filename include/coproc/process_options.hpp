#pragma once
// How a process is started; every member has a default, so name only what differs:
//   coproc::process p({.name = "resizer", .daemon = true}, resize, path);
//   coproc::process q({.limits = {.address_space = 512 << 20, .cpu_seconds = 10}}, decode, path);

#include <coproc/redirection.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace coproc {

/// Children of both start clean and cannot be told apart.
enum class start_method {
    forkserver,  ///< cloned from a clean copy of the program; `spawn` where that cannot be had
    spawn,       ///< the program executed anew: about a millisecond
};

/// What happens to a child when its parent is gone, however it went.
enum class parent_death {
    kill,    ///< SIGKILL, also out of an endless loop
    cancel,  ///< a coroutine target is canceled; a plain one is killed
};

/// What the child may use; none: as much as its parent. It cannot take more later, unless it has
/// CAP_SYS_RESOURCE; nor can its children, each of which may use as much again. More than the
/// parent's own hard limit needs that capability, too.
struct process_limits {
    /// Bytes of virtual memory, code and libraries included: a small program has 8 MB before its
    /// first line, a thread reserves some 70 MB, AddressSanitizer terabytes. What does not fit is a
    /// std::bad_alloc; less than is in use already fails the child before its target.
    std::optional<std::uint64_t> address_space{};
    /// CPU time of all its threads together, from 1 on: SIGXCPU when it is used up, and SIGKILL one
    /// second of CPU time later. Time in which it sleeps or waits does not count.
    std::optional<std::uint64_t> cpu_seconds{};
    /// One more than the highest fd it can open. A plain target finds 6 in use, and what has been
    /// passed to it; a coroutine needs 6 more to begin at all.
    std::optional<std::uint64_t> open_files{};
    /// Bytes of a core dump; 0: none is written.
    std::optional<std::uint64_t> core_size{};
};

/// Copied at once: what the views look at need not outlive the call.
/// What concerns the child's surroundings (everything from `working_directory` on) it does itself,
/// right before its arguments are decoded and its target is called: static initializers, and what
/// main() does before run(), still see the parent's. An option out of its range, a directory or
/// file that cannot be opened is an error of start(); what the child is refused ends it with
/// code 1, exit_status::exception_message() names the option, and the target is not called.
struct process_options {
    /// Default: Process-1, Process-2, … in order of construction; Process-1:1 for a child's child.
    std::string_view name{};
    /// Terminated when the parent ends, instead of joined.
    bool daemon = false;
    /// SIGKILL when the process object is destroyed.
    bool kill_on_drop = false;
    /// The child leaves by _exit, with its streams flushed but no atexit functions and static
    /// destructors: about 0.1 ms sooner.
    bool quick_exit = false;
    start_method method = start_method::forkserver;
    parent_death on_parent_death = parent_death::kill;

    /// The child leads a process group, from before start() completes: every signal that the parent
    /// sends reaches what it has started, too, such as a shell's commands, unless that has left the
    /// group. The group ends with its leader: whatever has ended that, those who are left get
    /// SIGKILL as soon as its parent's loop sees the end. The parent's own death kills all of it;
    /// for that, a program that the child executes finds one more fd open. A terminal's Ctrl-C does
    /// not reach the group, and reading from the terminal stops it (SIGTTIN).
    bool group = false;
    /// The child leads a session, without a terminal, and so a group, too; from before its target
    /// is called.
    bool session = false;

    /// Relative to the parent's at start().
    std::string_view working_directory{};
    /// "NAME=value" sets a variable for the target, "NAME" alone removes one of the parent's. What
    /// is read when a program is loaded (LD_PRELOAD, MALLOC_…) is for the child's own children.
    std::span<const std::string_view> environment{};
    /// Nothing of the parent's environment: only what `environment` sets.
    bool clear_environment = false;
    /// 0 to 0777.
    std::optional<unsigned> umask{};
    /// What ps and top show, the first 15 bytes of it; default: the program's name.
    std::string_view thread_name{};

    redirection standard_input{};
    redirection standard_output{};
    redirection standard_error{};

    /// −20 (most CPU time) to 19 (least), not added to the parent's. Below the parent's the child
    /// needs CAP_SYS_NICE or RLIMIT_NICE.
    std::optional<int> nice{};
    /// The CPUs that it may run on, counted from 0; exactly these: one that is not there, or not
    /// for this cgroup, fails the child. None: the parent's.
    std::span<const int> cpus{};
    process_limits limits{};
};
// GCC 12 destroys temporary aggregates in a co_await expression twice, unless there is nothing to
// destroy.
static_assert(std::is_trivially_destructible_v<process_options>);

}  // namespace coproc
