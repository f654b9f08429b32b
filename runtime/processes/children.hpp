#pragma once
// The children that this process has started and whose end has not been handled, whether or not
// anybody still has a process object for them.

#include <coproc/task.hpp>
#include <coproc/this_process.hpp>

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

namespace coproc::detail {

class child;

class children {
 public:
    static children& instance();

    /// Thread-safe, all four.
    void add(std::shared_ptr<child> started);
    void remove(const child& ended);
    bool has(::pid_t pid);
    std::vector<process_info> active();
    /// Those whose end `home` waits for.
    std::vector<std::shared_ptr<child>> of(const loop& home);

    /// When `home` ends, its children have no loop any more; when it is shut down, they are
    /// stopped.
    void follow(loop& home);
    void leave(const loop& home);

 private:
    std::vector<std::shared_ptr<child>> watched_by(const loop* home);

    std::mutex mutex_;
    std::vector<std::shared_ptr<child>> all_;
};

/// How Python ends a process: daemons are terminated, the others joined for as long as they take.
/// Cancellation: whatever still runs is stopped within `grace`.
task<void> end_children(std::chrono::nanoseconds grace);

/// Asks all children to end, and kills those that have not ended after `grace`. Not cancellable.
task<void> stop_children(std::chrono::nanoseconds grace);

}  // namespace coproc::detail
