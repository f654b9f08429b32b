#pragma once
// How a queue lies in shared memory: a chain of blocks with the records of the messages in order,
// and a table of cells for the messages that are in some process's hands.
//
// A message up to `longest_inline` lies in its record. A larger one has a chain of blocks of its
// own, which a cell leads to: it is filled and emptied without the lock, and its record, appended
// when it is complete, only names the cell. A lease is a cell, too; the small message that it
// leads to stays in its block, which is not given back before the lease.
//
// Invariants (all words change in transactions, so they hold whoever dies where):
// 1. The queued messages are the records from head to tail; all bytes before the tail are complete.
// 2. A block is in the chain from head to tail, in the chain of a cell, held by leases, on the
//    stack of free blocks, or beyond `blocks_made`: exactly one of these.
// 3. A cell that is filling, taken or leased names its owner; one that is queued or returned
//    belongs to nobody. What an owner leaves behind when it dies is given back by forget().
// 4. bytes_used and blocks_used cover queued messages and those in hand: max_bytes bounds memory.

#include "shared/shared_object.hpp"

#include <cstddef>
#include <cstdint>

namespace coproc::detail {

inline constexpr std::size_t block_size = 8192;
inline constexpr std::size_t longest_inline = 4096 - 8;

struct queue_block {
    std::uint64_t next;     ///< number of the next one in its chain, or on the stack of free ones
    std::uint64_t end;      ///< where its last record ends; of the last block the tail says it
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
    std::uint64_t number;  ///< of the message, for redelivery in order
    std::uint64_t next;    ///< unused ones
};

/// Before each message in a block. Numbers of blocks and cells begin with 1; 0 is none.
struct queue_record {
    std::uint32_t size;
    std::uint32_t cell;
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

    alignas(64) std::uint64_t tail_block;
    std::uint64_t tail;
    std::uint64_t put_count;  ///< messages that have been put
    std::uint64_t filling_count;
    std::uint64_t closed;
    std::uint64_t bytes_used;
    std::uint64_t blocks_used;

    alignas(64) std::uint64_t head_block;
    std::uint64_t head;
    std::uint64_t got_count;
    std::uint64_t returned_count;
    std::uint64_t done_count;

    alignas(64) std::uint64_t free_block;
    std::uint64_t blocks_made;  ///< block numbers up to here have been in use
    std::uint64_t free_cell;
    std::uint64_t cells_made;
};

}  // namespace coproc::detail
