// Barriers when a process dies at any instruction of what it does to them.

#include "support/catch.hpp"
#include "support/stepped.hpp"
#include "sync/barrier_object.hpp"

#include <set>
#include <vector>

using coproc::errc;
using coproc::detail::barrier_object;
using coproc::detail::barrier_ref;
using coproc::detail::ending;
using coproc::detail::participant;
using coproc::detail::progress;
using coproc::testing::kill_everywhere;
using coproc::testing::kill_grid;
using arrival = barrier_object::arrival;

namespace {

constexpr participant victim = 4711;
constexpr participant second_victim = 4712;

/// Nobody waits, nobody is in the way: two rounds of all parties.
void check_whole(barrier_object& b) {
    b.reset().value();
    CHECK(b.waiting() == 0);
    for (int round = 0; round < 2; ++round) {
        std::vector<arrival> all(b.parties());
        for (std::size_t i = 0; i < all.size(); ++i) {
            CHECK(b.waiting() == i);
            CHECK(b.arrive(all[i]).value() == progress::done);
            CHECK(all[i].index == i);
        }
        for (const arrival& one : all) CHECK(b.pass(one).value() == progress::done);
    }
}

/// What became of a round.
enum class outcome { open, complete, failed };

/// What a process does to a barrier where another one waits.
struct scene {
    const char* name;
    std::size_t parties;
    void (*work)(barrier_object& b);
    std::set<outcome> possible;
    ending how;  // of one who is killed
};

void arrive(barrier_object& b) {
    arrival mine;
    b.arrive(mine).value();
}

using enum outcome;
const scene scenes[] = {
    {"come last", 2, &arrive, {open, complete, failed}, ending::failed},
    {"come last, and be said to have ended well", 2, &arrive, {open, complete}, ending::clean},
    {"come", 3, &arrive, {open, failed}, ending::failed},
    {"come, and be said to have ended well", 3, &arrive, {open, failed}, ending::clean},
    {"abort", 2, [](barrier_object& b) { b.abort().value(); }, {open, failed}, ending::clean},
    {"reset", 2, [](barrier_object& b) { b.reset().value(); }, {open, failed}, ending::clean},
};

barrier_ref stage;
arrival first;

void set(const scene& scene) {
    stage = barrier_object::create(scene.parties).value();
    stage->arrive(first).value();
}

outcome look() {
    const auto passed = stage->pass(first);
    if (!passed) {
        CHECK(passed.error() == errc::broken_barrier);
        return failed;
    }
    if (passed.value() == progress::done) return complete;
    CHECK(passed.value() == progress::not_yet);
    CHECK(stage->waiting() == 1);
    CHECK_FALSE(stage->broken());
    return open;
}

}  // namespace

TEST_CASE("barrier: a process killed at any instruction leaves it whole, and nobody in doubt",
          "[barrier][process][long]") {
    for (const scene& scene : scenes) {
        DYNAMIC_SECTION(scene.name) {
            std::set<outcome> seen;
            const auto work = [&] {
                coproc::detail::become(victim);
                scene.work(*stage);
            };
            const auto after = [&](bool) {
                REQUIRE(stage->repair(victim, scene.how));
                const outcome now = look();
                CHECK(scene.possible.contains(now));
                seen.insert(now);
                check_whole(*stage);
            };
            const int kills = kill_everywhere(kill_grid(7), [&] { set(scene); }, work, after);
            CHECK(kills > 0);
            CHECK(seen.size() > 1);
            WARN(scene.name << ": " << kills << " kills survived");
            stage.reset();
        }
    }
}

TEST_CASE("barrier: killed in the middle of repairing after somebody who was killed",
          "[barrier][process][long]") {
    for (const scene& scene : scenes) {
        DYNAMIC_SECTION(scene.name) {
            const auto work = [&] {
                coproc::detail::become(victim);
                scene.work(*stage);
            };
            set(scene);
            const auto firsts = coproc::testing::moments(97 * kill_grid(3), work);
            const auto before = [&](const coproc::testing::moment& there) {
                set(scene);
                coproc::testing::stepped child(work);
                child.run_to(there);
            };
            const auto repair = [&] {
                coproc::detail::become(second_victim);
                coproc::detail::repair_for(victim, scene.how, nullptr);
            };
            const auto after = [&] {
                REQUIRE(stage->repair(second_victim, ending::failed));
                REQUIRE(stage->repair(victim, scene.how));
                CHECK(scene.possible.contains(look()));
                check_whole(*stage);
            };
            const int both =
                coproc::testing::kill_repairers(firsts, 17 * kill_grid(2), before, repair, after);
            CHECK(both > 0);
            WARN(scene.name << ": " << both << " double kills survived");
            stage.reset();
        }
    }
}
