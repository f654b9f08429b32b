#include "waits/signals.hpp"

#include "engine/loop.hpp"

#include <pthread.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <vector>

namespace coproc::detail {

struct signal_watch::handle {
    uv_signal_t uv;
    signal_watch* owner;
};

namespace {

// libuv's handler writes into a pipe that a plain fork of this process shares: the parent would
// take the copy's signals for its own, and a Ctrl-C at the terminal for two. So in the copy nobody
// watches, before the first signal can arrive. (libuv's own part in forking comes first: it has
// been registered with the first loop.)

struct watched_signals {
    std::mutex mutex;
    std::vector<uv_signal_t*> all;
    ::sigset_t mask_before_fork{};  // of the thread that forks, and has the mutex
};

watched_signals& watched() {
    // Never destroyed: the program may fork at its very end.
    static watched_signals& made = *new watched_signals;
    return made;
}

using signal_handler = void (*)(int);
/// libuv's, one for all signals.
constinit std::atomic<signal_handler> libuv_handler = nullptr;

struct sigaction action_of(int number) {
    struct sigaction action{};
    ::sigaction(number, nullptr, &action);
    return action;
}

void hold_signals() {
    watched().mutex.lock();
    ::sigset_t held;
    ::sigemptyset(&held);
    for (const uv_signal_t* one : watched().all) ::sigaddset(&held, one->signum);
    ::pthread_sigmask(SIG_BLOCK, &held, &watched().mask_before_fork);
}

void let_signals_come() {
    ::pthread_sigmask(SIG_SETMASK, &watched().mask_before_fork, nullptr);
    watched().mutex.unlock();
}

/// They take their default action, but where the application has set a handler of its own
/// meanwhile.
void drop_signals() {
    for (uv_signal_t* one : watched().all) {
        const int number = one->signum;
        const auto before = action_of(number);
        uv_signal_stop(one);
        if (before.sa_handler != libuv_handler) ::sigaction(number, &before, nullptr);
    }
    watched().all.clear();
    let_signals_come();
}

/// No fork comes between: it would have the one without the other.
int start(uv_signal_t& one, uv_signal_cb on_signal, int number) {
    const std::lock_guard lock(watched().mutex);
    const signal_handler before = action_of(number).sa_handler;
    const int status = uv_signal_start(&one, on_signal, number);
    if (status < 0) return status;
    const signal_handler now = action_of(number).sa_handler;
    // Where it has not been seen to come, the host may have had libuv watch, too.
    if (now != before || libuv_handler == nullptr) libuv_handler = now;
    watched().all.push_back(&one);
    return status;
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
        if (const int status = start(added->uv, on_signal, number); status < 0) {
            return uv_error(status, "uv_signal_start");
        }
    }
    home.ring();
    return made;
}

signal_watch::~signal_watch() {
    const std::lock_guard lock(watched().mutex);
    for (handle* closing : handles_) {
        std::erase(watched().all, &closing->uv);
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
