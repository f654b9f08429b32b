#pragma once
// A few words that change together, at the price of a copy: the owner of the lock writes the new
// state beside the current one, and the store of `current` makes it the current one.
//
// Invariants, and what holds if the process dies after each store:
// 1. slots[current % 2] is the current state, and is not written while it is. The other bits of
//    `current` are the state's count: who only wants to know that looks at one word.
// 2. The store of `current` is the commit: before it nothing has changed, and the next owner of the
//    lock has nothing to undo.
// 3. Who reads a word without the lock believes it only if `current` is the same before and after.
//    Commits that leave the count as it is can make it the same again: then he may have read a word
//    that somebody wrote, and died before its commit. Such a look is only a guess, to be made sure
//    of under the lock, or one that may be wrong by one message.

#include "shared/robust_lock.hpp"
#include "shared/word.hpp"

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace coproc::detail {

/// Where every such state begins.
struct shadowed_state {
    std::uint64_t linked;  ///< the last transaction that was committed together with the state
    std::uint64_t count;   ///< of what the state is about, below 2^63
};

struct shadowed_head {
    static constexpr std::size_t slot_size = 64;

    alignas(64)::pthread_mutex_t mutex;
    // Not in the line of the mutex, which would then be taken from its owner by every look.
    alignas(64) std::uint64_t current;
};

template <class State>
struct shadowed : shadowed_head {
    static_assert(std::is_base_of_v<shadowed_state, State> && sizeof(State) <= slot_size);

    struct alignas(slot_size) slot {
        State state;
    };
    slot slots[2];
};

/// The count of the current state.
inline std::uint64_t peek_count(const shadowed_head& all) noexcept { return peek(all.current) / 2; }

/// One word of the current state.
template <class State, class Of>
std::uint64_t peek(const shadowed<State>& all, std::uint64_t Of::* word) noexcept {
    for (;;) {
        const std::uint64_t current = peek(all.current);
        const std::uint64_t seen = peek(all.slots[current % 2].state.*word);
        if (peek(all.current) == current) return seen;
    }
}

/// Has the lock, and a copy of the state to be changed.
template <class State>
class edit {
 public:
    edit(shadowed<State>& of, lock_experience& experience) noexcept {
        const locking locked = take_lock(of.mutex, experience);
        if (locked == locking::busy) return;
        if (locked == locking::owner_died) declare_whole(of.mutex);
        of_ = &of;
        copy_words(&of.slots[of.current % 2].state, &now);
    }
    edit(const edit&) = delete;
    edit& operator=(const edit&) = delete;
    /// What was not committed has not happened.
    ~edit() {
        if (of_ != nullptr) release_lock(of_->mutex);
    }

    /// False if the lock could not be had.
    explicit operator bool() const noexcept { return of_ != nullptr; }
    shadowed_head& place() const noexcept { return *of_; }

    /// As often as one likes.
    void commit() noexcept {
        // Each word is seen after the store that made this slot the other one.
        const std::uint64_t other = (of_->current + 1) % 2;
        copy_words(&now, &of_->slots[other].state);
        publish(of_->current, now.count * 2 + other);
    }

    State now{};

 private:
    // Word by word, as they are written: a wider load would wait until the stores have left the
    // processor's store buffer, 10 % of a whole put.
    static void copy_words(const State* from, State* to) noexcept {
        copy_each(reinterpret_cast<const std::uint64_t*>(from),
                  reinterpret_cast<std::uint64_t*>(to),
                  std::make_index_sequence<sizeof(State) / sizeof(std::uint64_t)>());
    }
    template <std::size_t... Is>
    static void copy_each(const std::uint64_t* from, std::uint64_t* to,
                          std::index_sequence<Is...>) noexcept {
        (publish(to[Is], peek(from[Is])), ...);
    }

    shadowed<State>* of_ = nullptr;
};

}  // namespace coproc::detail
