#pragma once
// How a queue lies in shared memory: a chain of blocks with the records of the messages in order,
// and a table of cells for the messages that are in some process's hands.
//
// A message up to `longest_inline` lies in its record. A larger one has a chain of blocks of its
// own, which a cell leads to: it is filled and emptied without a lock, and its record, appended
// when it is complete, only names the cell. A lease is a cell, too; the small message that it
// leads to stays in its block, which is not given back before the lease.
//
// There are three locks. `putting` and `getting` are the two ends of the chain, each a shadowed
// state: most messages are put by one store under the one, and taken by one store under the other.
// The object's own lock and journal are for all the rest, the pool: blocks, cells, and what is
// counted of them. Who needs it at an end of the chain takes it second, and links the two; nobody
// ever has both ends.
//
// Invariants (everything is committed by one store, so they hold whoever dies where):
// 1. The queued messages are the records from head to tail; all bytes before the tail are complete.
//    Where the next block begins, the last record says so, and names it.
// 2. A block is in the chain from head to tail, in the chain of a cell, held by leases, on the
//    stack of free blocks, or beyond `blocks_made`: exactly one of these.
// 3. A cell that is filling, taken or leased names its owner; one that is queued or returned
//    belongs to nobody. What an owner leaves behind when it dies is given back by forget().
//    A message is taken while it is being copied out, and in a joinable queue leased from then on:
//    who says that the oldest one is done does not mean one that nobody has got.
// 4. The bytes between the two ends and `cell_bytes` cover queued messages and those in hand:
//    max_bytes bounds memory. What one end has seen of the other may be old, and errs to "fuller"
//    and "emptier": it is looked at again before anybody is told to wait.

#include "shared/shadowed.hpp"
#include "shared/shared_object.hpp"

#include <cstddef>
#include <cstdint>

namespace coproc::detail {

inline constexpr std::size_t block_size = 8192;
inline constexpr std::size_t longest_inline = 4096 - 8;

struct queue_block {
    std::uint64_t next;     ///< number of the next one in a cell's chain, or of the free ones
    std::uint64_t holders;  ///< the chain from head to tail, and the leases of its records
};

struct queue_cell {
    enum kind : std::uint64_t { unused = 0, filling, queued, taken, leased, returned };
    std::uint64_t state;
    participant owner;
    std::uint64_t block;   ///< the first one, or the one with the leased record
    std::uint64_t last;    ///< of the chain
    std::uint64_t offset;  ///< of the leased bytes in their block
    std::uint64_t size;
    std::uint64_t number;   ///< of the message, for redelivery in order
    std::uint64_t returns;  ///< how often it has been given back
    std::uint64_t next;     ///< of the unused ones, or of those that were returned
};

/// Before each message in a block. Numbers of blocks and cells begin with 1; 0 is none.
struct queue_record {
    static constexpr std::uint32_t next_block = UINT32_MAX;

    std::uint32_t size;  ///< next_block: no message, the chain goes on there
    std::uint32_t cell;  ///< or the next block
};

constexpr std::uint64_t aligned(std::uint64_t size, std::uint64_t to) noexcept {
    return (size + to - 1) / to * to;
}
/// What a message takes of max_bytes, to which one record is added, so that one of that size fits.
constexpr std::uint64_t cost_of(std::uint64_t size) noexcept {
    return aligned(size, sizeof(queue_record)) + sizeof(queue_record);
}

/// Counts the messages that have been put.
struct put_state : shadowed_state {
    std::uint64_t tail_block;
    std::uint64_t tail;
    std::uint64_t bytes_in;  ///< of those that lie in their records, what they cost
    std::uint64_t seen_got;  ///< of the other end, at some moment
    std::uint64_t seen_bytes_out;

    /// Is there room for it in the block of the tail, and for the record that names the next block?
    bool fits(std::uint64_t size) const noexcept {
        return tail + cost_of(size) + sizeof(queue_record) <= block_size;
    }
};

/// Counts those that have been got.
struct get_state : shadowed_state {
    std::uint64_t head_block;
    std::uint64_t head;
    std::uint64_t bytes_out;
    std::uint64_t seen_put;  ///< of the other end, at some moment
};

struct queue_layout : shared_head {
    enum side : std::size_t { consumers, producers, joiners };

    // As created.
    std::uint64_t fingerprint;
    std::uint64_t max_size;  ///< UINT64_MAX: none
    std::uint64_t max_bytes;
    std::uint64_t joinable;
    std::uint64_t blocks_in_all;
    std::uint64_t cells_in_all;
    std::uint64_t blocks_offset;  ///< of block 1, from the beginning
    std::uint64_t table_offset;
    std::uint64_t cells_offset;

    shadowed<put_state> putting;
    shadowed<get_state> getting;

    alignas(64) std::uint64_t closed;  ///< set once, without a lock

    // The pool.
    std::uint64_t cell_bytes;  ///< what messages in cells cost
    std::uint64_t filling_count;
    std::uint64_t returned_count;
    std::uint64_t returned_first;  ///< of those cells, by the messages' numbers
    std::uint64_t returned_last;
    std::uint64_t done_count;
    std::uint64_t blocks_used;

    alignas(64) std::uint64_t free_block;
    std::uint64_t blocks_made;  ///< block numbers up to here have been in use
    std::uint64_t free_cell;
    std::uint64_t cells_made;
};

}  // namespace coproc::detail
