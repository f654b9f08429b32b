#include "processes/child.hpp"

#include <coproc/log.hpp>
#include <coproc/shield.hpp>
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

#include <sys/auxv.h>
#include <unistd.h>

#include <csignal>

namespace coproc::detail {

namespace {

std::chrono::microseconds to_duration(const ::timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

/// So much is read of what a dead child has sent: births, and a report.
constexpr int most_births = 4096;

/// If this process is somebody's child.
void tell_birth(int pidfd, participant who) {
    if (child_side* const side = this_child_side()) side->tell_birth(pidfd, who);
}

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

child::state child::current() {
    if (state_ == state::started) look();
    return state_;
}

// Starting.

result<void> child::check_startable() const {
    if (!identity().bootstrapped) return errc::not_bootstrapped;
    // The child would refuse its bootstrap, which it could not tell from an attacker's.
    if (::getauxval(AT_SECURE) != 0 || ::getuid() != ::geteuid() || ::getgid() != ::getegid()) {
        return error(errc::not_supported, "a program with more rights than its caller");
    }
    if (state_ == state::closed) return errc::closed;
    if (state_ != state::initial) return errc::already_started;
    return success();
}

result<encoder> child::make_bootstrap(std::vector<unique_fd>& opened) {
    COPROC_TRY(given_.status());
    COPROC_TRY(auto target, place_of(request_->record()));
    const log_settings log = current_log_settings();
    const this_process& self = current_process();
    encoder message;
    message.give_away();
    message.attach(lifeline_->read_end());
    COPROC_TRY(auto place, prepare_placement(options_, message, opened));
    const control::bootstrap bootstrap{
        control::build_identity,
        name_,
        path_,
        self.name(),
        participant_ = new_participant(),
        options_.daemon,
        options_.quick_exit,
        options_.on_parent_death == parent_death::cancel && is_coroutine_,
        static_cast<int>(log.level),
        log.to_stderr,
        std::move(target),
        std::move(place)};
    message.put(bootstrap);
    request_->encode(message);
    COPROC_TRY(message.status());
    if (message.fds().size() > max_message_fds) {
        return error(errc::message_too_large, "the arguments hold more than 252 handles");
    }
    kept_ = message.take_kept();
    return message;
}

task<result<void>> child::start(std::shared_ptr<child> self) {
    const cancel_scope& scope = co_await current_scope();
    COPROC_CO_TRY(co_await cancellation_point());
    COPROC_CO_TRY(self->check_startable());
    const std::string step = "start of " + self->name_;
    auto lifeline = lifeline::hold();
    if (!lifeline) co_return lifeline.error().within(step);
    self->lifeline_ = std::move(lifeline).value();
    std::vector<unique_fd> opened;  // until the message has been sent
    auto message = self->make_bootstrap(opened);
    if (!message) co_return message.error().within(step);
    if (auto spawned = self->spawn(scope.home()); !spawned) {
        self->forget_process();
        co_return spawned.error().within(step);
    }
    // A small bootstrap is in the socket before the child looks; a large one is sent as it reads.
    // If it ends meanwhile, look() closes the socket and lets go of it.
    const std::shared_ptr<message_socket> control = self->control_;
    const auto sent = co_await control->send(
        {control::bootstrap_type, message.value().bytes(), message.value().fds()});
    // A child that is gone already has been started; its exit status says the rest.
    const bool started = sent || sent.error() == errc::end_of_stream || self->end_;
    if (!started) co_return co_await undo_start(self, sent.error().within(step));
    self->request_.reset();
    self->given_.release_fds();
    if (self->state_ == state::starting) self->state_ = state::started;
    if (self->dropped_) (void)self->signal(SIGKILL);
    log(log_level::debug,
        "started process " + self->name_ + " with pid " + std::to_string(self->pid_));
    co_return success();
}

result<void> child::spawn(loop& home) {
    COPROC_TRY(auto ends, system::socket_pair());
    if (ends[1].get() <= control_fd_in_child) {
        COPROC_TRY(ends[1], system::duplicate(ends[1].get(), control_fd_in_child + 1));
    }
    COPROC_TRY(auto born, launch(identity().arguments, ends[1].get(), leading_of(options_)));
    state_ = state::starting;
    pid_ = born.pid;
    parent_pid_ = ::getpid();
    pidfd_ = std::move(born.pidfd);
    control_ = std::make_shared<message_socket>(std::move(ends[0]));
    control_->accept_up_to(control::longest_report);
    exit_watch_ = std::make_unique<fd_watch>(pidfd_.get());
    if (auto watching = watch_exit(home); !watching) {
        // Without the loop's help the end has to be waited for; it comes at once.
        (void)system::signal_process(pidfd_.get(), SIGKILL);
        control_->close();  // if it could not be killed: it ends without a bootstrap
        system::wait_for_end(pidfd_.get());
        state_ = state::initial;
        pid_ = 0;
        pidfd_.reset();
        return watching;
    }
    children::instance().add(shared_from_this());
    tell_birth(pidfd_.get(), participant_);
    return success();
}

result<void> child::watch_exit(loop& home) {
    const auto on_exit = [](void* self) noexcept { static_cast<child*>(self)->look(); };
    COPROC_TRY(exit_watch_->call_when_readable(home, on_exit, this));
    const auto on_message = [](void* self) noexcept { static_cast<child*>(self)->listen(); };
    // Otherwise it is heard at its end.
    (void)control_->watch().call_when_readable(home, on_message, this);
    home_ = &home;
    children::instance().follow(home);
    return success();
}

void child::leave_loop() noexcept {
    home_ = nullptr;
    if (exit_watch_) exit_watch_->detach();
    if (control_) control_->watch().detach();
}

/// The child could not be told what to do: it ends, and the process is initial again.
task<result<void>> child::undo_start(std::shared_ptr<child> self, error why) {
    (void)system::signal_process(self->pidfd_.get(), SIGKILL);
    self->control_->close();  // if it could not be killed: it ends without the whole bootstrap
    (co_await shield(self->ended_.wait())).value();
    self->ended_.shut();
    self->end_.reset();
    self->reported_.reset();
    self->pidfd_.reset();
    self->pid_ = 0;
    self->state_ = state::initial;
    co_return why;
}

// Ending.

void child::look() noexcept {
    if (end_ || !end_group_of_ended()) return;
    const auto reaped = system::reap(pidfd_.get());
    if (!reaped && reaped.error() == errc::would_block) return;
    const std::shared_ptr<child> alive = shared_from_this();
    read_messages(most_births);
    end_.emplace(conclude(reaped));
    if (end_->has_value()) {
        log(log_level::info, "process " + name_ + " ended with " + end_->value().to_string());
    } else {
        log(log_level::warning, "exit status of process " + name_ + " lost");
    }
    state_ = state::stopped;
    const bool clean = end_->has_value() && end_->value().success();
    repair_for(participant_, clean ? ending::clean : ending::failed, home_);
    forget_process();
    children::instance().remove(*this);
    ended_.open();
}

/// What the child says while it runs.
void child::listen() noexcept {
    if (!read_messages(64)) control_->watch().call_no_more();
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
        tell_birth(pidfd.value().get(), who);
        if (home_ != nullptr)
            home_->resident_of<descendants>().watch(std::move(pidfd).value(), who);
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
    if (self->current() == state::stopped) co_return co_await join(self);
    auto ended = co_await timeout(grace, ask_and_join(self));
    if (ended || ended.error() != errc::timed_out) co_return ended;
    COPROC_CO_TRY(self->signal(SIGKILL));
    co_return co_await join(self);
}

task<void> child::terminate(std::shared_ptr<child> self, std::chrono::nanoseconds grace) {
    // One that is still being started knows nothing of its target yet.
    const bool running = self->current() == state::started;
    if (!running && self->pidfd_) (void)system::signal_process(self->pidfd_.get(), SIGKILL);
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
