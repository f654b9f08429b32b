#include "shared/sleepers.hpp"

#include "words/sharing_linux.hpp"

#include <atomic>
#include <bit>

namespace coproc::detail {

namespace {

using word = std::atomic_ref<std::uint64_t>;

enum state : std::uint64_t { idle = 0, asleep = 1, rung = 2 };
constexpr std::uint64_t state_bits = 3;

state state_of(std::uint64_t seen) noexcept { return static_cast<state>(seen & state_bits); }

/// The word of the next generation.
std::uint64_t next(std::uint64_t seen, state now) noexcept {
    return ((seen >> 2U) + 1) << 2U | now;
}

}  // namespace

void sleepers::announce(std::size_t index, std::uint64_t need) noexcept {
    sleeper_table::place& mine = table_->all[index];
    mine.need = need;
    word(mine.word).store(next(mine.word, asleep), std::memory_order_seq_cst);
    word(table_->asleep[index / 64]).fetch_or(std::uint64_t{1} << index % 64);
    // Last, so that who has seen the count finds the others; and a full barrier: whoever published
    // before it is seen by the look that follows, whoever publishes after it sees us.
    word(table_->announcements).fetch_add(1);
}

bool sleepers::withdraw(std::size_t index) noexcept {
    sleeper_table::place& mine = table_->all[index];
    const std::uint64_t before = word(mine.word).exchange(next(mine.word, idle));
    word(table_->asleep[index / 64]).fetch_and(~(std::uint64_t{1} << index % 64));
    return state_of(before) == rung;
}

bool sleepers::anybody() const noexcept {
    // Between publishing and looking for sleepers, so that one of the two sees the other.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return announced();
}

/// True if it has been rung for this reason, and by us.
bool sleepers::wake(int from, std::size_t index, std::uint64_t room) noexcept {
    sleeper_table::place& other = table_->all[index];
    std::uint64_t seen = word(other.word).load();
    if (state_of(seen) != asleep || other.need > room) return false;
    const member& who = members_->all[index];
    auto rang = system::ring(from, who.bell, who.cookie);
    if (!rang && rang.error() == errc::would_block) {
        // It has no room for more rings, and is going to look in any case; or our socket has been
        // heard by too few, and a fresh one tells which.
        const auto fresh = system::make_bell();
        if (!fresh) return false;
        rang = system::ring(fresh.value().get(), who.bell, who.cookie);
    }
    if (!rang && rang.error() != errc::would_block) return false;
    return word(other.word).compare_exchange_strong(seen, (seen & ~state_bits) | rung);
}

bool sleepers::is_asleep(std::size_t index) const noexcept {
    return state_of(word(table_->all[index].word).load()) == asleep;
}

std::size_t sleepers::count() const noexcept {
    std::size_t found = 0;
    const std::size_t used = word(members_->used).load();
    for (std::size_t index = 0; index < used; ++index) found += is_asleep(index) ? 1 : 0;
    return found;
}

/// Who announces himself after this look finds by himself what there is to be woken for.
bool sleepers::anybody_but(std::size_t index) const noexcept {
    const std::size_t used = (word(members_->used).load() + 63) / 64;
    for (std::size_t i = 0; i < used; ++i) {
        const std::uint64_t him = i == index / 64 ? std::uint64_t{1} << index % 64 : 0;
        if ((word(table_->asleep[i]).load() & ~him) != 0) return true;
    }
    return false;
}

bool sleepers::wake_one(int from, std::uint64_t room, bool (*reason)(const void*),
                        const void* argument) noexcept {
    if (!anybody()) return false;
    const std::uint64_t announcements = word(table_->announcements).load();
    bool all_awake = true;
    const std::size_t used = word(members_->used).load();
    if (used == 0) return false;
    const std::size_t first = word(table_->next).load(std::memory_order_relaxed) % used;
    for (std::size_t i = 0; i < used; ++i) {
        const std::size_t index = (first + i) % used;
        const std::uint64_t bits = word(table_->asleep[index / 64]).load();
        if ((bits >> index % 64 & 1) == 0) continue;
        if (wake(from, index, room)) {
            word(table_->next).store(index + 1, std::memory_order_relaxed);
            return anybody_but(index);
        }
        all_awake = all_awake && !is_asleep(index);
        if (!reason(argument)) return false;
    }
    if (all_awake) known_->store(announcements, std::memory_order_relaxed);
    return false;
}

void sleepers::wake_all(int from, std::uint64_t room) noexcept {
    if (!anybody()) return;
    const std::size_t used = word(members_->used).load();
    for (std::size_t index = 0; index < used; ++index) wake(from, index, room);
}

}  // namespace coproc::detail
