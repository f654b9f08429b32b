#pragma once
// Who waits for a condition, in shared memory: a list of entries, the oldest first.
//
// Invariants:
// 1. Tickets grow along the list. Those below notified_below are notified: always the beginning of
//    the list, up to first_waiting. So notifying is two words, whoever and however many it is for.
// 2. A waiter is enlisted before he releases the lock: whoever has the lock after that, and
//    notifies, finds him.
// 3. A notified entry stays until its waiter has the lock again. Removed before that (he is
//    canceled or fails: pass_on; he dies: forget), it notifies the next one in the same
//    transaction. If he dies between the lock and the removal, one is notified too many.
// 4. A member asleep needs the ticket of its oldest entry: it is rung if that is notified, and only
//    then. Whoever notifies rings after the transaction; if it dies in between the repair rings.
// 5. Entries belong to processes and not to tasks: of one member's tasks the first in line takes
//    the oldest entry that is notified, one that gives up takes the youngest. There are as many
//    entries as tasks.

#include <coproc/condition.hpp>

#include "shared/shared_object.hpp"

#include <array>
#include <deque>

namespace coproc::detail {

/// Entries are numbered from 1; 0 is none.
struct condition_entry {
    participant who;
    std::uint64_t ticket;
    std::uint64_t next;  ///< in the list, or of those that are free
    std::uint64_t previous;
};

struct condition_layout : shared_head {
    static constexpr std::size_t most_entries = 16384;

    std::uint64_t next_ticket;  ///< from 1 on
    std::uint64_t notified_below;
    std::uint64_t oldest;
    std::uint64_t youngest;
    std::uint64_t first_waiting;  ///< the oldest that is not notified
    std::uint64_t free_entry;
    std::uint64_t entries_used;  ///< entries from here on have never been
    std::array<condition_entry, most_entries> entries;
};

class condition_object final : public shared_object {
 public:
    /// An entry, and the one that it is as long as it has this ticket.
    struct place {
        std::uint64_t number = 0;
        std::uint64_t ticket = 0;
    };

    condition_object(region memory, std::shared_ptr<const unique_fd> ringer)
        : shared_object(std::move(memory), std::move(ringer)) {}

    static result<condition_ref> create();
    static result<condition_ref> open(unique_fd file);

    void describe(std::string& into) const override;

    /// One more of this process waits.
    static task<result<void>> enlist(condition_ref self);
    /// Suspends one that was enlisted until it is notified. What it gives is to be consumed or
    /// passed on.
    /// Cancellation: it is enlisted no more.
    static task<result<place>> wait_notified(condition_ref self);
    /// One that was enlisted will not wait.
    void give_up();

    // These happen now, or as soon as the object is not locked by somebody who does not go on.

    result<void> notify(std::size_t count);
    /// Its waiter has what he waited for.
    void consume(const place& notified);
    /// Its waiter waits no more; if it is notified somebody else is in its place.
    void pass_on(const place& one);

    // The transactions.

    result<progress> enlist_now();
    /// Done if the oldest of ours is notified: `taken` is that one.
    result<progress> take_notified(place& taken);

 private:
    class being_notified;

    condition_layout& words() const noexcept { return memory().as<condition_layout>(); }
    condition_entry& entry(std::uint64_t number) const noexcept {
        return words().entries[number - 1];
    }

    result<std::uint64_t> unused(transaction& changing) const;
    void append(transaction& changing, std::uint64_t number) const noexcept;
    void remove(transaction& changing, std::uint64_t number) const noexcept;
    bool is_notified(std::uint64_t number) const noexcept {
        return entry(number).ticket < words().notified_below;
    }
    void advance(transaction& changing, std::size_t count) const noexcept;

    bool forget(transaction& changing, participant dead, ending how) noexcept override;
    bool kick() noexcept override;

    std::deque<place> ours_;  // the oldest first
};

}  // namespace coproc::detail
