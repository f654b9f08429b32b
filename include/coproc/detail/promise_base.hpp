#pragma once
// What all coroutines of coproc have in common: a place in the loop's queue of ready coroutines,
// and the scope that they run in.

#include <coproc/detail/cancel_scope.hpp>
#include <coproc/detail/frame_pool.hpp>

#include <coroutine>
#include <cstddef>
#include <source_location>

namespace coproc::detail {

/// A suspended coroutine that the loop can resume: part of a promise_base, in the queue at most
/// once.
struct ready_node {
    ready_node* next = nullptr;
    std::coroutine_handle<> coroutine;
};

/// `node` is resumed by the loop after all that are ready now.
void post_back(loop& home, ready_node& node) noexcept;
/// `node` is resumed before anything else: the awaiter of a task that has just completed goes on
/// before another coroutine can act on what that task did.
void post_front(loop& home, ready_node& node) noexcept;

class promise_base : public ready_node {
 public:
    cancel_scope& scope() const noexcept { return *scope_; }
    loop& home() const noexcept { return scope_->home(); }
    /// Moves the coroutine to another scope: at its start, and in enter_scope.
    void set_scope(cancel_scope& scope) noexcept { scope_ = &scope; }

    // For dumps: which coroutine it is (line 0: one that nobody has written), and who awaits it.
    const std::source_location& written_at() const noexcept { return written_at_; }
    const promise_base* awaiter() const noexcept { return awaiter_; }

    static void* operator new(std::size_t size) { return frame_pool::allocate(size); }
    static void operator delete(void* frame, std::size_t size) noexcept {
        frame_pool::release(frame, size);
    }

 protected:
    promise_base* awaiter_ = nullptr;
    std::source_location written_at_{};

 private:
    cancel_scope* scope_ = nullptr;
};

/// A coroutine that somebody awaits. `awaiter_` is set only when the awaiter has really suspended:
/// one that is still running goes on by itself, so a million awaits in a row need no stack.
class awaited_promise : public promise_base {
 public:
    /// Runs the coroutine until it suspends for somebody else. True if it did not reach `done`.
    template <class Promise>
    bool start_for(std::coroutine_handle<Promise> awaiter, std::coroutine_handle<> self) {
        set_scope(awaiter.promise().scope());
        awaiter_ = nullptr;
        handed_over_ = false;
        self.resume();
        if (handed_over_) return false;
        awaiter.promise().coroutine = awaiter;
        awaiter_ = &awaiter.promise();
        return true;
    }

 protected:
    /// The value is there: the awaiter may go on. Our own scope may be gone by now, if it was a
    /// local variable of the coroutine.
    void hand_over() noexcept {
        handed_over_ = true;
        if (awaiter_ != nullptr) post_front(awaiter_->home(), *awaiter_);
    }

 private:
    bool handed_over_ = false;
};

}  // namespace coproc::detail
