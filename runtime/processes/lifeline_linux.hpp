#pragma once
// The lifeline: children are killed by the kernel when their parent is gone, however it went and
// whatever they are doing. A pipe whose write end only the parent has is at its end then.

#include <coproc/detail/unique_fd.hpp>
#include <coproc/result.hpp>

#include <memory>

namespace coproc::detail {

class lifeline {
 public:
    /// This process's; it exists while somebody holds it: every child that has not ended.
    /// Thread-safe.
    static result<std::shared_ptr<lifeline>> hold();

    lifeline() = default;
    lifeline(const lifeline&) = delete;
    lifeline& operator=(const lifeline&) = delete;
    ~lifeline();

    /// The read end for one child, as a file description of its own: owner and signal of one that
    /// all children share would be those of the last child to ask. It is opened here and not in the
    /// child, to whom its own /proc is new, or closed.
    result<unique_fd> open_for_child() const;

 private:
    unique_fd read_end_;
    unique_fd write_end_;
};

/// Whom the parent's death ends.
enum class mourners { process, group };

/// In the child: SIGKILL for this process, or for the group that it leads, when the parent is gone,
/// for as long as `lifeline` is open. At once, if it is gone already.
result<void> die_with_parent(int lifeline, mourners who = mourners::process);

}  // namespace coproc::detail
