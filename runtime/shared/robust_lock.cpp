#include "shared/robust_lock.hpp"

#include <cerrno>
#include <ctime>

namespace coproc::detail {

namespace {

/// About a microsecond, and the time that a stopped owner may cost the loop.
constexpr int spins = 32;
constexpr long longest_wait_ns = 100'000;

int lock_within_limits(::pthread_mutex_t& mutex, int status, bool stalled) noexcept {
    for (int i = 0; i < spins && status == EBUSY; ++i) {
        __builtin_ia32_pause();
        status = ::pthread_mutex_trylock(&mutex);
    }
    if (status != EBUSY || stalled) return status;
    ::timespec until{};
    ::clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += longest_wait_ns;
    if (until.tv_nsec >= 1'000'000'000) {
        until.tv_nsec -= 1'000'000'000;
        ++until.tv_sec;
    }
    return ::pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &until);
}

}  // namespace

result<void> make_lock(::pthread_mutex_t& mutex) {
    ::pthread_mutexattr_t kind;
    ::pthread_mutexattr_init(&kind);
    ::pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    const int status = ::pthread_mutex_init(&mutex, &kind);
    ::pthread_mutexattr_destroy(&kind);
    if (status == 0) return success();
    return error(std::error_code(status, std::system_category()), "pthread_mutex_init");
}

locking take_lock_late(::pthread_mutex_t& mutex, int first, lock_experience& experience) noexcept {
    const int status = lock_within_limits(mutex, first, experience.stalled);
    experience.stalled = status != 0 && status != EOWNERDEAD;
    if (experience.stalled) return locking::busy;
    if (status == 0) return locking::locked;
    experience.healed = true;
    return locking::owner_died;
}

}  // namespace coproc::detail
