#pragma once
// The one way to wait for the outside world; everything that suspends, tasks aside, is one of
// these.

#include <coproc/detail/promise_base.hpp>
#include <coproc/result.hpp>

#include <cassert>
#include <coroutine>
#include <utility>

namespace coproc::detail {

/// Self provides  result<void> start(loop&)  begin; an error means that nothing is pending
///                void cancel()              hurry: either finish() now, or make the callback
///                                           come soon
///                void describe(std::string& into) const
///                                           appends what it waits for, for runtime::dump()
/// and calls finish() exactly once, at the latest from its callback, as the last thing that it
/// does: finish() hands the outcome over and posts the waiter, which only the loop resumes.
/// The outside holds our address: not moved once awaited (asserted), and never outlived by its
/// callback, because the waiter cannot go on before finish().
/// In a canceled scope an operation does not start; one that has finished stays finished.
template <class Self, class Value = void>
class [[nodiscard]] operation : public pending {
 public:
    operation(const operation&) = delete;
    operation& operator=(const operation&) = delete;
    /// Only to return it by value, before it is awaited.
    operation([[maybe_unused]] operation&& other) noexcept : pending(of_self) {
        assert(other.waiter_ == nullptr);
    }

    bool await_ready() const noexcept { return false; }

    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> waiter) {
        waiter.promise().coroutine = waiter;
        return begin(waiter.promise());
    }

    result<Value> await_resume() { return std::move(outcome_); }

 protected:
    operation() noexcept : pending(of_self) {}
    ~operation() { assert(waiter_ == nullptr); }

    void finish(result<Value> outcome) {
        assert(waiter_ != nullptr);
        outcome_ = std::move(outcome);
        promise_base& waiter = *std::exchange(waiter_, nullptr);
        if (!suspended_) return;
        unlink();
        post_back(waiter.home(), waiter);
    }

 private:
    static void hurry(pending& self) noexcept {
        static_cast<Self&>(static_cast<operation&>(self)).cancel();
    }
    static void describe_self(const pending& self, std::string& into) {
        static_cast<const Self&>(static_cast<const operation&>(self)).describe(into);
    }
    static constexpr kind of_self{&hurry, &describe_self};

    /// True if the waiter has to suspend.
    bool begin(promise_base& waiter) {
        assert(waiter_ == nullptr && !suspended_);
        if (waiter.scope().is_canceled()) {
            // By way of the loop, so that a coroutine which goes on and on after it was canceled
            // starves nobody: least of all the signal that is to end it.
            outcome_ = errc::canceled;
            post_back(waiter.home(), waiter);
            return true;
        }
        waiter_ = &waiter;
        if (result<void> started = static_cast<Self&>(*this).start(waiter.home()); !started) {
            waiter_ = nullptr;
            outcome_ = std::move(started).error();
            return false;
        }
        if (waiter_ == nullptr) return false;
        suspended_ = true;
        waiter.scope().enter(*this);
        return true;
    }

    bool suspended_ = false;
    result<Value> outcome_{errc::canceled};
};

}  // namespace coproc::detail
