#include "waits/signals.hpp"

#include "engine/loop.hpp"

#include <pthread.h>

#include <array>
#include <atomic>
#include <csignal>

namespace coproc::detail {

struct signal_watch::handle {
    uv_signal_t uv;
    signal_watch* owner;
};

namespace {

// libuv's handler writes into a pipe that a plain fork of this process shares: the parent would
// take the copy's signals for its own, and a Ctrl-C at the terminal for two. So in the copy the
// watched signals get their default action back, before the first of them can arrive.

/// How many watch each signal.
std::atomic<int>& watchers_of(int number) noexcept {
    static constinit std::array<std::atomic<int>, NSIG> counts{};
    return counts.at(static_cast<std::size_t>(number));
}
/// libuv's, one for all signals.
constinit std::atomic<void (*)(int)> handler_in_use = nullptr;
thread_local ::sigset_t mask_before_fork;

void (*handler_of(int number))(int) {
    struct sigaction action{};
    ::sigaction(number, nullptr, &action);
    return action.sa_handler;
}

void hold_signals() {
    ::sigset_t watched;
    ::sigemptyset(&watched);
    for (int number = 1; number < NSIG; ++number) {
        if (watchers_of(number) > 0) ::sigaddset(&watched, number);
    }
    ::pthread_sigmask(SIG_BLOCK, &watched, &mask_before_fork);
}

void let_signals_come() { ::pthread_sigmask(SIG_SETMASK, &mask_before_fork, nullptr); }

/// But not one for which the application has set a handler of its own meanwhile.
void drop_signals() {
    for (int number = 1; number < NSIG; ++number) {
        if (watchers_of(number) == 0 || handler_of(number) != handler_in_use) continue;
        ::signal(number, SIG_DFL);
    }
    let_signals_come();
}

result<void> part_forks_from_signals() {
    static const int registered = ::pthread_atfork(&hold_signals, &let_signals_come, &drop_signals);
    if (registered != 0) return std::errc::not_enough_memory;
    return success();
}

}  // namespace

result<std::unique_ptr<signal_watch>> signal_watch::create(loop& home,
                                                           std::initializer_list<int> signals) {
    COPROC_TRY(part_forks_from_signals());
    std::unique_ptr<signal_watch> made(new signal_watch);
    for (const int number : signals) {
        auto* added = new handle{};
        added->owner = made.get();
        added->uv.data = added;
        if (const int status = uv_signal_init(home.uv(), &added->uv); status < 0) {
            delete added;
            return uv_error(status, "uv_signal_init");
        }
        made->handles_.push_back(added);
        uv_unref(reinterpret_cast<uv_handle_t*>(&added->uv));
        const auto on_signal = [](uv_signal_t* uv, int arrived) {
            signal_watch& self = *static_cast<handle*>(uv->data)->owner;
            self.pending_.push_back(arrived);
            self.arrived_.wake_all();
            if (self.on_arrival_ != nullptr) self.on_arrival_(self.argument_);
        };
        if (const int status = uv_signal_start(&added->uv, on_signal, number); status < 0) {
            return uv_error(status, "uv_signal_start");
        }
        handler_in_use = handler_of(number);
        ++watchers_of(number);
    }
    home.ring();
    return made;
}

signal_watch::~signal_watch() {
    for (handle* closing : handles_) {
        if (closing->uv.signum != 0) --watchers_of(closing->uv.signum);
        uv_close(reinterpret_cast<uv_handle_t*>(&closing->uv),
                 [](uv_handle_t* closed) { delete static_cast<handle*>(closed->data); });
    }
}

int signal_watch::take() noexcept {
    const int first = pending_.front();
    pending_.pop_front();
    return first;
}

}  // namespace coproc::detail
