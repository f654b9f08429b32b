#pragma once
// How a process is started; every member has a default, so name only what differs:
//   coproc::process p({.name = "resizer", .daemon = true}, resize, path);

#include <string_view>

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

/// Copied at once: the name need not outlive the call.
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
};

}  // namespace coproc
