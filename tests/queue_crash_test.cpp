// Queues when a process dies at any instruction of what it does to them.

#include "channels/byte_queue.hpp"
#include "support/catch.hpp"
#include "support/stepped.hpp"
#include "words/system.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

using coproc::bytes;
using coproc::errc;
using coproc::result;
using coproc::detail::byte_queue;
using coproc::detail::participant;
using coproc::detail::queue_cell;
using coproc::detail::queue_content;
using coproc::detail::region;
using coproc::testing::kill_everywhere;
using coproc::testing::kill_grid;
using coproc::testing::kill_repairers;

namespace {

constexpr participant victim = 4711;
constexpr participant second_victim = 4712;

bytes message(std::size_t number, std::size_t size) {
    bytes made(std::max(size, sizeof number), std::byte(number * 7 + 1));
    std::memcpy(made.data(), &number, sizeof number);
    return made;
}

void put(byte_queue& into, const bytes& one) {
    into.try_put(coproc::detail::message_bytes(one)).value();
}
std::size_t number_of(const bytes& one) {
    std::size_t number = 0;
    std::memcpy(&number, one.data(), sizeof number);
    CHECK(one == message(number, one.size()));
    return number;
}

/// A queue, and a look at its memory from beside it.
class watched_queue {
 public:
    explicit watched_queue(bool joinable)
        : memory_(queue_content::make({1, 0, 200'000, joinable}).value()), content_(memory_) {
        auto file = coproc::system::duplicate(memory_.fd()).value();
        queue = byte_queue::open(std::move(file), 1, joinable).value();
    }

    byte_queue::ref queue;

    std::vector<std::size_t> drain() {
        std::vector<std::size_t> numbers;
        while (const auto one = queue->try_get()) {
            numbers.push_back(number_of(one.value().content));
            if (one.value().cell != 0) {
                queue->end(one.value().cell, one.value().number).value();
            }
        }
        return numbers;
    }

    /// The invariants of queue_layout.hpp.
    void check_whole() const {
        const auto& now = content_.layout();
        CHECK(now.changes == 0);
        CHECK(now.link == 0);
        const auto put = now.putting.slots[now.putting.current % 2].state;
        const auto got = now.getting.slots[now.getting.current % 2].state;
        std::map<std::uint64_t, int> owners;
        std::map<std::uint64_t, std::uint64_t> holders;
        std::uint64_t bytes_used = 0;
        std::uint64_t cell_bytes = 0;
        std::uint64_t blocks_used = 0;
        std::uint64_t messages = 0;
        for (auto free = now.free_block; free != 0; free = block(free).next) ++owners[free];
        auto one = got.head_block;
        for (auto at = got.head;;) {
            if (holders[one] == 0) {
                holders[one] = 1;
                ++owners[one];
                ++blocks_used;
            }
            if (one == put.tail_block && at == put.tail) break;
            const auto record = record_at(one, at);
            if (record.size == coproc::detail::queue_record::next_block) {
                one = record.cell;
                at = 0;
                continue;
            }
            const auto cost = (record.size + 7) / 8 * 8 + 8;
            if (record.cell == 0) bytes_used += cost;
            at += cost;
            ++messages;
        }
        for (std::uint64_t number = 1; number <= now.cells_made; ++number) {
            const queue_cell& cell = content_.cell(number);
            if (cell.state == queue_cell::unused) continue;
            cell_bytes += (cell.size + 7) / 8 * 8 + 8;
            if (cell.size <= coproc::detail::longest_inline) {
                if (holders[cell.block]++ == 0) {
                    ++owners[cell.block];
                    ++blocks_used;
                }
            } else {
                for (auto next = cell.block; next != 0; next = block(next).next) ++owners[next];
                blocks_used += coproc::detail::blocks_for(cell.size);
            }
        }
        CHECK(owners.size() == now.blocks_made);
        CHECK(std::ranges::all_of(owners, [](const auto& some) { return some.second == 1; }));
        for (const auto& [number, count] : holders) CHECK(block(number).holders == count);
        CHECK(put.bytes_in - got.bytes_out == bytes_used);
        CHECK(now.cell_bytes == cell_bytes);
        CHECK(now.blocks_used == blocks_used);
        CHECK(put.count - got.count == messages);
        CHECK(now.filling_count == 0);
        std::uint64_t returned = 0;
        for (auto next = now.returned_first; next != 0; next = content_.cell(next).next) ++returned;
        CHECK(now.returned_count == returned);
    }

 private:
    coproc::detail::queue_block& block(std::uint64_t number) const {
        auto* table = reinterpret_cast<coproc::detail::queue_block*>(
            memory_.data() + content_.layout().table_offset);
        return table[number - 1];
    }
    coproc::detail::queue_record record_at(std::uint64_t block, std::uint64_t at) const {
        coproc::detail::queue_record record;
        std::memcpy(&record,
                    memory_.data() + content_.layout().blocks_offset +
                        (block - 1) * coproc::detail::block_size + at,
                    sizeof record);
        return record;
    }

    region memory_;
    queue_content content_;
};

using numbers = std::vector<std::size_t>;

const bytes small_message = message(9, 20);
const bytes inline_message = message(9, 4000);
const bytes large_message = message(9, 30'000);

/// What a process does to a queue, and what is in it afterwards if it did, or did not.
struct scene {
    const char* name;
    bool joinable;
    std::vector<std::size_t> sizes;  // of the messages that are there before
    void (*work)(byte_queue& queue);
    std::vector<numbers> outcomes;
    long grid;
};

const scene scenes[] = {
    {"put small",
     false,
     {10, 10},
     [](byte_queue& q) { put(q, small_message); },
     {{0, 1}, {0, 1, 9}},
     5},
    {"put the first", false, {}, [](byte_queue& q) { put(q, small_message); }, {{}, {9}}, 17},
    {"put into a new block",
     false,
     {4000, 4000},
     [](byte_queue& q) { put(q, inline_message); },
     {{0, 1}, {0, 1, 9}},
     5},
    {"put large", false, {10}, [](byte_queue& q) { put(q, large_message); }, {{0}, {0, 9}}, 23},
    {"get small", false, {10, 10}, [](byte_queue& q) { q.try_get().value(); }, {{0, 1}, {1}}, 7},
    {"get the last of a block",
     false,
     {4000, 4000, 4000},
     [](byte_queue& q) {
         for (int i = 0; i < 3; ++i) q.try_get().value();
     },
     {{0, 1, 2}, {1, 2}, {2}, {}},
     19},
    {"get large",
     false,
     {30'000, 10},
     [](byte_queue& q) { q.try_get().value(); },
     {{0, 1}, {1}},
     13},
    {"lease and do",
     true,
     {10, 10},
     [](byte_queue& q) {
         const auto taken = q.try_get().value();
         q.end(taken.cell, taken.number).value();
     },
     {{0, 1}, {1}},
     13},
    {"lease and do a large one",
     true,
     {30'000, 10},
     [](byte_queue& q) {
         const auto taken = q.try_get().value();
         q.end(taken.cell, taken.number).value();
     },
     {{0, 1}, {1}},
     13},
    {"lease two, do the second, give back the first",
     true,
     {10, 30'000, 10},
     [](byte_queue& q) {
         const auto first = q.try_get().value();
         const auto second = q.try_get().value();
         q.end(second.cell, second.number).value();
         q.give_back(first.cell, first.number);
     },
     {{0, 1, 2}, {0, 2}},
     29},
    {"lease two, and do the oldest",
     true,
     {10, 30'000, 10},
     [](byte_queue& q) {
         q.try_get().value();
         q.try_get().value();
         q.end_oldest_lease().value();
     },
     {{0, 1, 2}, {1, 2}},
     29},
};

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t every = 4;  // a fork of so much memory takes its time
#else
constexpr std::size_t every = 1;
#endif

/// The scene set anew for each death.
std::optional<watched_queue> stage;

void set(const scene& scene) {
    stage.emplace(scene.joinable);
    for (std::size_t i = 0; i < scene.sizes.size(); ++i) {
        put(*stage->queue, message(i, scene.sizes[i]));
    }
}

void check_after(const scene& scene) {
    stage->check_whole();
    put(*stage->queue, message(100, 50));
    put(*stage->queue, message(101, 20'000));
    numbers got = stage->drain();
    REQUIRE(got.size() >= 2);
    CHECK(got.back() == 101);
    got.resize(got.size() - 2);
    CAPTURE(got);
    CHECK(std::ranges::find(scene.outcomes, got) != scene.outcomes.end());
    stage->check_whole();
}

}  // namespace

TEST_CASE("queue: a process killed at any instruction leaves it whole", "[queue][process][long]") {
    for (const scene& scene : scenes) {
        DYNAMIC_SECTION(scene.name) {
            const auto work = [&] {
                coproc::detail::become(victim);
                scene.work(*stage->queue);
            };
            const auto after = [&](bool) {
                REQUIRE(stage->queue->repair(victim));
                check_after(scene);
            };
            const auto before = [&] { set(scene); };
            const int kills = kill_everywhere(kill_grid(scene.grid), before, work, after);
            CHECK(kills > 0);
            WARN(scene.name << ": " << kills << " kills survived");
            stage.reset();
        }
    }
}

TEST_CASE("queue: killed in the middle of repairing after somebody who was killed",
          "[queue][process][long]") {
    for (const scene& scene : scenes) {
        DYNAMIC_SECTION(scene.name) {
            const auto work = [&] {
                coproc::detail::become(victim);
                scene.work(*stage->queue);
            };
            set(scene);
            std::vector<coproc::testing::moment> firsts;
            const auto all = coproc::testing::moments(47 * kill_grid(5), work);
            for (std::size_t i = 0; i < all.size(); i += every) firsts.push_back(all[i]);
            const auto before = [&](const coproc::testing::moment& there) {
                set(scene);
                coproc::testing::stepped child(work);
                child.run_to(there);
            };
            const auto repair = [] {
                coproc::detail::become(second_victim);
                stage->queue->repair(victim);
            };
            const auto after = [&] {
                REQUIRE(stage->queue->repair(second_victim));
                REQUIRE(stage->queue->repair(victim));
                check_after(scene);
            };
            const int both = kill_repairers(firsts, 31 * kill_grid(2), before, repair, after);
            CHECK(both > 0);
            WARN(scene.name << ": " << both << " double kills survived");
            stage.reset();
        }
    }
}
