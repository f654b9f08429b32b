#include <coproc/log.hpp>
#include <coproc/runtime.hpp>
#include <coproc/shield.hpp>
#include <coproc/timeout.hpp>

#include "engine/loop.hpp"
#include "processes/child.hpp"
#include "processes/child_side.hpp"
#include "processes/children.hpp"
#include "processes/control.hpp"
#include "processes/identity.hpp"
#include "processes/launch_linux.hpp"
#include "processes/placement_linux.hpp"
#include "words/system.hpp"

#include <sys/auxv.h>
#include <unistd.h>

#include <csignal>

namespace coproc::detail {

namespace {

/// For so long the fork server may take to answer for a child that nobody wants any more.
constexpr std::chrono::seconds patience{5};

}  // namespace

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
    COPROC_TRY(auto place, prepare_placement(options_, message, opened));
    const control::bootstrap bootstrap{
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
    control::put_protocol(message);
    message.put(bootstrap);
    request_->encode(message);
    COPROC_TRY(message.status());
    if (message.fds().size() >= max_message_fds) {  // there is the lifeline, too
        return error(errc::message_too_large, "the arguments hold more than 252 handles");
    }
    kept_ = message.take_kept();
    return message;
}

/// Our end is control_.
result<unique_fd> child::open_control() {
    COPROC_TRY(auto ends, system::socket_pair());
    control_ = std::make_shared<message_socket>(std::move(ends[0]));
    control_->accept_up_to(control::longest_report);
    return std::move(ends[1]);
}

task<result<void>> child::start(std::shared_ptr<child> self) {
    const cancel_scope& scope = co_await current_scope();
    COPROC_CO_TRY(co_await cancellation_point());
    COPROC_CO_TRY(self->check_startable());
    self->state_ = state::starting;
    self->home_ = &scope.home();
    children::instance().follow(scope.home());
    children::instance().add(self);
    const auto begun = co_await begin(self, scope.home());
    if (!begun) {
        ++scope.home().counted().starts_failed;
        self->become_initial();
        co_return begun.error().within("start of " + self->name_);
    }
    self->request_.reset();
    self->given_.release_fds();
    if (self->state_ == state::starting) self->state_ = state::started;
    if (self->dropped_) (void)self->signal(SIGKILL);
    log(log_level::debug,
        "started process " + self->name_ + " with pid " + std::to_string(self->pid_));
    co_return success();
}

/// The child is told what to do when we, and our parent, know of it: its target does not run before
/// start() is as good as done, and never if that is canceled earlier.
task<result<void>> child::begin(std::shared_ptr<child> self, loop& home) {
    COPROC_CO_TRY(self->lifeline_, lifeline::hold());
    std::vector<unique_fd> opened;  // until the message has been sent
    COPROC_CO_TRY(const auto bootstrap, self->make_bootstrap(opened));
    std::optional<changes> changed;
    COPROC_CO_TRY(auto born, co_await bear(self, home, changed));
    COPROC_CO_TRY(self->adopt(home, std::move(born)));
    // If it ends meanwhile, look() closes the socket and lets go of it.
    const std::shared_ptr<message_socket> control = self->control_;
    // Not earlier: many starts may wait, each with the fds that it has already.
    const auto lifeline = self->lifeline_->open_for_child();
    result<void> sent = success();
    if (!lifeline) sent = lifeline.error();
    if (sent && changed) {
        const encoder& message = changed->message;
        sent = co_await control->send({control::surroundings_type, message.bytes(), message.fds()});
    }
    if (sent) {
        std::vector<int> fds{lifeline.value().get()};
        fds.insert(fds.end(), bootstrap.fds().begin(), bootstrap.fds().end());
        sent = co_await control->send({control::bootstrap_type, bootstrap.bytes(), fds});
    }
    // A child that is gone already has been started; its exit status says the rest.
    if (sent || sent.error() == errc::end_of_stream || self->end_) co_return success();
    co_return co_await undo_start(self, sent.error());
}

void child::become_initial() noexcept {
    forget_process();
    children::instance().remove(*this);
    home_ = nullptr;
    parent_pid_ = 0;
    pid_ = 0;
    pidfd_.reset();
    if (state_ != state::closed) state_ = state::initial;
    // There will be no end; those who wait for it look again.
    ended_.wake_all();
}

/// By the fork server, if there can be one.
task<result<launched>> child::bear(std::shared_ptr<child> self, loop& home,
                                   std::optional<changes>& changed) {
    forkserver& server = home.resident_of<forkserver>();
    const bool by_server = self->options_.method == start_method::forkserver;
    while (by_server && server.is_usable()) {
        COPROC_CO_TRY(auto theirs, self->open_control());
        auto asked = co_await forkserver::ask(server, self->control_, std::move(theirs));
        COPROC_CO_TRY(const forkserver::birth_ref birth, std::move(asked));
        if (!birth) break;
        self->birth_ = birth;
        result<void> settled = success();
        const bool is_fit = birth->fitness == forkserver::birth::fitness::fit;
        if (is_fit) {
            settled = co_await birth->settled.wait();
        } else {
            settled = co_await timeout(patience, birth->settled.wait());
        }
        self->birth_.reset();
        if (!settled || !is_fit) {
            self->control_.reset();  // not to be closed: from now on it is the birth's
            forkserver::duty duty(server);
            auto rest = put_away(self->name_, server, birth, std::move(duty));
            runtime_ref(home).spawn_service(std::move(rest));
            if (!settled && (is_fit || settled.error() != errc::timed_out)) {
                co_return settled.error();
            }
            if (birth->fitness == forkserver::birth::fitness::unclear) break;
            continue;
        }
        COPROC_CO_TRY(auto born, std::move(birth->outcome));
        if (!born) continue;
        changed = std::move(birth->changed);
        // A session is for the child alone to make.
        if (leading_of(self->options_) == leading::group) ::setpgid(born->pid, born->pid);
        co_return std::move(*born);
    }
    COPROC_CO_TRY(const auto theirs, self->open_control());
    co_return launch(identity().arguments, theirs.get(), leading_of(self->options_));
}

/// Of one that may be born when nobody wants it any more.
task<void> child::put_away(std::string name, forkserver& server, forkserver::birth_ref birth,
                           forkserver::duty) {
    loop& home = (co_await current_scope()).home();
    const auto settled = co_await shield(timeout(patience, birth->settled.wait()));
    if (!settled) {
        server.give_up_waiting(birth);
        // Within the fork server's own patience; errors on the way are not the last word.
        while (!birth->settled.is_open()) (void)co_await shield(birth->settled.wait());
    }
    if (!birth->outcome || !birth->outcome.value()) co_return;
    const auto unwanted = std::make_shared<child>(std::move(name));
    unwanted->control_ = birth->control;
    if (!unwanted->adopt(home, std::move(*birth->outcome.value()))) co_return;
    children::instance().add(unwanted);
    (void)system::signal_process(unwanted->pidfd_.get(), SIGKILL);
    unwanted->control_->close();  // if it could not be killed: it ends without a bootstrap
    (void)co_await shield(timeout(patience, wait_end(unwanted)));
}

result<void> child::adopt(loop& home, launched born) {
    pid_ = born.pid;
    parent_pid_ = ::getpid();
    pidfd_ = std::move(born.pidfd);
    exit_watch_ = std::make_unique<fd_watch>(pidfd_.get());
    if (auto watching = watch_exit(home); !watching) {
        // Without the loop's help the end has to be waited for; it comes at once.
        (void)system::signal_process(pidfd_.get(), SIGKILL);
        control_->close();  // if it could not be killed: it ends without a bootstrap
        system::wait_for_end(pidfd_.get());
        return watching;
    }
    is_counted_ = is_wanted();
    if (is_counted_) ++home.counted().children_started;
    if (child_side* const side = this_child_side()) {
        side->tell_birth(pidfd_.get(), participant_);
    }
    return success();
}

/// The child could not be told what to do: it ends, and the process is initial again.
task<result<void>> child::undo_start(std::shared_ptr<child> self, error why) {
    (void)system::signal_process(self->pidfd_.get(), SIGKILL);
    self->control_->close();  // if it could not be killed: it ends without the whole bootstrap
    (co_await shield(self->ended_.wait())).value();
    self->ended_.shut();
    self->end_.reset();
    self->reported_.reset();
    co_return why;
}

}  // namespace coproc::detail
