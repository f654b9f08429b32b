#include "channels/block_pool.hpp"

#include "words/sharing_linux.hpp"

#include <algorithm>

namespace coproc::detail {

namespace {

/// So many get real memory at a time, under the lock, once for each part of the memory. Not mapped
/// as well: messages of 1 MiB then took a fifth to three quarters longer, over five interleaved
/// pairs of runs; presumably because the producer runs ahead, and what goes round is in no cache.
constexpr std::uint64_t made_at_once = 16;
/// So many are looked at under the lock at a time, half a megabyte.
constexpr std::size_t taken_at_once = 64;

}  // namespace

/// Puts blocks that have never been used on the stack of free ones.
result<void> block_pool::make_blocks(transaction& changing) const {
    queue_layout& all = layout();
    const std::uint64_t made = all.blocks_made;
    const std::uint64_t count = std::min(made_at_once, all.blocks_in_all - made);
    if (count == 0) return std::errc::not_enough_memory;
    COPROC_TRY(
        system::give_memory(file_, all.blocks_offset + made * block_size, count * block_size));
    // Nobody knows them yet: no journal.
    for (std::uint64_t i = 1; i <= count; ++i) {
        block(made + i) = {i == count ? all.free_block : made + i + 1, 0};
    }
    changing.set(all.free_block, made + 1);
    changing.set(all.blocks_made, made + count);
    return success();
}

result<std::uint64_t> block_pool::take_block(transaction& changing) const {
    queue_layout& all = layout();
    if (!has_blocks(1)) return 0;
    if (all.free_block == 0) {
        COPROC_TRY(make_blocks(changing));
    }
    const std::uint64_t taken = all.free_block;
    changing.set(all.free_block, block(taken).next);
    changing.set(block(taken).next, 0);
    changing.add(all.blocks_used, 1);
    return taken;
}

result<std::size_t> block_pool::lengthen(transaction& changing, std::uint64_t cell_number,
                                         std::size_t wanted) const {
    queue_layout& all = layout();
    queue_cell& mine = cell(cell_number);
    if (all.free_block == 0) {
        COPROC_TRY(make_blocks(changing));
    }
    // A part of the stack of free blocks as it is: only its end has to be changed.
    const std::uint64_t first = all.free_block;
    std::uint64_t last = first;
    std::size_t count = 1;
    for (; count < std::min(wanted, taken_at_once) && block(last).next != 0; ++count) {
        last = block(last).next;
    }
    changing.set(all.free_block, block(last).next);
    changing.set(block(last).next, 0);
    changing.set(mine.block == 0 ? mine.block : block(mine.last).next, first);
    changing.set(mine.last, last);
    return count;
}

void block_pool::give_block(transaction& changing, std::uint64_t number) const noexcept {
    queue_layout& all = layout();
    changing.set(block(number).next, all.free_block);
    changing.set(all.free_block, number);
    changing.subtract(all.blocks_used, 1);
}

void block_pool::let_go(transaction& changing, std::uint64_t number) const noexcept {
    changing.subtract(block(number).holders, 1);
    if (block(number).holders == 0) give_block(changing, number);
}

result<std::uint64_t> block_pool::take_cell(transaction& changing, queue_cell::kind state) const {
    queue_layout& all = layout();
    std::uint64_t number = all.free_cell;
    if (number != 0) {
        changing.set(all.free_cell, cell(number).next);
    } else {
        if (all.cells_made == all.cells_in_all) {
            return error(std::make_error_code(std::errc::no_buffer_space),
                         "more than a million messages of one queue are in hand and not done");
        }
        number = all.cells_made + 1;
        changing.set(all.cells_made, number);
    }
    queue_cell& taken = cell(number);
    changing.set(taken.state, state);
    changing.set(taken.owner, this_participant());
    changing.set(taken.block, 0);
    changing.set(taken.returns, 0);
    return number;
}

void block_pool::give_cell(transaction& changing, std::uint64_t number) const noexcept {
    queue_layout& all = layout();
    queue_cell& given = cell(number);
    if (given.size <= longest_inline) {
        let_go(changing, given.block);
    } else {
        if (given.block != 0) {
            changing.set(block(given.last).next, all.free_block);
            changing.set(all.free_block, given.block);
        }
        changing.subtract(all.blocks_used, blocks_for(given.size));
    }
    changing.set(given.state, queue_cell::unused);
    changing.set(given.owner, 0);
    changing.set(given.next, all.free_cell);
    changing.set(all.free_cell, number);
}

}  // namespace coproc::detail
