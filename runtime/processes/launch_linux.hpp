#pragma once
// One exec of this program in a new process, without the cost of a fork: the child runs on a stack
// of ours, in our memory, until it has executed; a 2 GB parent starts it as fast as a 2 MB one.

#include <coproc/detail/unique_fd.hpp>
#include <coproc/process_options.hpp>
#include <coproc/result.hpp>

#include <sys/types.h>

#include <string>
#include <vector>

namespace coproc::detail {

struct launched {
    ::pid_t pid;
    unique_fd pidfd;
};

/// Where the child finds its control socket.
inline constexpr int control_fd_in_child = 3;
/// Set in the child's environment to the number of that fd; taken out before user code runs.
inline constexpr const char* bootstrap_variable = "COPROC_BOOTSTRAP";

/// A host that has closed its stdin, say, shall not find a process in its place.
unique_fd clear_of_standard_fds(unique_fd pidfd);

/// What a child leads from before its start has completed.
enum class leading { nothing, group, session };

inline leading leading_of(const process_options& options) noexcept {
    if (options.session) return leading::session;
    return options.group ? leading::group : leading::nothing;
}

/// In the child, which leads nothing yet. -1 and errno if it is refused. Async-signal-safe.
long begin_to_lead(leading what) noexcept;

/// When the dynamic linker looks up what a program calls in its libraries; see ld.so(8).
enum class binding { as_it_is, at_once };
inline constexpr const char* binding_variable = "LD_BIND_NOW";

/// Executes /proc/self/exe with `arguments`, this process's environment and bootstrap_variable, and
/// binding_variable for binding::at_once. The child has fds 0 to 2 and `control`, no other, SIGINT
/// blocked and default dispositions. Blocks the calling thread until the kernel has executed the
/// program, about a millisecond. Errors: whatever clone or execve refuses.
result<launched> launch(const std::vector<std::string>& arguments, int control,
                        leading leads = leading::nothing, binding symbols = binding::as_it_is);

}  // namespace coproc::detail
