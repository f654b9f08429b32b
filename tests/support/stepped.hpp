#pragma once
// A child that makes one instruction at a time, so that it can be killed (or stopped) at any point
// of what it does: crash safety without chance.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace coproc::testing {

/// A place in what a child does: an instruction, and which time it is made.
struct moment {
    std::uint64_t instruction;
    long time;  ///< 1: the first
};

class stepped {
 public:
    /// A plain fork that is stopped just before `work()`, after which it would leave.
    explicit stepped(const std::function<void()>& work);
    stepped(const stepped&) = delete;
    stepped& operator=(const stepped&) = delete;
    ~stepped() { kill(); }

    /// Lets it run until it calls mark().
    void run_to_mark();
    /// Called once, by trace() or run_to(): the child is about to wait in its loop, and has said
    /// so.
    void before_sleep(std::function<void()> call) { before_sleep_ = std::move(call); }
    /// Lets it make single steps to its end: where it was before each.
    std::vector<std::uint64_t> trace();
    /// Lets it run up to there; false if it has ended before.
    bool run_to(const moment& there);
    /// Lets it make one step; false if it has ended.
    bool step();
    void kill();
    /// Lets it run by itself from here on.
    void go_on();
    /// Its wait status, once it has ended. After go_on().
    std::optional<int> ended();
    /// Lets it run to its end; true if it left with 0, within ten seconds.
    bool finish();

 private:
    std::uint64_t instruction() const;
    void leave_repetition(std::uint64_t at);
    bool wait_for_stop();
    bool run_to_any(std::span<const std::uint64_t> stops);
    void call_before_sleep(std::uint64_t at);

    ::pid_t pid_ = 0;
    std::function<void()> before_sleep_;
};

/// In a child: what comes before is not worth single steps.
void mark();

/// About every `grid`th instruction of what a child does, in a life that it lives to the end; of a
/// loop's many rounds some. With sanitizers, where single steps take too long, some before changes
/// of shared words instead, unless the test is a long one.
std::vector<moment> moments(long grid, const std::function<void()>& work);
/// The same of a child that marks where it begins, and that may sleep once: so many, or a few less,
/// of them all.
std::vector<moment> moments_from_mark(long count, const std::function<void()>& work,
                                      const std::function<void()>& asleep = nullptr);

/// Kills a child at these moments. Calls before(), which sets the scene, and after(whether it was
/// killed) around each death, and around one life. How many were killed.
int kill_everywhere(long grid, const std::function<void()>& before,
                    const std::function<void()>& work,
                    const std::function<void(bool killed)>& after);

/// The same for a child that marks where it begins, and that may sleep once.
struct deaths {
    std::function<void()> before;
    std::function<void()> work;
    std::function<void()> asleep;  ///< the child is about to sleep
    std::function<void(bool killed)> after;
};
/// At so many instructions, evenly; at every one in the long tests.
int kill_everywhere(long points, const deaths& around);

/// Kills one who repairs after somebody who was killed, for each of his deaths at about every
/// `grid`th instruction; in the long tests for eight of them, evenly, at every one, too. `before`
/// sets the scene, in which somebody has been killed there. How many repairers were killed.
int kill_repairers(const std::vector<moment>& first_deaths, long grid,
                   const std::function<void(const moment& there)>& before,
                   const std::function<void()>& repair, const std::function<void()>& after);

/// Nobody dies; but what the child may sleep for happens just then, or later if `happen()` says
/// that it cannot: the child has to end.
void surprise_everywhere(long points, const std::function<void()>& before,
                         const std::function<void()>& work, const std::function<bool()>& happen);

/// Every instruction in the long tests, a coarser grid otherwise.
long kill_grid(long coarse);

}  // namespace coproc::testing
