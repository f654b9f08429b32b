#include <coproc/process.hpp>

#include "processes/child.hpp"

#include <unistd.h>

#include <csignal>
#include <ostream>

namespace coproc {

using detail::child;

process::process(const process_options& options, std::unique_ptr<detail::start_request> request)
    : child_(std::make_shared<child>(options, std::move(request))) {}

process::process(process&&) noexcept = default;

process& process::operator=(process&& other) noexcept {
    std::swap(child_, other.child_);
    return *this;
}

process::~process() {
    if (child_) child_->drop();
}

task<result<void>> process::start() { return child::start(child_); }
task<result<exit_status>> process::join() const { return child::join(child_); }
task<result<exit_status>> process::stop_within(std::chrono::nanoseconds grace) {
    return child::stop(child_, grace);
}

result<void> process::interrupt() { return child_->signal(SIGINT); }
result<void> process::terminate() { return child_->signal(SIGTERM); }
result<void> process::kill() { return child_->signal(SIGKILL); }
result<void> process::send_signal(int signal) { return child_->signal(signal); }

const std::string& process::name() const noexcept { return child_->name(); }
int process::pid() const noexcept { return child_->pid(); }
int process::parent_pid() const noexcept { return ::getpid(); }
bool process::daemon() const noexcept { return child_->is_daemon(); }
bool process::is_alive() const { return child_->current() == child::state::started; }
int process::sentinel() const noexcept { return child_->pidfd(); }
result<void> process::close() { return child_->close(); }

std::optional<int> process::exit_code() const {
    if (child_->current() != child::state::stopped || !child_->end()->has_value())
        return std::nullopt;
    return child_->end()->value().code();
}

namespace {

std::string end_in_brackets(const result<exit_status>& end) {
    if (!end) return "stopped[lost]";
    const exit_status& status = end.value();
    if (status.success()) return "stopped";
    if (status.signal() != 0) return "stopped[" + detail::signal_name(status.signal()) + "]";
    return "stopped[" + std::to_string(status.code()) + "]";
}

std::string state_of(child& one) {
    switch (one.current()) {
        case child::state::initial:
            return "initial";
        case child::state::starting:
        case child::state::started:
            return "started";
        case child::state::stopped:
            return end_in_brackets(*one.end());
        case child::state::closed:
            return "closed";
    }
    return {};
}

}  // namespace

std::string process::to_string() const {
    return "<process(" + child_->name() + ", " + state_of(*child_) + ")>";
}

std::ostream& operator<<(std::ostream& out, const process& one) { return out << one.to_string(); }

}  // namespace coproc
