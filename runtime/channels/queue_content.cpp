#include "channels/queue_content.hpp"

#include <algorithm>
#include <cstring>

namespace coproc::detail {

namespace {

/// So much is copied between two turns of the loop.
constexpr std::size_t slice = std::size_t{1024} * 1024;

constexpr std::uint64_t record_size = sizeof(queue_record);

constexpr std::uint64_t aligned(std::uint64_t size, std::uint64_t to) noexcept {
    return (size + to - 1) / to * to;
}
/// What a message takes of max_bytes, to which one record is added, so that one of that size fits.
constexpr std::uint64_t cost(std::uint64_t size) noexcept {
    return aligned(size, record_size) + record_size;
}

}  // namespace

result<region> queue_content::make(const queue_settings& settings) {
    const std::uint64_t max_bytes =
        std::clamp<std::uint64_t>(settings.max_bytes, 1, PTRDIFF_MAX / 8);
    // Blocks are at least half full, but for the first and the last.
    const std::uint64_t blocks = 2 * blocks_for(max_bytes) + 16;
    const std::uint64_t cells =
        std::min(std::max(blocks, max_bytes / record_size), std::uint64_t{1} << 20U);
    const std::uint64_t table = aligned(sizeof(queue_layout), 64);
    const std::uint64_t cells_offset = aligned(table + blocks * sizeof(queue_block), 64);
    const std::uint64_t first = aligned(cells_offset + cells * sizeof(queue_cell), block_size);
    COPROC_TRY(auto memory, region::create(region_kind::queue, first + blocks * block_size));
    auto& made = memory.as<queue_layout>();
    COPROC_TRY(make_lock(made));
    made.fingerprint = settings.fingerprint;
    made.max_size = settings.max_size == 0 ? UINT64_MAX : settings.max_size;
    made.max_bytes = max_bytes;
    made.joinable = settings.joinable ? 1 : 0;
    made.blocks_in_all = blocks;
    made.cells_in_all = cells;
    made.table_offset = table;
    made.cells_offset = cells_offset;
    made.blocks_offset = first;
    memory.finish();
    return memory;
}

std::uint64_t queue_content::size() const noexcept {
    const std::uint64_t got = peek(layout().got_count);
    return peek(layout().put_count) - got + peek(layout().returned_count);
}

bool queue_content::has_messages() const noexcept {
    return peek(layout().got_count) != peek(layout().put_count) ||
           peek(layout().returned_count) != 0;
}

bool queue_content::has_room(std::uint64_t size) const noexcept {
    const queue_layout& now = layout();
    const std::uint64_t in_queue =
        peek(now.put_count) - peek(now.got_count) + peek(now.filling_count);
    return in_queue < now.max_size && peek(now.bytes_used) + cost(size) <= cost(now.max_bytes) &&
           peek(now.blocks_used) + blocks_for(size) < now.blocks_in_all;
}

std::uint64_t queue_content::room() const noexcept {
    const std::uint64_t used = peek(layout().bytes_used) + record_size;
    const std::uint64_t most = cost(layout().max_bytes);
    const std::uint64_t bytes = most > used ? most - used : 0;
    const std::uint64_t blocks = layout().blocks_in_all - 1;
    const std::uint64_t blocks_used = std::min(blocks, peek(layout().blocks_used));
    return std::min(bytes, (blocks - blocks_used) * block_size);
}

std::uint64_t queue_content::oldest_lease() const noexcept {
    const participant me = this_participant();
    std::uint64_t oldest = 0;
    for (std::uint64_t number = 1; number <= peek(layout().cells_made); ++number) {
        const queue_cell& one = pool_.cell(number);
        if (peek(one.state) != queue_cell::leased || peek(one.owner) != me) continue;
        if (oldest == 0 || one.number < pool_.cell(oldest).number) oldest = number;
    }
    return oldest;
}

// -- putting

result<void> queue_content::append(transaction& changing, std::span<const std::byte> bytes) const {
    COPROC_TRY(append_record(changing, bytes, 0));
    changing.add(layout().bytes_used, cost(bytes.size()));
    return success();
}

/// A record at the tail: the bytes of a small message, or the cell of a large one.
result<void> queue_content::append_record(transaction& changing, std::span<const std::byte> bytes,
                                          std::uint64_t cell) const {
    COPROC_TRY(std::byte* const at, room_for(changing, cost(bytes.size())));
    const queue_record record{static_cast<std::uint32_t>(bytes.size()),
                              static_cast<std::uint32_t>(cell)};
    std::memcpy(at, &record, sizeof record);
    if (!bytes.empty()) std::memcpy(at + sizeof record, bytes.data(), bytes.size());
    changing.add(layout().tail, cost(bytes.size()));
    changing.add(layout().put_count, 1);
    return success();
}

result<std::byte*> queue_content::room_for(transaction& changing, std::size_t size) const {
    queue_layout& now = layout();
    if (now.tail_block == 0 || now.tail + size > block_size) {
        COPROC_TRY(const std::uint64_t opened, pool_.take_block(changing));
        changing.set(pool_.block(opened).holders, 1);
        if (now.tail_block != 0) {
            changing.set(pool_.block(now.tail_block).next, opened);
            changing.set(pool_.block(now.tail_block).end, now.tail);
        } else {
            changing.set(now.head_block, opened);
            changing.set(now.head, 0);
        }
        changing.set(now.tail_block, opened);
        changing.set(now.tail, 0);
    }
    return pool_.bytes(now.tail_block).data() + now.tail;
}

result<std::uint64_t> queue_content::reserve(transaction& changing, std::uint64_t size) const {
    COPROC_TRY(const std::uint64_t number, pool_.take_cell(changing, queue_cell::filling));
    changing.set(pool_.cell(number).size, size);
    changing.add(layout().bytes_used, cost(size));
    changing.add(layout().blocks_used, blocks_for(size));
    changing.add(layout().filling_count, 1);
    return number;
}

result<void> queue_content::publish(transaction& changing, std::uint64_t cell) const {
    COPROC_TRY(append_record(changing, {}, cell));
    changing.subtract(layout().filling_count, 1);
    changing.set(pool_.cell(cell).state, queue_cell::queued);
    changing.set(pool_.cell(cell).owner, 0);
    return success();
}

// -- getting

result<bool> queue_content::take(transaction& changing, taken_message& into) const {
    if (layout().returned_count != 0) {
        take_returned(changing, into);
        return true;
    }
    if (layout().got_count == layout().put_count) return false;
    COPROC_TRY(take_record(changing, into));
    return true;
}

void queue_content::take_returned(transaction& changing, taken_message& into) const noexcept {
    std::uint64_t first = 0;
    for (std::uint64_t number = 1; number <= layout().cells_made; ++number) {
        const queue_cell& one = pool_.cell(number);
        if (one.state != queue_cell::returned) continue;
        if (first == 0 || one.number < pool_.cell(first).number) first = number;
    }
    queue_cell& cell = pool_.cell(first);
    changing.set(cell.state, in_hand());
    changing.set(cell.owner, this_participant());
    changing.subtract(layout().returned_count, 1);
    into.cell = first;
    into.number = cell.number;
}

result<void> queue_content::take_record(transaction& changing, taken_message& into) const {
    queue_layout& now = layout();
    if (now.head_block != now.tail_block && now.head == pool_.block(now.head_block).end) {
        const std::uint64_t next = pool_.block(now.head_block).next;
        pool_.let_go(changing, now.head_block);
        changing.set(now.head_block, next);
        changing.set(now.head, 0);
    }
    queue_record record;
    const std::byte* const at = pool_.bytes(now.head_block).data() + now.head;
    std::memcpy(&record, at, sizeof record);
    into.number = now.got_count;
    into.cell = record.cell;
    if (record.cell == 0 && now.joinable == 0) {
        into.content.assign(at + sizeof record, at + sizeof record + record.size);
        changing.subtract(now.bytes_used, cost(record.size));
    } else {
        if (record.cell == 0) {
            // The lease of a small message: it stays where it is.
            COPROC_TRY(into.cell, pool_.take_cell(changing, queue_cell::leased));
            queue_cell& leased = pool_.cell(into.cell);
            changing.set(leased.block, now.head_block);
            changing.set(leased.offset, now.head + sizeof record);
            changing.set(leased.size, record.size);
            changing.add(pool_.block(now.head_block).holders, 1);
        }
        queue_cell& cell = pool_.cell(into.cell);
        changing.set(cell.state, in_hand());
        changing.set(cell.owner, this_participant());
        changing.set(cell.number, now.got_count);
    }
    changing.add(now.head, cost(record.size));
    changing.add(now.got_count, 1);
    return success();
}

/// Gives back a cell, what it leads to, and its part of the limits.
void queue_content::drop(transaction& changing, std::uint64_t cell) const noexcept {
    if (pool_.cell(cell).state == queue_cell::filling) {
        changing.subtract(layout().filling_count, 1);
    }
    changing.subtract(layout().bytes_used, cost(pool_.cell(cell).size));
    pool_.give_cell(changing, cell);
}

result<void> queue_content::end(transaction& changing, std::uint64_t cell,
                                std::uint64_t number) const {
    const queue_cell& mine = pool_.cell(cell);
    const bool is_leased = mine.state == queue_cell::leased;
    const bool in_our_hands = is_leased || mine.state == queue_cell::taken;
    if (!in_our_hands || mine.owner != this_participant() || mine.number != number) {
        return errc::too_many_releases;
    }
    drop(changing, cell);
    if (is_leased) changing.add(layout().done_count, 1);
    return success();
}

void queue_content::give_back(transaction& changing, std::uint64_t cell) const noexcept {
    queue_cell& mine = pool_.cell(cell);
    if (mine.state == queue_cell::filling) return drop(changing, cell);
    changing.set(mine.state, queue_cell::returned);
    changing.set(mine.owner, 0);
    changing.add(layout().returned_count, 1);
}

bool queue_content::forget(transaction& changing, participant dead) const noexcept {
    constexpr std::size_t changes_of_one = 16;
    for (std::uint64_t number = 1; number <= layout().cells_made; ++number) {
        const queue_cell& one = pool_.cell(number);
        if (one.owner != dead) continue;
        if (changing.room() < changes_of_one) return false;
        if (one.state == queue_cell::taken) {
            drop(changing, number);
        } else {
            give_back(changing, number);
        }
    }
    return true;
}

// -- the bytes of cells

void queue_content::fill(std::uint64_t cell_number, std::uint64_t& block,
                         std::span<const std::byte>& rest) const noexcept {
    for (std::size_t filled = 0; filled < slice && !rest.empty(); filled += block_size) {
        const std::uint64_t next =
            block == 0 ? pool_.cell(cell_number).block : pool_.block(block).next;
        if (next == 0) return;
        block = next;
        const auto part = rest.first(std::min(rest.size(), block_size));
        std::memcpy(pool_.bytes(block).data(), part.data(), part.size());
        rest = rest.subspan(part.size());
    }
}

bool queue_content::copy(std::uint64_t cell_number, std::uint64_t& block,
                         coproc::bytes& into) const {
    const queue_cell& cell = pool_.cell(cell_number);
    if (cell.size <= longest_inline) {
        const auto from = pool_.bytes(cell.block).subspan(cell.offset, cell.size);
        into.assign(from.begin(), from.end());
        return true;
    }
    into.reserve(cell.size);
    for (std::size_t copied = 0; copied < slice && into.size() < cell.size; copied += block_size) {
        block = block == 0 ? cell.block : pool_.block(block).next;
        const auto from = pool_.bytes(block).first(std::min(block_size, cell.size - into.size()));
        into.insert(into.end(), from.begin(), from.end());
    }
    return into.size() == cell.size;
}

}  // namespace coproc::detail
