#pragma once
// Several coroutines that run at the same time inside one, which joins them: what scopes, when_all
// and when_any are made of.
//
// Invariants: the branches run in a cancel scope of their own; the first failure cancels it; the
// owner awaits join(), which nothing cancels, before it lets go of the object.

#include <coproc/detail/awaited.hpp>
#include <coproc/detail/detached.hpp>
#include <coproc/detail/wait_list.hpp>
#include <coproc/task.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

namespace coproc::detail {

class branches {
 public:
    explicit branches(cancel_scope& outer) noexcept : outer_(&outer), inside_(outer) {}

    cancel_scope& inside() noexcept { return inside_; }

    /// A branch that awaits what `make(args…)` returns and calls `take` with its value. All three
    /// are kept until the branch has ended. A failed result, or an exception, is a failure.
    template <class Take, class Make, class... Args>
    void start(Take take, Make make, Args... args) {
        detached branch = run(*this, std::move(take), std::move(make), std::move(args)...);
        ++running_;
        branch.start_in(inside_);
    }

    /// From here on, being canceled is no failure.
    void cancel() noexcept;

    void fail(const error& why) noexcept;
    void fail(std::exception_ptr why) noexcept;
    bool has_failed() const noexcept { return exception_ != nullptr || error_.has_value(); }

    /// Waits for the end of all branches, also of those that they have started meanwhile.
    task<void> join();

    /// The first failure; rethrown if it is an exception, unless that is an exception because of
    /// the outer scope's cancellation. Success if there was none.
    result<void> verdict();
    /// Throws the first failure if any branch has thrown, and so has no value.
    void rethrow();

 private:
    template <class Take, class Make, class... Args>
    static detached run(branches& all, Take take, Make make, Args... args) {
        using value_type = awaited_t<std::invoke_result_t<Make&, Args...>>;
        try {
            // Not by std::invoke: what an argument is converted to must live until the end of the
            // await, not of the call.
            if constexpr (std::is_void_v<value_type>) {
                co_await make(std::move(args)...);
                take(std::monostate());
            } else {
                decltype(auto) value = co_await make(std::move(args)...);
                std::optional<error> failure;
                if constexpr (is_result_v<value_type>) {
                    if (!value) failure = value.error();
                }
                take(std::forward<value_type>(value));
                if (failure) all.fail(*failure);
            }
        } catch (...) {
            all.fail(std::current_exception());
        }
        all.end();
    }

    void end() noexcept;

    cancel_scope* outer_;
    cancel_scope inside_;
    std::size_t running_ = 0;
    wait_list all_ended_{"its branches"};
    bool canceled_here_ = false;
    bool threw_ = false;
    std::optional<error> error_;
    std::exception_ptr exception_;
};

}  // namespace coproc::detail
