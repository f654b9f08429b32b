#pragma once
// Taking turns within one process: whoever came first goes first, one at a time.

#include <coproc/detail/wait_list.hpp>
#include <coproc/task.hpp>

#include <cassert>

namespace coproc::detail {

class turn {
 public:
    explicit turn(waited_for what) noexcept : waiting_(what) {}
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;

    /// Gives the turn back at the end.
    class holder {
     public:
        explicit holder(turn& held) noexcept : held_(&held) { assert(held.taken_); }
        holder(const holder&) = delete;
        holder& operator=(const holder&) = delete;
        // A woken waiter owns the turn at once: nobody can slip in between.
        ~holder() {
            if (!held_->waiting_.wake_one()) held_->taken_ = false;
        }

     private:
        turn* held_;
    };

    /// True if the turn was free and is now ours.
    bool try_take() noexcept { return !std::exchange(taken_, true); }
    bool is_free() const noexcept { return !taken_; }
    /// Success: the turn is ours, even if we were canceled meanwhile.
    wait_list::wait_op wait() noexcept { return waiting_.wait(); }

 private:
    bool taken_ = false;
    wait_list waiting_;
};

}  // namespace coproc::detail
