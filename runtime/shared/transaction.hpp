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
// 6. A transaction that is linked to the edit of a shadowed state (which is locked first) is
//    committed by the edit's commit: its number stands in the state then, and nowhere before, so
//    that whoever finds the journal knows whether it is to be undone. The numbers never repeat,
//    and the state keeps the last one until the next linked transaction, which needs this lock.
// The order is that of the program: a dead process's stores are all seen, in no other order than
// it made them, because the kernel has run between its death and the next owner.

#include "shared/region.hpp"
#include "shared/robust_lock.hpp"
#include "shared/shadowed.hpp"
#include "shared/word.hpp"

#include <cstdint>

namespace coproc::detail {

/// Where every object begins that several processes change.
struct object_head : region_head {
    struct change {
        std::uint64_t offset;
        std::uint64_t old;
    };
    static constexpr std::size_t most_changes = 128;

    alignas(64)::pthread_mutex_t mutex;
    alignas(64) std::uint64_t changes;
    std::uint64_t links;       ///< numbers of linked transactions up to here have been used
    std::uint64_t link;        ///< the number of this one, 0 if it is not linked
    std::uint64_t link_place;  ///< of the shadowed state
    change journal[most_changes];
};

/// Errors: what pthread_mutex_init says.
inline result<void> make_lock(object_head& of) { return make_lock(of.mutex); }

class transaction {
 public:
    /// Locks; false if the object is locked still, see take_lock().
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
    /// Both, by one store.
    template <class State>
    void commit_with(edit<State>& other) noexcept {
        other.now.linked = link_to(other.place());
        other.commit();
        commit();
    }
    /// How many more changes fit.
    std::size_t room() const noexcept { return object_head::most_changes - of_->changes; }

 private:
    std::uint64_t link_to(shadowed_head& other) noexcept;
    bool is_committed() const noexcept;
    void undo() noexcept;

    object_head* of_ = nullptr;
};

}  // namespace coproc::detail
