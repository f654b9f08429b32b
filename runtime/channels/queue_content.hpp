#pragma once
// What is in a queue, and what happens to it: every change is a part of the caller's transaction.
// Waiting for room and messages, and waking who waits, is the business of byte_queue.

#include <coproc/bytes.hpp>

#include "channels/block_pool.hpp"

#include <span>

namespace coproc::detail {

struct queue_settings {
    std::uint64_t fingerprint;
    std::uint64_t max_size;
    std::uint64_t max_bytes;
    bool joinable;
};

/// A message in the hands of this process, and the cell that still leads to it, if there is one.
struct taken_message {
    std::uint64_t cell = 0;
    std::uint64_t number = 0;
    coproc::bytes content;
};

class queue_content {
 public:
    explicit queue_content(const region& memory) noexcept : pool_(memory) {}

    /// The memory of a new, empty queue.
    static result<region> make(const queue_settings& settings);

    queue_layout& layout() const noexcept { return pool_.layout(); }

    // Without the lock: how it is at some moment.

    std::uint64_t size() const noexcept;
    bool has_messages() const noexcept;
    bool has_room(std::uint64_t size) const noexcept;
    /// About the largest message that there is room for.
    std::uint64_t room() const noexcept;
    bool is_closed() const noexcept { return peek(layout().closed) != 0; }
    bool is_done() const noexcept {
        // In this order: what is put in between makes the answer no.
        const std::uint64_t done = peek(layout().done_count);
        return done == peek(layout().put_count);
    }
    /// The cell of the oldest message that this process has leased; 0 if there is none.
    std::uint64_t oldest_lease() const noexcept;

    // Putting. Errors: std::errc::not_enough_memory.

    /// A small message, at the tail.
    result<void> append(transaction& changing, std::span<const std::byte> bytes) const;
    /// A cell of ours for a large one, whose chain of blocks is lengthened and filled afterwards.
    result<std::uint64_t> reserve(transaction& changing, std::uint64_t size) const;
    result<std::uint64_t> lengthen(transaction& changing, std::uint64_t cell,
                                   std::uint64_t missing) const {
        return pool_.lengthen(changing, cell, missing);
    }
    /// It is complete, and becomes a message at the tail.
    result<void> publish(transaction& changing, std::uint64_t cell) const;

    // Getting.

    /// False if there is none. One that is large, or leased, is still to be copied out of its cell.
    result<bool> take(transaction& changing, taken_message& into) const;
    /// A cell in our hands is done with. errc::too_many_releases if it is not in our hands.
    result<void> end(transaction& changing, std::uint64_t cell, std::uint64_t number) const;
    /// What nobody has finished: a message goes back to the front, half a message goes away.
    void give_back(transaction& changing, std::uint64_t cell) const noexcept;
    /// The same for what the dead had in hand, as much as fits into the transaction; but of a queue
    /// without leases the messages that it was copying out are lost. True if that was all.
    bool forget(transaction& changing, participant dead) const noexcept;

    // The bytes of cells in our hands, without the lock.

    const queue_cell& cell(std::uint64_t number) const noexcept { return pool_.cell(number); }
    /// Fills the chain of a cell with `rest`, as far as it has been made and at most a megabyte;
    /// goes on behind `block`, which is 0 at first.
    void fill(std::uint64_t cell, std::uint64_t& block,
              std::span<const std::byte>& rest) const noexcept;
    /// The same out of it. True if the message is complete.
    bool copy(std::uint64_t cell, std::uint64_t& block, coproc::bytes& into) const;

 private:
    result<std::byte*> room_for(transaction& changing, std::size_t size) const;
    result<void> append_record(transaction& changing, std::span<const std::byte> bytes,
                               std::uint64_t cell) const;
    void take_returned(transaction& changing, taken_message& into) const noexcept;
    result<void> take_record(transaction& changing, taken_message& into) const;
    void drop(transaction& changing, std::uint64_t cell) const noexcept;
    queue_cell::kind in_hand() const noexcept {
        return layout().joinable != 0 ? queue_cell::leased : queue_cell::taken;
    }

    block_pool pool_;
};

}  // namespace coproc::detail
