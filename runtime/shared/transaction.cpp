#include "shared/transaction.hpp"

#include <cassert>
#include <cerrno>
#include <ctime>

namespace coproc::detail {

namespace {

/// About a microsecond, and the time that a stopped owner may cost the loop.
constexpr int spins = 32;
constexpr long longest_wait_ns = 100'000;

void store(std::uint64_t& word, std::uint64_t value) noexcept {
    std::atomic_ref(word).store(value, std::memory_order_release);
}

int lock_within_limits(::pthread_mutex_t& mutex, bool stalled) noexcept {
    int status = ::pthread_mutex_trylock(&mutex);
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

result<void> make_lock(object_head& of) {
    ::pthread_mutexattr_t kind;
    ::pthread_mutexattr_init(&kind);
    ::pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    const int status = ::pthread_mutex_init(&of.mutex, &kind);
    ::pthread_mutexattr_destroy(&kind);
    if (status == 0) return success();
    return error(std::error_code(status, std::system_category()), "pthread_mutex_init");
}

transaction::transaction(object_head& of, lock_experience& experience) noexcept {
    const int status = lock_within_limits(of.mutex, experience.stalled);
    experience.stalled = status != 0 && status != EOWNERDEAD;
    if (experience.stalled) return;
    of_ = &of;
    if (status != EOWNERDEAD) return;
    undo();
    ::pthread_mutex_consistent(&of.mutex);
    experience.healed = true;
}

transaction::~transaction() {
    if (of_ == nullptr) return;
    undo();
    ::pthread_mutex_unlock(&of_->mutex);
}

void transaction::set(std::uint64_t& word, std::uint64_t value) noexcept {
    const std::uint64_t count = of_->changes;
    assert(count < object_head::most_changes);
    object_head::change& entry = of_->journal[count];
    const auto offset = reinterpret_cast<std::byte*>(&word) - reinterpret_cast<std::byte*>(of_);
    store(entry.offset, static_cast<std::uint64_t>(offset));
    store(entry.old, word);
    store(of_->changes, count + 1);
    store(word, value);
}

void transaction::commit() noexcept { store(of_->changes, 0); }

void transaction::undo() noexcept {
    for (std::uint64_t count = of_->changes; count > 0; --count) {
        const object_head::change& entry = of_->journal[count - 1];
        store(*entry.place(*of_), entry.old);
    }
    store(of_->changes, 0);
}

}  // namespace coproc::detail
