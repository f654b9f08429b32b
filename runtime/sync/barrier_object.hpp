#pragma once
// A barrier in shared memory: how many have arrived in which round, and who has it at all.
//
// Invariants:
// 1. Rounds have numbers, from 1 on. The number goes up when a round ends, in whatever way, in the
//    transaction that ends it; so a round is over for one who arrived in it as soon as, and for
//    ever after, the number is another.
// 2. A round n that failed has said so in failed[n % kept] in that transaction. An entry greater
//    than n is of a later round: then what became of round n is forgotten, after `kept` rounds at
//    least, and it counts as failed. So whoever completed a round succeeds, whatever happens next.
// 3. A process has an entry among the parties from when it gets the barrier, or first waits for it,
//    until its end. Its last arrival is in the current round as long as it waits there: who gives
//    up, and who dies, ends the round.

#include <coproc/barrier.hpp>

#include "shared/shared_object.hpp"

#include <array>

namespace coproc::detail {

struct barrier_party {
    participant who;
    std::uint64_t last_arrival;  ///< the number of a round
};

struct barrier_layout : shared_head {
    static constexpr std::size_t kept = 4096;

    std::uint64_t parties;
    std::uint64_t round;
    std::uint64_t arrived;
    std::uint64_t broken;
    std::uint64_t parties_used;  ///< those from here on have never been
    std::array<barrier_party, most_members> party;
    std::array<std::uint64_t, kept> failed;
};

class barrier_object final : public shared_object {
 public:
    /// What a party gets when it arrives.
    struct arrival {
        std::uint64_t round = 0;
        std::size_t index = 0;
    };

    barrier_object(region memory, std::shared_ptr<const unique_fd> ringer)
        : shared_object(std::move(memory), std::move(ringer)) {}

    static result<barrier_ref> create(std::size_t parties);
    /// This process is a party from now on.
    static result<barrier_ref> open(unique_fd file);

    static task<result<std::size_t>> wait(barrier_ref self);
    result<void> abort();
    result<void> reset();

    void describe(std::string& into) const override;
    std::size_t parties() const noexcept { return words().parties; }
    std::size_t waiting() const noexcept { return peek(words().arrived); }
    bool broken() const noexcept { return peek(words().broken) != 0; }

    // The transactions.

    /// Done, or busy.
    result<progress> arrive(arrival& mine);
    /// Done if the round has been completed.
    result<progress> pass(const arrival& mine);
    bool may_pass(const arrival& mine) const noexcept { return peek(words().round) != mine.round; }

 private:
    static task<result<void>> wait_for_others(barrier_ref self, const arrival& mine);
    barrier_layout& words() const noexcept { return memory().as<barrier_layout>(); }

    barrier_party* find(participant who) const noexcept;
    result<barrier_party*> our_party(transaction& changing);
    result<void> enter();
    void end_round(transaction& changing, bool well) noexcept;
    void break_it(transaction& changing) noexcept;
    void give_up(const arrival& mine);

    bool forget(transaction& changing, participant dead, ending how) noexcept override;
    bool kick() noexcept override;

    std::size_t place_ = most_members;  // where our party was the last time
};

}  // namespace coproc::detail
