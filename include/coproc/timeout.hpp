#pragma once
// A limit to how long a wait may last:
//
//   auto text = co_await coproc::timeout(5s, pipe.recv<std::string>());   // or errc::timed_out

#include <coproc/detail/awaited.hpp>
#include <coproc/sleep.hpp>
#include <coproc/task.hpp>

#include <chrono>
#include <exception>
#include <type_traits>
#include <utility>

namespace coproc {

namespace detail {

/// A scope that is canceled at a certain time, if it still is there.
class deadline : alarm {
 public:
    deadline(cancel_scope& outer, clock::time_point when) : alarm(&on_time), inside_(outer) {
        start(outer.home(), when);
    }

    cancel_scope& inside() noexcept { return inside_; }
    /// Was it the time, and nothing else before, that canceled the scope?
    bool has_passed() const noexcept { return passed_; }

 private:
    static void on_time(alarm& self) noexcept {
        auto& passed = static_cast<deadline&>(self);
        passed.passed_ = !passed.inside_.is_canceled();
        passed.inside_.cancel();
    }

    cancel_scope inside_;
    bool passed_ = false;
};

}  // namespace detail

/// Awaits `awaitable`, whose value is a T or a result<T>: result<T>. After `limit`, counted from
/// the beginning of the wait, it is canceled, and what it then gives is waited for: a value it got
/// nevertheless is the value; errc::canceled, returned or thrown by value(), is errc::timed_out.
/// So is that of when_any's first, and when_all's if each gives it: where one has a value, all are
/// given as they are, and nothing is lost.
/// A limit of zero or less still begins it.
/// Cancellation: that of `awaitable`; canceled from outside, it is errc::canceled.
template <class Rep, class Period, detail::awaitable Awaitable>
task<detail::flat_result<detail::awaited_t<Awaitable>>> timeout(
    std::chrono::duration<Rep, Period> limit, Awaitable awaitable) {
    using value_type = detail::awaited_t<Awaitable>;
    detail::cancel_scope& outer = co_await detail::current_scope();
    detail::deadline deadline(outer, detail::time_after(limit));
    co_await detail::enter_scope(deadline.inside());
    try {
        if constexpr (std::is_void_v<value_type>) {
            co_await std::move(awaitable);
            co_return success();
        } else {
            value_type value = co_await std::move(awaitable);
            if (deadline.has_passed() && detail::cut_short<value_type>::is(value)) {
                co_return errc::timed_out;
            }
            using whole = detail::flat_result<value_type>;
            if constexpr (std::is_same_v<whole, value_type>) {
                co_return value;
            } else {
                co_return boost::outcome_v2::success(std::forward<value_type>(value));
            }
        }
    } catch (...) {
        const std::exception_ptr thrown = std::current_exception();
        if (deadline.has_passed() && detail::is_cancellation(thrown)) co_return errc::timed_out;
        std::rethrow_exception(thrown);
    }
}

}  // namespace coproc
