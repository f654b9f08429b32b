#include "channels/queue_content.hpp"

#include <coproc/detail/queue_access.hpp>

#include "words/sharing_linux.hpp"

#include <algorithm>
#include <cstring>

namespace coproc::detail {

namespace {

constexpr std::uint64_t record_size = sizeof(queue_record);

}  // namespace

result<region> queue_content::make(const queue_settings& settings) {
    const std::uint64_t max_bytes =
        std::clamp<std::uint64_t>(settings.max_bytes, 1, PTRDIFF_MAX / 8);
    // Blocks are at least half full, but for the first and the last.
    const std::uint64_t blocks = 2 * blocks_for(max_bytes) + 16;
    const std::uint64_t cells =
        std::min(std::max(blocks, max_bytes / record_size + 1), std::uint64_t{1} << 20U);
    const std::uint64_t table = aligned(sizeof(queue_layout), 64);
    const std::uint64_t cells_offset = aligned(table + blocks * sizeof(queue_block), 64);
    const std::uint64_t first = aligned(cells_offset + cells * sizeof(queue_cell), block_size);
    COPROC_TRY(auto memory, region::create(region_kind::queue, first + blocks * block_size));
    COPROC_TRY(system::secure_memory(memory.fd(), 0, first));
    COPROC_TRY(system::give_memory(memory.fd(), first, block_size));
    auto& made = memory.as<queue_layout>();
    COPROC_TRY(make_lock(made));
    COPROC_TRY(make_lock(made.putting.mutex));
    COPROC_TRY(make_lock(made.getting.mutex));
    made.fingerprint = settings.fingerprint;
    made.max_size = settings.max_size == 0 ? UINT64_MAX : settings.max_size;
    made.max_bytes = max_bytes;
    made.joinable = settings.joinable ? 1 : 0;
    made.blocks_in_all = blocks;
    made.cells_in_all = cells;
    made.table_offset = table;
    made.cells_offset = cells_offset;
    made.blocks_offset = first;
    // The first block is both ends.
    made.blocks_made = 1;
    made.blocks_used = 1;
    block_pool(memory).block(1).holders = 1;
    made.putting.slots[0].state.tail_block = 1;
    made.getting.slots[0].state.head_block = 1;
    memory.finish();
    return memory;
}

std::uint64_t queue_content::size() const noexcept {
    const std::uint64_t got = got_count();
    return put_count() - got + peek(layout().returned_count);
}

bool queue_content::has_room(std::uint64_t size) const noexcept {
    put_state now{};
    now.seen_got = got_count();
    now.seen_bytes_out = peek(layout().getting, &get_state::bytes_out);
    now.count = put_count();
    now.bytes_in = peek(layout().putting, &put_state::bytes_in);
    now.tail = peek(layout().putting, &put_state::tail);
    return is_within_limits(now, size);
}

std::uint64_t queue_content::bytes() const noexcept {
    const std::uint64_t out = peek(layout().getting, &get_state::bytes_out);
    return peek(layout().putting, &put_state::bytes_in) - out + peek(layout().cell_bytes);
}

std::uint64_t queue_content::room() const noexcept {
    const std::uint64_t used = bytes() + record_size;
    const std::uint64_t most = cost_of(layout().max_bytes);
    const std::uint64_t bytes = most > used ? most - used : 0;
    const std::uint64_t blocks = layout().blocks_in_all - 1;
    const std::uint64_t blocks_used = std::min(blocks, peek(layout().blocks_used));
    // A small message may need no block.
    return std::min(bytes, std::max((blocks - blocks_used) * block_size, longest_inline));
}

bool queue_content::can_publish() const noexcept {
    put_state now{};
    now.tail = peek(layout().putting, &put_state::tail);
    return is_closed() || now.fits(0) || pool_.has_blocks(1);
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

result<progress> queue_content::append(edit<put_state>& end, lock_experience& pool,
                                       const message_bytes& message) const {
    if (append_here(end.now, message)) return progress::done;
    if (!has_room(end.now, message.size())) return progress::not_yet;
    transaction changing(layout(), pool);
    if (!changing) return progress::busy;
    COPROC_TRY(const progress opened, open_block(changing, end.now));
    if (opened != progress::done) return opened;
    write_record(end.now, {static_cast<std::uint32_t>(message.size()), 0}, message);
    end.now.bytes_in += cost_of(message.size());
    changing.commit_with(end);
    return progress::done;
}

/// The chain goes on in a new block.
result<progress> queue_content::open_block(transaction& changing, put_state& end) const {
    COPROC_TRY(const std::uint64_t opened, pool_.take_block(changing));
    if (opened == 0) return progress::not_yet;
    changing.set(pool_.block(opened).holders, 1);
    const queue_record last{queue_record::next_block, static_cast<std::uint32_t>(opened)};
    std::memcpy(pool_.bytes(end.tail_block).data() + end.tail, &last, sizeof last);
    end.tail_block = opened;
    end.tail = 0;
    return progress::done;
}

result<progress> queue_content::reserve(edit<put_state>& end, lock_experience& pool,
                                        std::uint64_t size, std::uint64_t& cell) const {
    if (!has_room(end.now, size)) return progress::not_yet;
    transaction changing(layout(), pool);
    if (!changing) return progress::busy;
    if (!has_room(end.now, size)) return progress::not_yet;
    COPROC_TRY(cell, pool_.take_cell(changing, queue_cell::filling));
    changing.set(pool_.cell(cell).size, size);
    changing.add(layout().cell_bytes, cost_of(size));
    changing.add(layout().blocks_used, blocks_for(size));
    changing.add(layout().filling_count, 1);
    changing.commit();
    return progress::done;
}

result<progress> queue_content::publish(edit<put_state>& end, lock_experience& pool,
                                        std::uint64_t cell) const {
    transaction changing(layout(), pool);
    if (!changing) return progress::busy;
    if (!end.now.fits(0)) {
        COPROC_TRY(const progress opened, open_block(changing, end.now));
        if (opened != progress::done) return opened;
    }
    write_record(end.now, {0, static_cast<std::uint32_t>(cell)}, message_bytes({}));
    changing.subtract(layout().filling_count, 1);
    changing.set(pool_.cell(cell).state, queue_cell::queued);
    changing.set(pool_.cell(cell).owner, 0);
    changing.commit_with(end);
    return progress::done;
}

// -- getting

result<progress> queue_content::take(edit<get_state>& end, lock_experience& pool,
                                     taken_message& into, std::byte* bytes,
                                     std::uint64_t largest) const {
    if (peek(layout().returned_count) != 0) {
        COPROC_TRY(const progress returned, take_returned(pool, into, largest));
        if (returned != progress::not_yet) return returned;
    }
    if (const auto here = take_here(end.now); here.data() != nullptr) {
        into = {0, end.now.count - 1, here.size()};
        std::memcpy(bytes, here.data(), here.size());
        return progress::done;
    }
    if (end.now.count == end.now.seen_put) end.now.seen_put = put_count();
    if (end.now.count == end.now.seen_put) return progress::not_yet;
    queue_record record = record_at(end.now);
    // On a copy: what fails further on has not happened.
    get_state after = end.now;
    transaction changing(layout(), pool);
    if (!changing) return progress::busy;
    if (record.size == queue_record::next_block) {
        pool_.let_go(changing, after.head_block);
        after.head_block = record.cell;
        after.head = 0;
        record = record_at(after);
    }
    if (record.cell != 0 && pool_.cell(record.cell).size > largest) return progress::busy;
    if (record.cell == 0 && !is_joinable()) {
        const auto here = pass(after, record.size);
        into = {0, after.count - 1, record.size};
        std::memcpy(bytes, here.data(), here.size());
    } else {
        COPROC_TRY(take_cell(changing, after, record, into));
        if (record.cell == 0) after.bytes_out += cost_of(record.size);
        after.head += cost_of(record.size);
        ++after.count;
    }
    end.now = after;
    changing.commit_with(end);
    return progress::done;
}

/// The cell of a large message, or one for the lease of a small one, which stays where it is.
result<void> queue_content::take_cell(transaction& changing, const get_state& end,
                                      const queue_record& record, taken_message& into) const {
    into = {record.cell, end.count, record.size};
    if (record.cell == 0) {
        COPROC_TRY(into.cell, pool_.take_cell(changing, queue_cell::taken));
        queue_cell& leased = pool_.cell(into.cell);
        changing.set(leased.block, end.head_block);
        changing.set(leased.offset, end.head + sizeof record);
        changing.set(leased.size, record.size);
        changing.add(pool_.block(end.head_block).holders, 1);
        changing.add(layout().cell_bytes, cost_of(record.size));
    }
    queue_cell& cell = pool_.cell(into.cell);
    into.size = cell.size;
    changing.set(cell.state, queue_cell::taken);
    changing.set(cell.owner, this_participant());
    changing.set(cell.number, end.count);
    return success();
}

result<progress> queue_content::take_returned(lock_experience& pool, taken_message& into,
                                              std::uint64_t largest) const noexcept {
    transaction changing(layout(), pool);
    if (!changing) return progress::busy;
    const std::uint64_t first = layout().returned_first;
    if (first == 0) return progress::not_yet;
    queue_cell& cell = pool_.cell(first);
    if (cell.size > largest) return progress::busy;
    changing.set(cell.state, queue_cell::taken);
    changing.set(cell.owner, this_participant());
    changing.set(layout().returned_first, cell.next);
    if (cell.next == 0) changing.set(layout().returned_last, 0);
    changing.subtract(layout().returned_count, 1);
    into = {first, cell.number, cell.size};
    changing.commit();
    return progress::done;
}

/// Gives back a cell, what it leads to, and its part of the limits.
void queue_content::drop(transaction& changing, std::uint64_t cell) const noexcept {
    if (pool_.cell(cell).state == queue_cell::filling) {
        changing.subtract(layout().filling_count, 1);
    }
    changing.subtract(layout().cell_bytes, cost_of(pool_.cell(cell).size));
    pool_.give_cell(changing, cell);
}

result<void> queue_content::end(transaction& changing, std::uint64_t cell,
                                std::uint64_t number) const {
    const queue_cell& mine = pool_.cell(cell);
    const bool in_our_hands = mine.state == queue_cell::leased || mine.state == queue_cell::taken;
    if (!in_our_hands || mine.owner != this_participant() || mine.number != number) {
        return errc::too_many_releases;
    }
    drop(changing, cell);
    if (is_joinable()) changing.add(layout().done_count, 1);
    return success();
}

void queue_content::give_back(transaction& changing, std::uint64_t cell) const noexcept {
    queue_cell& mine = pool_.cell(cell);
    if (mine.state == queue_cell::filling) return drop(changing, cell);
    changing.set(mine.state, queue_cell::returned);
    changing.set(mine.owner, 0);
    changing.add(mine.returns, 1);
    changing.add(layout().returned_count, 1);
    enlist_returned(changing, cell);
}

/// In their order; those of one consumer mostly come from the first to the last, or the other way.
void queue_content::enlist_returned(transaction& changing, std::uint64_t cell) const noexcept {
    queue_layout& all = layout();
    queue_cell& mine = pool_.cell(cell);
    std::uint64_t before = all.returned_last;
    std::uint64_t after = 0;
    if (before != 0 && mine.number < pool_.cell(before).number) {
        before = 0;
        after = all.returned_first;
        while (pool_.cell(after).number < mine.number) {
            before = after;
            after = pool_.cell(after).next;
        }
    }
    changing.set(mine.next, after);
    changing.set(before == 0 ? all.returned_first : pool_.cell(before).next, cell);
    if (after == 0) changing.set(all.returned_last, cell);
}

bool queue_content::forget(transaction& changing, participant dead,
                           std::uint64_t& from) const noexcept {
    constexpr std::size_t changes_of_one = 16;
    for (; from <= layout().cells_made; ++from) {
        const queue_cell& one = pool_.cell(from);
        if (one.owner != dead) continue;
        if (changing.room() < changes_of_one) return false;
        if (one.state == queue_cell::taken && !is_joinable()) {
            drop(changing, from);
        } else {
            give_back(changing, from);
        }
    }
    return true;
}

// -- the bytes of cells

void queue_content::fill(std::uint64_t cell_number, std::uint64_t& block,
                         message_bytes& rest) const noexcept {
    for (std::size_t filled = 0; filled < slice && rest.size() > 0; filled += block_size) {
        const std::uint64_t next =
            block == 0 ? pool_.cell(cell_number).block : pool_.block(block).next;
        if (next == 0) return;
        block = next;
        rest.read(pool_.bytes(block).data(), std::min(rest.size(), block_size));
    }
}

std::span<const std::byte> queue_content::next_piece(const taken_message& from,
                                                     std::uint64_t& block) const noexcept {
    const queue_cell& cell = pool_.cell(from.cell);
    if (from.size <= longest_inline) {
        return pool_.bytes(cell.block).subspan(cell.offset, from.size);
    }
    block = block == 0 ? cell.block : pool_.block(block).next;
    const bool is_last = pool_.block(block).next == 0;
    return pool_.bytes(block).first(is_last ? (from.size - 1) % block_size + 1 : block_size);
}

}  // namespace coproc::detail
