#include <coproc/sleep.hpp>

#include "engine/loop.hpp"

#include <algorithm>

namespace coproc {

namespace detail {

clock::time_point time_after(clock::duration duration) noexcept {
    const clock::time_point now = clock::now();
    if (duration > clock::time_point::max() - now) return clock::time_point::max();
    return now + duration;
}

void alarm::start(loop& home, clock::time_point when) {
    using std::chrono::milliseconds;
    stop();
    uv_timer_t* timer = home.take_timer();
    timer_ = timer;
    home_ = &home;
    timer->data = this;
    // libuv's clock is steady_clock in whole milliseconds, cached since the turn began.
    uv_update_time(home.uv());
    const auto due = std::chrono::ceil<milliseconds>(when.time_since_epoch()).count();
    const auto now = static_cast<milliseconds::rep>(uv_now(home.uv()));
    const bool is_past = when <= clock::now();
    const auto on_timer = [](uv_timer_t* fired) {
        auto* self = static_cast<alarm*>(fired->data);
        self->stop();
        // What is over then may be in shared memory, and the parent's.
        if (!self->home_->is_copied_guest()) self->on_time_(*self);
    };
    uv_timer_start(timer, on_timer,
                   static_cast<std::uint64_t>(due > now && !is_past ? due - now : 0), 0);
    home.ring();
}

void alarm::stop() noexcept {
    if (timer_ == nullptr) return;
    home_->give_timer(static_cast<uv_timer_t*>(std::exchange(timer_, nullptr)));
}

}  // namespace detail

result<void> sleep_op::start(detail::loop& home) {
    // Also when it is late already: a loop that has fallen behind its times must not starve others.
    alarm::start(home, until_);
    return success();
}

void sleep_op::cancel() {
    stop();
    finish(errc::canceled);
}

void sleep_op::describe(std::string& into) const {
    if (until_ == clock::time_point::max()) {
        into += "a sleep for ever";
        return;
    }
    // A time in the past may be the beginning of all time.
    const clock::duration left = std::max(until_, clock::now()) - clock::now();
    const auto whole = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    into += "a sleep of " + std::to_string(std::max<decltype(whole)>(whole, 0)) + " ms more";
}

void sleep_op::on_time(alarm& self) noexcept { static_cast<sleep_op&>(self).finish(success()); }

}  // namespace coproc
