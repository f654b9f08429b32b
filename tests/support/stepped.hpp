#pragma once
// A child that makes one instruction at a time, so that it can be killed (or stopped) at any point
// of what it does: crash safety without chance.

#include <sys/types.h>

#include <cstdint>
#include <functional>

namespace coproc::testing {

class stepped {
 public:
    /// A plain fork that is stopped just before `work()`, after which it would leave.
    explicit stepped(const std::function<void()>& work);
    stepped(const stepped&) = delete;
    stepped& operator=(const stepped&) = delete;
    ~stepped() { kill(); }

    /// Lets it make up to `count` instructions; false if it has ended before.
    bool step(long count);
    void kill();
    /// Lets it run to its end; true if it left with 0.
    bool finish();

 private:
    std::uint64_t instruction() const;
    void leave_repetition(std::uint64_t at);

    ::pid_t pid_ = 0;
};

/// Kills a child at its instructions number first, first + grid, … until one child has done all of
/// `work()`; calls before(), which sets the scene, and after(whether it was killed) around each.
/// How many were killed.
int kill_everywhere(long grid, const std::function<void()>& before,
                    const std::function<void()>& work,
                    const std::function<void(bool killed)>& after);

/// Every instruction in the long tests, a coarser grid otherwise and with sanitizers.
long kill_grid(long coarse);

}  // namespace coproc::testing
