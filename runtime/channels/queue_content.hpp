#pragma once
// What is in a queue, and what happens to it: the changes of words, under locks that are held for
// no longer than that. Waiting for room and messages, and waking who waits, is the business of
// byte_queue.

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

/// A message that has been taken. Large and leased ones are in a cell of ours.
struct taken_message {
    std::uint64_t cell = 0;
    std::uint64_t number = 0;
    std::uint64_t size = 0;
};

class queue_content {
 public:
    explicit queue_content(const region& memory) noexcept : pool_(memory) {}

    /// The memory of a new, empty queue.
    static result<region> make(const queue_settings& settings);

    queue_layout& layout() const noexcept { return pool_.layout(); }
    bool is_joinable() const noexcept { return layout().joinable != 0; }

    // Without a lock: how it is at some moment.

    std::uint64_t size() const noexcept;
    bool has_messages() const noexcept;
    bool has_room(std::uint64_t size) const noexcept;
    /// About the largest message that there is room for.
    std::uint64_t room() const noexcept;
    /// Might the record of a message in a cell be appended?
    bool can_publish() const noexcept;
    bool is_closed() const noexcept { return peek(layout().closed) != 0; }
    bool is_done() const noexcept {
        // In this order: what is put in between makes the answer no.
        const std::uint64_t done = peek(layout().done_count);
        return done == put_count();
    }
    /// The cell of the oldest message that this process has leased; 0 if there is none.
    std::uint64_t oldest_lease() const noexcept;

    // Putting, by who has that end. Done: it has been committed, or is to be. Errors:
    // std::errc::not_enough_memory.

    /// A small message, at the tail; committed by the caller, at the latest when the lock goes.
    result<progress> append(edit<put_state>& end, lock_experience& pool,
                            std::span<const std::byte> bytes) const;
    /// A cell of ours for a large one, whose chain of blocks is lengthened and filled afterwards.
    result<progress> reserve(edit<put_state>& end, lock_experience& pool, std::uint64_t size,
                             std::uint64_t& cell) const;
    /// Not yet: no block is left for its record.
    result<progress> publish(edit<put_state>& end, lock_experience& pool, std::uint64_t cell) const;

    // Getting, by who has that end.

    /// The next message: a small one into `bytes`, behind what is there, to be committed by the
    /// caller at the latest when the lock goes; any other into a cell of ours, committed.
    result<progress> take(edit<get_state>& end, lock_experience& pool, taken_message& into,
                          coproc::bytes& bytes) const;

    // Cells in our hands: parts of the caller's transaction.

    result<std::uint64_t> lengthen(transaction& changing, std::uint64_t cell,
                                   std::uint64_t missing) const {
        return pool_.lengthen(changing, cell, missing);
    }
    /// A cell in our hands is done with. errc::too_many_releases if it is not in our hands.
    result<void> end(transaction& changing, std::uint64_t cell, std::uint64_t number) const;
    /// What nobody has finished: a message goes back to the front, half a message goes away.
    void give_back(transaction& changing, std::uint64_t cell) const noexcept;
    /// The same for what the dead had in hand, beginning with cell `from`, as much as fits into the
    /// transaction; but of a queue without leases the messages that it was copying out are lost.
    /// True if that was all; otherwise it goes on at `from`.
    bool forget(transaction& changing, participant dead, std::uint64_t& from) const noexcept;

    // The bytes of cells in our hands, without a lock.

    const queue_cell& cell(std::uint64_t number) const noexcept { return pool_.cell(number); }
    /// Fills the chain of a cell with `rest`, as far as it has been made and at most a megabyte;
    /// goes on behind `block`, which is 0 at first.
    void fill(std::uint64_t cell, std::uint64_t& block,
              std::span<const std::byte>& rest) const noexcept;
    /// The next part of a message that lies in a cell; goes on behind `block`, which is 0 at first.
    std::span<const std::byte> next_piece(const taken_message& from,
                                          std::uint64_t& block) const noexcept;

 private:
    std::uint64_t put_count() const noexcept {
        return peek(layout().putting, &put_state::put_count);
    }
    std::uint64_t got_count() const noexcept {
        return peek(layout().getting, &get_state::got_count);
    }
    bool is_within_limits(const put_state& end, std::uint64_t size) const noexcept;
    bool has_room(put_state& end, std::uint64_t size) const noexcept;
    result<progress> open_block(transaction& changing, put_state& end) const;
    void write_record(put_state& end, queue_record record,
                      std::span<const std::byte> bytes) const noexcept;

    queue_record record_at(const get_state& end) const noexcept;
    result<progress> take_returned(lock_experience& pool, taken_message& into) const noexcept;
    void take_bytes(get_state& end, std::uint32_t size, coproc::bytes& into) const;
    result<void> take_cell(transaction& changing, const get_state& end, const queue_record& record,
                           taken_message& into) const;
    void drop(transaction& changing, std::uint64_t cell) const noexcept;
    void enlist_returned(transaction& changing, std::uint64_t cell) const noexcept;
    queue_cell::kind in_hand() const noexcept {
        return is_joinable() ? queue_cell::leased : queue_cell::taken;
    }

    block_pool pool_;
};

}  // namespace coproc::detail
