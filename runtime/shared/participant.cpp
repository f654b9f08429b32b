#include "shared/participant.hpp"

#include <pthread.h>
#include <sys/random.h>

#include <atomic>
#include <random>

namespace coproc::detail {

namespace {

constinit std::atomic<participant> me = 0;

/// A plain fork is somebody else.
void forget_in_forks() {
    [[maybe_unused]] static const int registered =
        ::pthread_atfork(nullptr, nullptr, [] { me = 0; });
}

}  // namespace

participant new_participant() noexcept {
    participant made = 0;
    while (made == 0) {
        if (::getrandom(&made, sizeof made, 0) == sizeof made) continue;
        // A sandbox may refuse it. The processor's own is slow: a hypervisor traps its set-up.
        std::random_device random;
        made = participant{random()} << 32U | random();
    }
    return made;
}

void become(participant one) noexcept {
    forget_in_forks();
    me = one;
}

participant this_participant() noexcept {
    forget_in_forks();
    participant known = me;
    if (known != 0) return known;
    const participant made = new_participant();
    return me.compare_exchange_strong(known, made) ? made : known;
}

}  // namespace coproc::detail
