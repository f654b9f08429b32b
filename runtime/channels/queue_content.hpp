#pragma once
// What is in a queue, and what happens to it: the changes of words, under locks that are held for
// no longer than that. Waiting for room and messages, and waking who waits, is the business of
// byte_queue.

#include <coproc/bytes.hpp>
#include <coproc/detail/message_bytes.hpp>

#include "channels/block_pool.hpp"

#include <cstring>
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
    bool has_messages() const noexcept {
        const std::uint64_t got = got_count();
        return got != put_count() || peek(layout().returned_count) != 0;
    }
    bool has_room(std::uint64_t size) const noexcept;
    /// What the messages count of max_bytes.
    std::uint64_t bytes() const noexcept;
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
                            const message_bytes& message) const;
    /// The same where nothing but the end has to be changed; otherwise false, and nothing is.
    bool append_here(put_state& end, const message_bytes& message) const noexcept;
    /// A cell of ours for a large one, whose chain of blocks is lengthened and filled afterwards.
    result<progress> reserve(edit<put_state>& end, lock_experience& pool, std::uint64_t size,
                             std::uint64_t& cell) const;
    /// Not yet: no block is left for its record.
    result<progress> publish(edit<put_state>& end, lock_experience& pool, std::uint64_t cell) const;

    // Getting, by who has that end.

    /// The next message: a small one is copied to `bytes`, to be committed by the caller at the
    /// latest when the lock goes; any other into a cell of ours, committed. Busy: it is larger than
    /// `largest`.
    result<progress> take(edit<get_state>& end, lock_experience& pool, taken_message& into,
                          std::byte* bytes, std::uint64_t largest = UINT64_MAX) const;

    /// The next message if it is a small one, and nothing but the end has to be changed: to be
    /// copied before the lock goes. Otherwise its data() is null.
    std::span<const std::byte> take_here(get_state& end) const noexcept;

    // Cells in our hands: parts of the caller's transaction.

    result<std::uint64_t> lengthen(transaction& changing, std::uint64_t cell,
                                   std::uint64_t missing) const {
        return pool_.lengthen(changing, cell, missing);
    }
    /// A cell in our hands is done with. errc::too_many_releases if it is not in our hands.
    result<void> end(transaction& changing, std::uint64_t cell, std::uint64_t number) const;
    /// A message of a joinable queue has been copied out: from now on it may be said to be done.
    /// Needs no lock: the word is its owner's.
    void lease(std::uint64_t cell) const noexcept {
        detail::publish(pool_.cell(cell).state, queue_cell::leased);
    }
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
    void fill(std::uint64_t cell, std::uint64_t& block, message_bytes& rest) const noexcept;
    /// The next part of a message that lies in a cell; goes on behind `block`, which is 0 at first.
    std::span<const std::byte> next_piece(const taken_message& from,
                                          std::uint64_t& block) const noexcept;

 private:
    std::uint64_t put_count() const noexcept { return peek_count(layout().putting); }
    std::uint64_t got_count() const noexcept { return peek_count(layout().getting); }
    bool is_within_limits(const put_state& end, std::uint64_t size) const noexcept;
    bool has_room(put_state& end, std::uint64_t size) const noexcept;
    result<progress> open_block(transaction& changing, put_state& end) const;
    void write_record(put_state& end, queue_record record,
                      const message_bytes& message) const noexcept;

    queue_record record_at(const get_state& end) const noexcept;
    result<progress> take_returned(lock_experience& pool, taken_message& into,
                                   std::uint64_t largest) const noexcept;
    std::span<const std::byte> pass(get_state& end, std::uint32_t size) const noexcept;
    result<void> take_cell(transaction& changing, const get_state& end, const queue_record& record,
                           taken_message& into) const;
    void drop(transaction& changing, std::uint64_t cell) const noexcept;
    void enlist_returned(transaction& changing, std::uint64_t cell) const noexcept;

    block_pool pool_;
};

// What most messages are put and got by.

/// As far as is known of the other end.
inline bool queue_content::is_within_limits(const put_state& end,
                                            std::uint64_t size) const noexcept {
    const queue_layout& now = layout();
    const std::uint64_t count = end.count - end.seen_got + peek(now.filling_count);
    const std::uint64_t bytes = end.bytes_in - end.seen_bytes_out + peek(now.cell_bytes);
    if (count >= now.max_size || bytes + cost_of(size) > cost_of(now.max_bytes)) return false;
    if (size > longest_inline) return pool_.has_blocks(blocks_for(size) + 1);
    return end.fits(size) || pool_.has_blocks(1);
}

inline bool queue_content::has_room(put_state& end, std::uint64_t size) const noexcept {
    if (is_within_limits(end, size)) return true;
    end.seen_got = got_count();
    end.seen_bytes_out = peek(layout().getting, &get_state::bytes_out);
    return is_within_limits(end, size);
}

inline void queue_content::write_record(put_state& end, queue_record record,
                                        const message_bytes& message) const noexcept {
    std::byte* const at = pool_.bytes(end.tail_block).data() + end.tail;
    std::memcpy(at, &record, sizeof record);
    end.tail += cost_of(message.size());
    ++end.count;
    message.copy_to(at + sizeof record);
}

inline bool queue_content::append_here(put_state& end,
                                       const message_bytes& message) const noexcept {
    if (!end.fits(message.size()) || !has_room(end, message.size())) return false;
    end.bytes_in += cost_of(message.size());
    write_record(end, {static_cast<std::uint32_t>(message.size()), 0}, message);
    return true;
}

inline queue_record queue_content::record_at(const get_state& end) const noexcept {
    queue_record record;
    std::memcpy(&record, pool_.bytes(end.head_block).data() + end.head, sizeof record);
    return record;
}

/// The bytes of the small message at the head, which moves behind it.
inline std::span<const std::byte> queue_content::pass(get_state& end,
                                                      std::uint32_t size) const noexcept {
    const auto here = pool_.bytes(end.head_block).subspan(end.head + sizeof(queue_record), size);
    end.bytes_out += cost_of(size);
    end.head += cost_of(size);
    ++end.count;
    return here;
}

inline std::span<const std::byte> queue_content::take_here(get_state& end) const noexcept {
    if (is_joinable() || peek(layout().returned_count) != 0) return {};
    if (end.count == end.seen_put) end.seen_put = put_count();
    if (end.count == end.seen_put) return {};
    const queue_record record = record_at(end);
    if (record.size == queue_record::next_block || record.cell != 0) return {};
    return pass(end, record.size);
}

}  // namespace coproc::detail
