#pragma once
// Who sleeps on an object, and waking exactly one of them.
//
// A member is a loop of some process that has once waited for the object: it has a place, and a
// bell to be rung. On each side of the object (a queue has consumers and producers) a member is
// idle, asleep or rung; that word is changed without the object's lock.
//
// Invariants, from queue-protocol.md:
// 1. Nobody sleeps unannounced: a member waits for its bell only after it has said `asleep` and
//    then looked again whether it has to.
// 2. The word is changed by the member itself (announce, withdraw), by a ringer's asleep -> rung,
//    or by the repair after the member's death; the generation in it tells two sleeps apart.
// 3. Ring, then mark: a ringer that dies or is stopped between the two has rung; the other way
//    round there would be a member that nobody rings any more.
// 4. A member that has been rung looks; one that goes away instead passes the ring on.
// 5. Nobody falls asleep without an announcement that is counted: whoever has found all awake or
//    rung need not search again until the count has changed.

#include "shared/participant.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace coproc::detail {

inline constexpr std::size_t most_members = 1024;

struct member {
    participant who;  ///< 0: nobody; written in transactions
    std::uint64_t bell;
    std::uint64_t cookie;  ///< what the bell is told
};

struct member_table {
    std::uint64_t used;  ///< members from here on have never been
    std::array<member, most_members> all;
};

/// One side of an object.
struct sleeper_table {
    struct place {
        std::uint64_t word;  ///< generation << 2 | state
        std::uint64_t need;  ///< woken only if there is that much
    };
    std::uint64_t announcements;  ///< so often has somebody been about to sleep
    std::uint64_t next;  ///< where the search for the next one begins, so that all get their turn
    std::array<std::uint64_t, most_members / 64> asleep;  ///< a bit for each that may be asleep
    std::array<place, most_members> all;
};

/// What one process knows of a side: so many announcements were made when nobody was left asleep.
using known_awake = std::atomic<std::uint64_t>;

class sleepers {
 public:
    sleepers(sleeper_table& table, member_table& members, known_awake& known) noexcept
        : table_(&table), members_(&members), known_(&known) {}

    /// `index` is about to sleep, unless it finds that it has no reason to.
    void announce(std::size_t index, std::uint64_t need) noexcept;
    /// Sleeps no more. True if it has been rung: then it must look, or pass the ring on.
    bool withdraw(std::size_t index) noexcept;
    /// May somebody be asleep who was not known to be awake?
    bool anybody() const noexcept;
    /// The same for who has made sure that what he has published is seen before he looks.
    bool announced() const noexcept {
        const std::atomic_ref count(table_->announcements);
        return count.load(std::memory_order_relaxed) != known_->load(std::memory_order_relaxed);
    }

    /// So many are asleep at the moment.
    std::size_t count() const noexcept;

    /// Rings one that needs no more than `room`, using the socket `from`; goes on to the next if
    /// that one has moved on by itself, as long as `reason(argument)` holds. True if one was rung
    /// while others sleep as well.
    bool wake_one(int from, std::uint64_t room, bool (*reason)(const void*),
                  const void* argument) noexcept;
    /// Those that need no more than `room`.
    void wake_all(int from, std::uint64_t room = UINT64_MAX) noexcept;

 private:
    bool wake(int from, std::size_t index, std::uint64_t room) noexcept;
    bool is_asleep(std::size_t index) const noexcept;
    bool anybody_but(std::size_t index) const noexcept;

    sleeper_table* table_;
    member_table* members_;
    known_awake* known_;
};

}  // namespace coproc::detail
