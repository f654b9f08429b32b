#pragma once
// Who am I, who is my parent, who are my children, and how many processors are there?

#include <coproc/task.hpp>

#include <optional>
#include <string>
#include <vector>

namespace coproc {

/// The running process.
class this_process {
 public:
    /// "MainProcess" at the root of the family.
    const std::string& name() const noexcept { return name_; }
    int pid() const noexcept;
    int parent_pid() const noexcept;
    bool daemon() const noexcept { return daemon_; }

 private:
    friend struct process_identity;
    std::string name_ = "MainProcess";
    bool daemon_ = false;
};

/// The same object for the whole life of the process; complete before the target is called.
const this_process& current_process() noexcept;

/// The process that started this one.
class parent {
 public:
    const std::string& name() const noexcept { return name_; }
    int pid() const noexcept { return pid_; }
    bool is_alive() const noexcept;
    /// Suspends until the parent has ended. A child with parent_death::kill ends with it instead.
    [[nodiscard]] task<result<void>> join() const;

 private:
    friend std::optional<parent> parent_process();
    parent(std::string name, int pid, int lifeline) noexcept
        : name_(std::move(name)), pid_(pid), lifeline_(lifeline) {}

    std::string name_;
    int pid_;
    int lifeline_;
};

/// Empty in a process that coproc has not started.
std::optional<parent> parent_process();

struct process_info {
    std::string name;
    int pid;
    bool daemon;
};

/// The children that this process has started and that have not ended. Thread-safe.
std::vector<process_info> active_children();

/// The system's processors that are online. At least 1.
int cpu_count() noexcept;

/// How many of them this process may use: affinity and the cgroup's quota, rounded up. At least 1.
int usable_cpu_count() noexcept;

}  // namespace coproc
