#pragma once
// Changing a shared object so that a process which dies in the middle has changed nothing.
//
// All of an object's words are changed under its one robust lock, through set(), which first
// writes the old value into the journal. Whoever gets the lock after a death undoes what is in the
// journal. So no object has a repair of its own for a death inside the lock, and every other
// process sees each transaction whole or not at all.
//
// Invariants, and what holds if the process dies after each store:
// 1. A journal entry is complete before `changes` counts it: an uncounted one is not looked at.
// 2. A word is written only after its entry has been counted: undoing restores what was there.
// 3. `changes = 0` is the commit, one store: before it everything is undone, after it nothing.
// 4. Undoing writes the old values, last first, and is repeated from the start if it is cut off.
// 5. Bytes that no committed word leads to (a message beyond the tail, a block that is not in use)
//    are written without the journal.
// The order is that of the program: a dead process's stores are all seen, in no other order than
// it made them, because the kernel has run between its death and the next owner.

#include "shared/region.hpp"

#include <pthread.h>

#include <atomic>
#include <cstdint>

namespace coproc::detail {

/// Where every object begins that several processes change.
struct object_head : region_head {
    struct change {
        std::uint64_t* place(object_head& of) const noexcept {
            return reinterpret_cast<std::uint64_t*>(reinterpret_cast<std::byte*>(&of) + offset);
        }
        std::uint64_t offset;
        std::uint64_t old;
    };
    static constexpr std::size_t most_changes = 128;

    alignas(64)::pthread_mutex_t mutex;
    alignas(64) std::uint64_t changes;
    change journal[most_changes];
};

/// Makes the lock of a new object. Errors: what pthread_mutex_init says.
result<void> make_lock(object_head& of);

/// What one user of an object knows of its lock.
struct lock_experience {
    bool stalled = false;  ///< the last wait was in vain
    bool healed = false;   ///< a dead process's changes were undone: others may have slept for them
};

class transaction {
 public:
    /// Locks. Waits for another process no longer than about 0.1 ms, and a microsecond if that was
    /// in vain the last time; false if the object is locked still.
    transaction(object_head& of, lock_experience& experience) noexcept;
    transaction(const transaction&) = delete;
    transaction& operator=(const transaction&) = delete;
    /// Undoes what was not committed, and unlocks.
    ~transaction();

    explicit operator bool() const noexcept { return of_ != nullptr; }

    /// Readers without the lock see the new value at once.
    void set(std::uint64_t& word, std::uint64_t value) noexcept;
    void add(std::uint64_t& word, std::uint64_t more) noexcept { set(word, word + more); }
    void subtract(std::uint64_t& word, std::uint64_t less) noexcept { set(word, word - less); }
    void commit() noexcept;
    /// How many more changes fit.
    std::size_t room() const noexcept { return object_head::most_changes - of_->changes; }

 private:
    void undo() noexcept;

    object_head* of_ = nullptr;
};

/// A word of shared memory, read without the lock.
inline std::uint64_t peek(const std::uint64_t& word) noexcept {
    return std::atomic_ref(const_cast<std::uint64_t&>(word)).load(std::memory_order_acquire);
}

}  // namespace coproc::detail
