#include "shared/participant.hpp"

#include <pthread.h>

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
    std::random_device random;
    participant made = 0;
    while (made == 0) made = participant{random()} << 32U | random();
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
