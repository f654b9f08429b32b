#include <coproc/detail/branches.hpp>

#include <coproc/shield.hpp>

namespace coproc::detail {

bool is_cancellation(const std::exception_ptr& exception) noexcept {
    try {
        std::rethrow_exception(exception);
    } catch (const std::system_error& thrown) {
        return thrown.code() == errc::canceled;
    } catch (...) {
        return false;
    }
}

void branches::cancel() noexcept {
    // Canceled from outside before: then being canceled stays what it was.
    if (inside_.is_canceled()) return;
    canceled_here_ = true;
    inside_.cancel();
}

void branches::fail(const error& why) noexcept {
    if (has_failed() || (canceled_here_ && why == errc::canceled)) return;
    error_ = why;
    inside_.cancel();
}

void branches::fail(std::exception_ptr why) noexcept {
    threw_ = true;
    if (has_failed() || (canceled_here_ && is_cancellation(why))) return;
    exception_ = std::move(why);
    inside_.cancel();
}

void branches::end() noexcept {
    if (--running_ == 0) all_ended_.wake_all();
}

task<void> branches::join() {
    // Again and again, because a branch may be started from outside until the owner goes on.
    while (running_ != 0) (co_await shield(all_ended_.wait())).value();
}

result<void> branches::verdict() {
    if (error_) return *error_;
    if (!exception_) return success();
    if (outer_->is_canceled() && is_cancellation(exception_)) return errc::canceled;
    std::rethrow_exception(exception_);
}

void branches::rethrow() {
    if (!threw_) return;
    if (exception_) std::rethrow_exception(exception_);
    throw_failure(*error_);
}

}  // namespace coproc::detail
