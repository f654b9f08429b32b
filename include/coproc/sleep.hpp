#pragma once
// Waiting for time to pass:  (co_await coproc::sleep_for(200ms)).value();

#include <coproc/detail/operation.hpp>

#include <chrono>
#include <string>

namespace coproc {

using clock = std::chrono::steady_clock;

namespace detail {

/// `duration` from now; the end of time if that is out of the clock's range.
clock::time_point time_after(clock::duration duration) noexcept;

/// The same for any duration, rounded up to the clock's ticks; now if it is negative.
template <class Rep, class Period>
clock::time_point time_after(std::chrono::duration<Rep, Period> duration) noexcept {
    using seconds = std::chrono::duration<double>;
    if (seconds(duration) >= seconds(clock::duration::max())) return clock::time_point::max();
    if (seconds(duration) <= seconds::zero()) return clock::now();
    return time_after(std::chrono::ceil<clock::duration>(duration));
}

/// Calls back once at `when`, not earlier and at most about a millisecond later if the loop is
/// free (libuv's timers count milliseconds). Not moved while armed.
class alarm {
 public:
    using callback = void (*)(alarm&) noexcept;
    explicit alarm(callback on_time) noexcept : on_time_(on_time) {}
    alarm(const alarm&) = delete;
    alarm& operator=(const alarm&) = delete;
    ~alarm() { stop(); }

    void start(loop& home, clock::time_point when);
    void stop() noexcept;
    bool is_armed() const noexcept { return timer_ != nullptr; }

 private:
    callback on_time_;
    loop* home_ = nullptr;
    void* timer_ = nullptr;  // a uv_timer_t, borrowed from the loop while armed
};

}  // namespace detail

class sleep_op : public detail::operation<sleep_op>, private detail::alarm {
 public:
    explicit sleep_op(clock::time_point until) noexcept : alarm(&on_time), until_(until) {}
    sleep_op(sleep_op&& other) noexcept
        // NOLINTNEXTLINE(bugprone-use-after-move): only a base has been moved
        : operation(std::move(other)), alarm(&on_time), until_(other.until_) {}

 private:
    friend operation<sleep_op>;
    result<void> start(detail::loop& home);
    void cancel();
    void describe(std::string& into) const;
    static void on_time(alarm& self) noexcept;

    clock::time_point until_;
};

/// errc::canceled if the scope is canceled first. A time in the past takes one turn of the loop, so
/// that everything else that is ready gets its turn, too.
[[nodiscard]] inline sleep_op sleep_until(clock::time_point when) noexcept {
    return sleep_op(when);
}

namespace detail {

/// One turn of the loop for everything else, fds and timers included; a yield() is one for what is
/// ready already.
[[nodiscard]] inline sleep_op loop_turn() noexcept { return sleep_until(clock::time_point::min()); }

}  // namespace detail

/// The same after `duration`, any of std::chrono; one beyond the clock's range means for ever.
template <class Rep, class Period>
[[nodiscard]] sleep_op sleep_for(std::chrono::duration<Rep, Period> duration) noexcept {
    return sleep_until(detail::time_after(duration));
}

}  // namespace coproc
