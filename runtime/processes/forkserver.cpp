#include "processes/forkserver.hpp"

#include <coproc/forkserver.hpp>
#include <coproc/log.hpp>

#include "processes/control.hpp"
#include "processes/identity.hpp"
#include "words/system.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>
#include <vector>

namespace coproc::detail {

namespace {

/// Each one has fds on their way, of which the kernel allows a user only so many.
constexpr std::size_t most_births = 16;
/// So many servers in a row may end without a child: then it is the program's or the system's way.
constexpr int most_losses = 3;

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

// The server.

result<bool> forkserver::prepare(message_socket& control) {
    const privileges mine = privileges::now();
    auto now = surroundings::now();
    if (!now) return false;
    if (socket_ && (made_by_ != ::getpid() || mine != privileges_)) lose();
    if (!socket_) {
        privileges_ = mine;
        surroundings_ = std::move(now).value();
        COPROC_TRY(make());
        return true;
    }
    if (now.value() == surroundings_) return true;
    encoder changes;
    const auto directory = encode_changes(changes, surroundings_, now.value());
    if (!directory) return false;
    COPROC_TRY(control.try_send({control::surroundings_type, changes.bytes(), changes.fds()}));
    return true;
}

result<void> forkserver::make() {
    COPROC_TRY(lifeline_, lifeline::hold());
    COPROC_TRY(auto ends, system::socket_pair());
    COPROC_TRY(auto server, launch(identity().arguments, ends[1].get()));
    pidfd_ = std::move(server.pidfd);
    made_by_ = ::getpid();
    socket_ = std::make_unique<message_socket>(std::move(ends[0]));
    socket_->accept_up_to(control::longest_report);
    const auto on_message = [](void* self) noexcept { static_cast<forkserver*>(self)->listen(); };
    auto begun = socket_->watch().call_when_readable(*home_, on_message, this);
    if (begun) {
        encoder message;
        message.attach(lifeline_->read_end());
        message.put(control::service{control::build_identity, identity().preload});
        begun = socket_->try_send({control::service_type, message.bytes(), message.fds()});
    }
    // One that has ended already is noticed as any other one.
    if (begun || begun.error() == errc::end_of_stream) return success();
    lose();
    return begun;
}

forkserver::~forkserver() {
    births_.clear();
    lose();
}

/// Those whose birth it has not told of are looked for.
void forkserver::lose() {
    if (!socket_) return;
    socket_.reset();
    lifeline_.reset();
    // In a plain fork of this process it is somebody else's.
    if (made_by_ == ::getpid()) {
        (void)system::signal_process(pidfd_.get(), SIGKILL);
        system::wait_for_end(pidfd_.get());
    }
    pidfd_.reset();
    const std::list<birth_ref> births = births_;
    for (const birth_ref& lost : births) look_for(*lost);
}

void forkserver::give_up(const std::string& why) {
    if (!std::exchange(is_usable_, false)) return;
    log(log_level::warning, "no fork server, processes are spawned: " + why);
}

void forkserver::on_end() {
    if (++losses_ >= most_losses) give_up("it has ended several times in a row");
    lose();
}

void forkserver::listen() {
    for (const birth_ref& one : births_) one->theirs.reset();
    for (int most = 64; socket_ && most > 0; --most) {
        const auto header = socket_->try_message();
        if (!header && header.error() == errc::would_block) return;
        if (!header && is_end(header.error())) return on_end();
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
        give_up(answer.reason);
        return lose();
    }
    const auto asked =
        std::ranges::find(births_, answer.number, [](const birth_ref& one) { return one->number; });
    if (asked == births_.end()) return;
    losses_ = 0;
    if (answer.failure != 0 || fds.empty()) {
        const std::error_code failure(answer.failure, std::system_category());
        return settle(**asked, error(failure, answer.reason));
    }
    settle(**asked, launched{answer.pid, clear_of_standard_fds(std::move(fds.front()))});
}

// Births.

task<result<forkserver::birth_ref>> forkserver::ask(forkserver& self,
                                                    std::shared_ptr<message_socket> control,
                                                    unique_fd theirs) {
    while (self.births_.size() >= most_births) {
        COPROC_CO_TRY(co_await self.room_.wait());
    }
    auto made = std::make_shared<birth>();
    made->family = &self;
    made->number = ++self.births_so_far_;
    made->control = std::move(control);
    made->theirs = std::move(theirs);
    self.births_.push_back(made);
    if (!self.socket_) {
        self.settle(*made, std::nullopt);
        co_return made;
    }
    std::vector<int> fds{made->theirs.get()};
    const unsigned standard_fds = standard_fds_to_give(fds);
    encoder message;
    message.put(control::request{made->number, standard_fds});
    // There is room for so few requests.
    const auto sent = self.socket_->try_send({control::request_type, message.bytes(), fds});
    if (sent) co_return made;
    if (sent.error() == errc::end_of_stream) {
        self.on_end();
    } else {
        self.settle(*made, sent.error());
    }
    co_return made;
}

void forkserver::settle(birth& born, result<std::optional<launched>> outcome) {
    born.outcome = std::move(outcome);
    born.control->watch().call_no_more();
    born.settled.open();
    births_.remove_if([&](const birth_ref& one) { return one.get() == &born; });
    room_.wake_one();
}

/// The server is gone: is there a child at the other end?
void forkserver::look_for(birth& lost) {
    lost.theirs.reset();
    const auto on_message = [](void* argument) noexcept {
        auto& looked_for = *static_cast<birth*>(argument);
        looked_for.family->on_message_of(looked_for);
    };
    const auto watching = lost.control->watch().call_when_readable(*home_, on_message, &lost);
    if (!watching) settle(lost, watching.error());
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
        if (pidfd && said) found = launched{said.value().pid, std::move(pidfd).value()};
    }
    if (header) lost.control->drop(header.value());
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
