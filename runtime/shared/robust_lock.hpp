#pragma once
// The lock under which shared words are changed. When its owner dies the next one gets it, and is
// told; nobody waits for an owner that does not go on.

#include <coproc/result.hpp>

#include <pthread.h>

#include <atomic>

namespace coproc::detail {

/// Makes a new one. Errors: what pthread_mutex_init says.
result<void> make_lock(::pthread_mutex_t& mutex);

/// What one user of an object knows of its lock.
struct lock_experience {
    bool stalled = false;  ///< the last wait was in vain
    bool healed = false;   ///< the owner had died: others may have slept for what it did not do
};

enum class locking { busy, locked, owner_died };

/// Locks. Waits for another process no longer than about 0.1 ms, and a microsecond if that was in
/// vain the last time. After owner_died the words that the lock is for are put in order, and then
/// it is declared whole.
inline locking take_lock(::pthread_mutex_t& mutex, lock_experience& experience) noexcept;
/// The rest of it, when the first attempt has given `first`, which is not 0.
locking take_lock_late(::pthread_mutex_t& mutex, int first, lock_experience& experience) noexcept;
inline locking take_lock(::pthread_mutex_t& mutex, lock_experience& experience) noexcept {
    if (const int status = ::pthread_mutex_trylock(&mutex); status != 0) {
        return take_lock_late(mutex, status, experience);
    }
    experience.stalled = false;
    return locking::locked;
}

inline void declare_whole(::pthread_mutex_t& mutex) noexcept { ::pthread_mutex_consistent(&mutex); }
/// What was stored before is seen by everybody before what is looked at afterwards: in the word
/// that is exchanged it stands whether somebody waits, and on x86 an exchange is a full barrier.
inline void release_lock(::pthread_mutex_t& mutex) noexcept {
    ::pthread_mutex_unlock(&mutex);
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace coproc::detail
