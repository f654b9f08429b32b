#pragma once
// The coroutine at the bottom of every stack: started by the loop, awaited by nobody, frees itself.

#include <coproc/detail/promise_base.hpp>

#include <coroutine>
#include <exception>

namespace coproc::detail {

/// Returned by a coroutine that tells its owner of its end itself, as its last act, and lets no
/// exception out (std::terminate).
class detached {
 public:
    class promise_type : public promise_base {
     public:
        detached get_return_object() noexcept { return detached(*this); }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };

    /// The loop of `scope` starts it, after everything that is ready now.
    void start_in(cancel_scope& scope) noexcept {
        promise_->coroutine = std::coroutine_handle<promise_type>::from_promise(*promise_);
        promise_->set_scope(scope);
        post_back(scope.home(), *promise_);
    }

 private:
    explicit detached(promise_type& promise) noexcept : promise_(&promise) {}
    promise_type* promise_;
};

}  // namespace coproc::detail
