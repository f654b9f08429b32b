#include "processes/child.hpp"

#include <coproc/log.hpp>
#include <coproc/timeout.hpp>

#include "engine/loop.hpp"
#include "processes/child_side.hpp"
#include "processes/children.hpp"
#include "processes/control.hpp"
#include "processes/descendants.hpp"
#include "processes/identity.hpp"
#include "processes/launch_linux.hpp"
#include "processes/placement_linux.hpp"
#include "shared/shared_object.hpp"
#include "words/system.hpp"

#include <unistd.h>

#include <csignal>

namespace coproc::detail {

namespace {

std::chrono::microseconds to_duration(const ::timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

/// So much is read of what a dead child has sent: births, and a report.
constexpr int most_births = 4096;

process_usage to_usage(const std::optional<::rusage>& usage) {
    if (!usage) return {};
    return {to_duration(usage->ru_utime), to_duration(usage->ru_stime),
            static_cast<std::uint64_t>(usage->ru_maxrss) * 1024};
}

}  // namespace

child::child(const process_options& options, std::unique_ptr<start_request> request)
    : given_(options),
      request_(std::move(request)),
      is_coroutine_(request_->record().is_coroutine) {
    next_name next = take_next_name();
    path_ = std::move(next.path);
    name_ = options.name.empty() ? std::move(next.name) : std::string(options.name);
}

child::child(std::string unwanted)
    : name_(std::move(unwanted)),
      given_(process_options{}),
      state_(state::started),
      is_coroutine_(false),
      is_unwanted_(true) {}

void child::describe(std::string& into) const {
    into += "process " + name_;
    if (pid_ != 0) into += ", pid " + std::to_string(pid_);
    if (is_daemon()) into += ", a daemon";
    if (state_ == state::starting) into += ", being started";
    if (end_) into += ", ended";
}

child::state child::current() {
    if (state_ == state::started) look();
    return state_;
}

result<void> child::watch_exit(loop& home) {
    const auto on_exit = [](void* self) noexcept { static_cast<child*>(self)->look(); };
    COPROC_TRY(exit_watch_->call_when_readable(home, on_exit, this));
    const auto on_message = [](void* self) noexcept { static_cast<child*>(self)->listen(); };
    // Otherwise it is heard at its end.
    (void)control_->watch().call_when_readable(home, on_message, this);
    home_ = &home;
    children::instance().follow(home);
    // What came along with the child's first word.
    if (!control_->unread_bytes().empty()) listen();
    return success();
}

void child::leave_loop() noexcept {
    home_ = nullptr;
    is_counted_ = false;
    if (exit_watch_) exit_watch_->detach();
    if (control_) control_->watch().detach();
}

// Ending.

void child::look() noexcept {
    // A fork of its parent has no part in it, and would take what it has told from the parent.
    if (end_ || !is_child_of(::getpid()) || !end_group_of_ended()) return;
    const auto reaped = system::reap(pidfd_.get());
    if (!reaped && reaped.error() == errc::would_block) return;
    const std::shared_ptr<child> alive = shared_from_this();
    read_messages(most_births);
    end_.emplace(conclude(reaped));
    if (is_wanted() && end_->has_value()) {
        log(log_level::info, "process " + name_ + " ended with " + end_->value().to_string());
    } else if (is_wanted()) {
        log(log_level::warning, "exit status of process " + name_ + " lost");
    }
    state_ = state::stopped;
    const bool clean = end_->has_value() && end_->value().success();
    if (is_counted_) {
        runtime_counters& counted = home_.load()->counted();
        ++counted.children_ended;
        counted.children_failed += clean ? 0 : 1;
    }
    repair_for(participant_, clean ? ending::clean : ending::failed, home_);
    forget_process();
    children::instance().remove(*this);
    ended_.open();
}

/// What the child says while it runs. Its report is the last of it: then it ends.
void child::listen() noexcept {
    if (!read_messages(64) || reported_) control_->watch().call_no_more();
}

/// False if there will be no more. A process that goes on writing is not listened to for ever.
bool child::read_messages(int most) {
    for (; most > 0; --most) {
        const auto header = control_->try_message();
        if (!header) return header.error() == errc::would_block;
        hear(header.value());
        control_->drop(header.value());
    }
    return true;
}

void child::hear(const message_header& header) {
    decoder message(control_->body(header), control_->take_fds(header));
    if (header.type == control::report_type) {
        const auto said = message.get<control::report>();
        if (!said) return;
        const control::report& report = said.value();
        reported_.emplace(report.code & 0xff);
        const std::error_category& category =
            report.failure_is_ours ? error_category() : std::system_category();
        reported_->set_exception(report.exception_type, report.exception_message,
                                 {report.failure, category});
    } else if (header.type == control::birth_type) {
        auto pidfd = message.take_fd();
        const auto said = message.get<control::birth>();
        if (!pidfd || !said || !system::is_process(pidfd.value().get())) return;
        const participant who = said.value().participant;
        if (child_side* const side = this_child_side()) {
            side->tell_birth(pidfd.value().get(), who);
        }
        if (loop* const here = home_)
            here->resident_of<descendants>().watch(std::move(pidfd).value(), who);
    }
}

/// The kernel's word is exact; the child's own stands in for it where somebody else has reaped.
result<exit_status> child::conclude(const result<system::end_of_process>& reaped) const {
    if (!reaped && !reported_) {
        return error(errc::status_lost, "process " + name_ + " (pid " + std::to_string(pid_) + ")");
    }
    exit_status status = reported_.value_or(exit_status());
    if (reaped) {
        const system::end_of_process& end = reaped.value();
        status = exit_status(end.code, end.core_dumped, to_usage(end.usage));
    }
    if (reported_ && status.signal() == 0) {
        status.set_exception(reported_->exception_type(), reported_->exception_message(),
                             reported_->failure());
    }
    status.set_limit(limit_reached(options_.limits, status, killed_));
    return status;
}

void child::forget_process() noexcept {
    exit_watch_.reset();
    if (control_) control_->close();
    control_.reset();
    lifeline_.reset();
    kept_.clear();
}

task<result<exit_status>> child::join(std::shared_ptr<child> self) {
    const state now = self->current();
    if (now == state::closed) co_return errc::closed;
    if (now == state::initial || now == state::starting) co_return errc::not_started;
    COPROC_CO_TRY(co_await wait_end(self));
    if (!self->end_) co_return errc::not_started;  // a start that failed after all
    co_return *self->end_;
}

task<result<void>> child::wait_end(std::shared_ptr<child> self) {
    loop& here = (co_await current_scope()).home();
    if (self->home_ == nullptr && self->current() == state::started) {
        COPROC_CO_TRY(self->watch_exit(here));
    }
    co_return co_await self->ended_.wait();
}

/// A coroutine target is canceled, a plain one gets SIGTERM.
task<result<void>> child::ask_to_end() {
    const std::shared_ptr<message_socket> control = control_;
    if (is_coroutine_ && control) {
        const auto asked = co_await control->send({control::cancel_type, {}, {}});
        if (asked || asked.error() == errc::canceled) co_return asked;
    }
    co_return signal(SIGTERM);
}

task<result<exit_status>> child::stop(std::shared_ptr<child> self, std::chrono::nanoseconds grace) {
    const auto ask_and_join = [](std::shared_ptr<child> asked) -> task<result<exit_status>> {
        COPROC_CO_TRY(co_await asked->ask_to_end());
        co_return co_await join(asked);
    };
    const state now = self->current();
    if (now == state::initial || now == state::starting) co_return errc::not_started;
    if (now == state::stopped) co_return co_await join(self);
    auto ended = co_await timeout(grace, ask_and_join(self));
    if (ended || ended.error() != errc::timed_out) co_return ended;
    COPROC_CO_TRY(self->signal(SIGKILL));
    co_return co_await join(self);
}

task<void> child::terminate(std::shared_ptr<child> self, std::chrono::nanoseconds grace) {
    // One that is still being started knows nothing of its target yet.
    const bool running = self->current() == state::started;
    if (!running && self->pidfd_) (void)system::signal_process(self->pidfd_.get(), SIGKILL);
    if (self->birth_) self->birth_->settled.wake_all(errc::canceled);
    (void)self->signal(SIGTERM);
    const auto ended = co_await timeout(grace, wait_end(self));
    if (ended || ended.error() != errc::timed_out) co_return;
    (void)self->signal(SIGKILL);
    (void)co_await wait_end(self);
}

void child::drop() noexcept {
    dropped_ = options_.kill_on_drop;
    if (dropped_) (void)signal(SIGKILL);
}

result<void> child::signal(int number) {
    switch (current()) {
        case state::initial:
        case state::starting:
            return errc::not_started;
        case state::closed:
            return errc::closed;
        case state::stopped:
            return success();
        case state::started:
            break;
    }
    if (::getpid() != parent_pid_) return error(errc::not_supported, "a child of another process");
    auto sent = send(number);
    if (!sent && sent.error() == std::errc::no_such_process) return success();
    return sent;
}

result<void> child::close() {
    const state now = current();
    if (now == state::starting || now == state::started) return errc::still_running;
    state_ = state::closed;
    request_.reset();
    given_.release_fds();
    pidfd_.reset();
    return success();
}

}  // namespace coproc::detail
