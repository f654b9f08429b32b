#include "processes/forkserver.hpp"

#include <coproc/forkserver.hpp>
#include <coproc/log.hpp>
#include <coproc/shield.hpp>

#include "processes/children.hpp"
#include "processes/control.hpp"
#include "processes/identity.hpp"
#include "waits/fd_watch.hpp"
#include "words/system.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iterator>
#include <utility>
#include <vector>

namespace coproc::detail {

namespace {

/// Each one has fds on their way, of which the kernel allows a user only so many.
constexpr std::size_t most_births = 16;
/// Within that a child says who it is, which has nothing else to do.
constexpr std::chrono::seconds patience{5};
/// For which a loop waits at its end for a server that has been killed.
constexpr std::chrono::seconds longest_farewell{1};

/// Which of the standard fds children get; see keep_standard_fds in launch_linux.cpp.
unsigned standard_fds_to_give(std::vector<int>& fds) {
    unsigned given = 0;
    for (int fd = 0; fd <= 2; ++fd) {
        const int flags = ::fcntl(fd, F_GETFD);
        if (flags < 0 || (flags & FD_CLOEXEC) != 0) continue;
        given |= 1U << fd;
        fds.push_back(fd);
    }
    return given;
}

/// Nothing will come any more; otherwise the system may be short of something for a while.
bool is_end(const error& why) {
    return why == errc::end_of_stream || why == errc::truncated || why == errc::closed ||
           why == errc::bad_message;
}

}  // namespace

void forkserver::grave::fill() noexcept {
    (void)system::reap(pidfd.get());
    family->graves_.erase(place);
}

// The server.

result<void> forkserver::make(standing now) {
    COPROC_TRY(auto kept, lifeline::hold());
    COPROC_TRY(auto ends, system::socket_pair());
    auto socket = std::make_unique<message_socket>(std::move(ends[0]));
    socket->accept_up_to(control::longest_report);
    COPROC_TRY(const auto lifeline, kept->open_for_child());
    auto births = birth_register::create();
    encoder message;
    message.attach(lifeline.get());
    if (births) message.attach(births.value().fd());
    // What the server binds, its children need not bind each for itself, up to their last
    // destructor. Who cannot have it sets the variable, if only to nothing.
    const bool binds = std::getenv(binding_variable) == nullptr;
    control::put_protocol(message);
    message.put(control::service{identity().preload, binds, births.has_value()});
    // There is room in an empty socket.
    COPROC_TRY(socket->try_send({control::service_type, message.bytes(), message.fds()}));
    const auto on_message = [](void* self) noexcept { static_cast<forkserver*>(self)->listen(); };
    COPROC_TRY(socket->watch().call_when_readable(*home_, on_message, this));
    COPROC_TRY(auto server, launch(identity().arguments, ends[1].get(), leading::nothing,
                                   binds ? binding::at_once : binding::as_it_is));
    pidfd_ = std::move(server.pidfd);
    ending_ = std::make_unique<fd_watch>(pidfd_.get());
    // Without this watch the socket's end tells it, unless a stopped child has a copy of that.
    const auto on_death = [](void* self) noexcept { static_cast<forkserver*>(self)->on_death(); };
    (void)ending_->call_when_readable(*home_, on_death, this);
    socket_ = std::move(socket);
    lifeline_ = std::move(kept);
    made_under_ = std::move(now);
    written_down_.reset();
    if (births) written_down_ = std::make_shared<birth_register>(std::move(births).value());
    made_by_ = ::getpid();
    is_outdated_ = false;
    ++servers_so_far_;
    ++home_->counted().servers_started;
    return success();
}

task<void> forkserver::end() {
    while (duties_ > 0) (void)co_await shield(all_done_.wait());
}

forkserver::~forkserver() {
    if (socket_ && made_by_ == ::getpid()) graves_.emplace_back(*this, end_server());
    for (grave& open : graves_) {
        if (open.parent != ::getpid()) continue;  // the copy that a plain fork has
        system::wait_until_readable(open.pidfd.get(), longest_farewell);
        (void)system::reap(open.pidfd.get());
    }
}

/// Not in a plain fork of this process, where it is somebody else's. Its pidfd.
unique_fd forkserver::end_server() noexcept {
    // Also for the copies of the socket that such a fork has.
    if (made_by_ == ::getpid()) {
        (void)system::shut_down(socket_->fd(), SHUT_RDWR);
        (void)system::signal_process(pidfd_.get(), SIGKILL);
    }
    ending_.reset();
    socket_.reset();
    lifeline_.reset();
    return std::exchange(pidfd_, unique_fd());
}

void forkserver::dig_grave(unique_fd pidfd) {
    grave& made = graves_.emplace_back(*this, std::move(pidfd));
    made.place = std::prev(graves_.end());
    const auto on_end = [](void* open) noexcept { static_cast<grave*>(open)->fill(); };
    // Otherwise when this loop ends.
    (void)made.ending.call_when_readable(*home_, on_end, &made);
}

/// Those whose birth it has not told of are looked for.
void forkserver::lose() {
    if (!socket_) return;
    unique_fd ended = end_server();
    if (made_by_ == ::getpid()) dig_grave(std::move(ended));
    const std::list<birth_ref> births = births_;
    for (const birth_ref& lost : births) look_for(*lost);
}

void forkserver::give_up(const std::string& why) {
    if (!std::exchange(is_possible_, false)) return;
    log(log_level::warning, "no fork server, processes are spawned: " + why);
}

void forkserver::on_end() {
    if (losses_.add(clock::now())) {
        log(log_level::warning,
            "no fork server for a while, processes are spawned: "
            "it has ended several times in a row");
    }
    lose();
}

/// Its last answers may still be there to be read.
void forkserver::on_death() {
    listen();
    if (socket_) on_end();
}

void forkserver::listen() {
    for (const birth_ref& one : births_) one->theirs.reset();
    for (int most = 64; socket_ && most > 0; --most) {
        const auto header = socket_->try_message();
        if (!header && header.error() == errc::would_block) return;
        if (!header && (is_end(header.error()) || !socket_->is_open())) return on_end();
        if (!header) {
            for (const birth_ref& one : births_) one->settled.wake_all(header.error());
            return;
        }
        hear(header.value());
        if (socket_) socket_->drop(header.value());
    }
}

void forkserver::hear(const message_header& header) {
    auto fds = socket_->take_fds(header);
    decoder message(socket_->body(header));
    const auto said = message.get<control::answer>();
    if (header.type != control::answer_type || !said) return;
    const control::answer& answer = said.value();
    if (answer.never) {
        const std::error_code why(answer.failure, std::system_category());
        give_up(why ? error(why, answer.reason).message() : answer.reason);
        return lose();
    }
    const auto asked =
        std::ranges::find(births_, answer.number, [](const birth_ref& one) { return one->number; });
    if (asked == births_.end()) return;
    losses_.forget();
    if (answer.failure != 0) {
        const std::error_code failure(answer.failure, std::system_category());
        return settle(**asked, error(failure, answer.reason));
    }
    if (fds.empty()) return settle(**asked, errc::bad_message);
    settle(**asked, launched{answer.pid, clear_of_standard_fds(std::move(fds.front()))});
}

// Births.

task<result<forkserver::birth_ref>> forkserver::ask(forkserver& self,
                                                    std::shared_ptr<message_socket> control,
                                                    unique_fd theirs) {
    while (self.births_.size() >= most_births) {
        COPROC_CO_TRY(co_await self.room_.wait());
    }
    auto asked = self.ask_now(std::move(control), std::move(theirs));
    // Who has found room and has not taken it passes it on: nobody else would.
    if (!asked || !asked.value()) self.room_.wake_one();
    co_return asked;
}

result<forkserver::birth_ref> forkserver::ask_now(std::shared_ptr<message_socket> control,
                                                  unique_fd theirs) {
    // Those who have waited for room may find that there is no server to be had.
    if (!is_usable()) return birth_ref();
    if (socket_ && (is_outdated_ || made_by_ != ::getpid())) lose();
    const bool is_new = !socket_;
    if (is_new) {
        auto now = standing::now();
        if (!now) return birth_ref();
        COPROC_TRY(make(std::move(now).value()));
    }
    auto made = std::make_shared<birth>(*this);
    made->server = servers_so_far_;
    made->number = ++births_so_far_;
    made->written_down = written_down_;
    if (made->written_down) made->written_down->begin(made->number);
    made->control = std::move(control);
    made->theirs = std::move(theirs);
    std::vector<int> fds{made->theirs.get()};
    const unsigned standard_fds = standard_fds_to_give(fds);
    encoder message;
    message.put(control::request{made->number, standard_fds});
    // There is room for so few requests.
    const auto sent = socket_->try_send({control::request_type, message.bytes(), fds});
    if (!sent && sent.error() != errc::end_of_stream) return sent.error();
    births_.push_back(made);
    if (!sent) {
        on_end();
    } else if (!is_new) {
        compare(*made);
    }
    return made;
}

/// What the server was made under with what is now: while it makes the child, which takes longer,
/// and which does nothing before it is told to.
void forkserver::compare(birth& asked) {
    const auto now = standing::now();
    asked.fitness = birth::fitness::unclear;
    if (!now) return;
    if (!made_under_.can_become(now.value())) {
        asked.fitness = birth::fitness::unfit;
        is_outdated_ = true;
        return;
    }
    if (made_under_.around != now.value().around) {
        auto changed = find_changes(made_under_.around, now.value().around);
        if (!changed) return;
        asked.changed.emplace(std::move(changed).value());
    }
    asked.fitness = birth::fitness::fit;
}

void forkserver::settle(birth& born, result<std::optional<launched>> outcome) {
    born.stop();
    born.outcome = std::move(outcome);
    born.control->watch().call_no_more();
    born.settled.open();
    births_.remove_if([&](const birth_ref& one) { return one.get() == &born; });
    room_.wake_one();
}

void forkserver::give_up_waiting(const birth_ref& unanswered) {
    if (socket_ && servers_so_far_ == unanswered->server) lose();
}

/// The server is gone: is there a child at the other end?
void forkserver::look_for(birth& lost) {
    lost.theirs.reset();
    const auto on_message = [](void* argument) noexcept {
        auto& looked_for = *static_cast<birth*>(argument);
        looked_for.family->on_message_of(looked_for);
    };
    (void)lost.control->try_send({control::hello_type, {}, {}});
    const auto watching = lost.control->watch().call_when_readable(*home_, on_message, &lost);
    if (!watching) {
        bury(lost);
        return settle(lost, watching.error());
    }
    lost.start(*home_, time_after(patience));
}

/// There may be somebody who is stopped, or only a copy of the socket in a fork of this process.
void forkserver::birth::on_time(alarm& late) noexcept {
    auto& lost = static_cast<birth&>(late);
    lost.family->bury(lost);
    lost.family->settle(lost, std::nullopt);
}

/// Ends and reaps the child that has not told of itself, if there is one.
void forkserver::bury(const birth& lost) {
    const ::pid_t pid = lost.written_down ? lost.written_down->pid_of(lost.number) : 0;
    if (pid == 0) return;
    lost.control->close();  // there is a number free for the pidfd, then
    auto pidfd = system::open_process(pid);
    // Somebody else may have reaped it, and another process have its pid.
    if (!pidfd || !system::is_child(pidfd.value().get()) || children::instance().has(pid)) return;
    (void)system::signal_process(pidfd.value().get(), SIGKILL);
    dig_grave(std::move(pidfd).value());
}

void forkserver::on_message_of(birth& lost) {
    const auto header = lost.control->try_message();
    if (!header && !is_end(header.error())) {
        if (header.error() != errc::would_block) lost.settled.wake_all(header.error());
        return;
    }
    std::optional<launched> found;
    if (header && header.value().type == control::hello_type) {
        decoder message(lost.control->body(header.value()), lost.control->take_fds(header.value()));
        auto pidfd = message.take_fd();
        const auto said = message.get<control::hello>();
        if (pidfd && said) {
            found = launched{said.value().pid, clear_of_standard_fds(std::move(pidfd).value())};
        }
    }
    if (header) lost.control->drop(header.value());
    if (found) {
        losses_.forget();
    } else {
        bury(lost);
    }
    settle(lost, std::move(found));
}

}  // namespace coproc::detail

namespace coproc {

result<void> set_forkserver_preload(void (*function)()) {
    identity().preload.reset();
    if (function == nullptr) return success();
    COPROC_TRY(identity().preload, detail::place_of(reinterpret_cast<const void*>(function)));
    return success();
}

}  // namespace coproc
