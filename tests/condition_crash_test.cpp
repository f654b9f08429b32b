// Conditions when a process dies at any instruction of what it does to them.

#include "support/catch.hpp"
#include "support/condition_memory.hpp"
#include "support/stepped.hpp"
#include "sync/condition_object.hpp"

#include <optional>
#include <set>
#include <utility>
#include <vector>

using coproc::detail::condition_layout;
using coproc::detail::condition_object;
using coproc::detail::condition_ref;
using coproc::detail::participant;
using coproc::testing::condition_memory;
using coproc::testing::kill_everywhere;
using coproc::testing::kill_grid;
using coproc::testing::kill_repairers;
using coproc::testing::stepped;
using place = condition_object::place;

namespace {

constexpr participant victim = 4711;
constexpr participant second_victim = 4712;

/// A condition, and a look at its memory from beside it.
class watched_condition : public condition_memory {
 public:
    watched_condition() : watched_condition(condition_object::create().value()) {}

    condition_ref object;

 private:
    explicit watched_condition(condition_ref made)
        : condition_memory(made->fd()), object(std::move(made)) {}
};

using marks = std::vector<bool>;

/// What a process does that waits itself, if `waits`, before two others do; how many are notified
/// before that; and what is left of the two afterwards.
struct scene {
    const char* name;
    bool waits;
    std::size_t notified;
    void (*work)(condition_object& c);
    std::set<marks> outcomes;
};

constexpr place of_victim{1, 1};

const scene scenes[] = {
    {"notify one",
     false,
     0,
     [](condition_object& c) { c.notify(1).value(); },
     {{false, false}, {true, false}}},
    {"notify all",
     false,
     0,
     [](condition_object& c) { c.notify(SIZE_MAX).value(); },
     {{false, false}, {true, true}}},
    {"come to wait",
     false,
     1,
     [](condition_object& c) { c.enlist_now().value(); },
     {{true, false}}},
    {"wait no more", true, 0, [](condition_object& c) { c.pass_on(of_victim); }, {{false, false}}},
    {"pass on a notification",
     true,
     1,
     [](condition_object& c) { c.pass_on(of_victim); },
     {{true, false}}},
    {"consume a notification",
     true,
     1,
     [](condition_object& c) { c.consume(of_victim); },
     {{false, false}, {true, false}}},
};

/// The scene set anew for each death.
std::optional<watched_condition> stage;

void set(const scene& scene) {
    stage.emplace();
    if (scene.waits) {
        stepped waiter([] {
            coproc::detail::become(victim);
            stage->object->enlist_now().value();
        });
        REQUIRE(waiter.finish());
    }
    stage->object->enlist_now().value();
    stage->object->enlist_now().value();
    stage->object->notify(scene.notified).value();
}

void check_after(const scene& scene) {
    stage->check_whole();
    const marks left = stage->notified();
    CAPTURE(left);
    CHECK(scene.outcomes.contains(left));
    // It goes on working.
    stage->object->enlist_now().value();
    stage->object->notify(SIZE_MAX).value();
    for (int i = 0; i < 3; ++i) {
        place taken;
        CHECK(stage->object->take_notified(taken).value() == coproc::detail::progress::done);
        stage->object->consume(taken);
    }
    CHECK(stage->notified().empty());
    stage->check_whole();
}

void work(const scene& scene) {
    coproc::detail::become(victim);
    scene.work(*stage->object);
}

}  // namespace

TEST_CASE("condition: a process killed at any instruction leaves it whole and takes nothing along",
          "[condition][process][long]") {
    for (const scene& scene : scenes) {
        DYNAMIC_SECTION(scene.name) {
            const auto after = [&](bool) {
                REQUIRE(stage->object->repair(victim));
                check_after(scene);
            };
            const int kills =
                kill_everywhere(kill_grid(7), [&] { set(scene); }, [&] { work(scene); }, after);
            CHECK(kills > 0);
            WARN(scene.name << ": " << kills << " kills survived");
            stage.reset();
        }
    }
}

TEST_CASE("condition: killed in the middle of repairing after somebody who was killed",
          "[condition][process][long]") {
    for (const scene& scene : scenes) {
        DYNAMIC_SECTION(scene.name) {
            const auto first_work = [&] { work(scene); };
            set(scene);
            const auto firsts = coproc::testing::moments(47 * kill_grid(3), first_work);
            const auto before = [&](const coproc::testing::moment& there) {
                set(scene);
                stepped child(first_work);
                child.run_to(there);
            };
            const auto repair = [] {
                coproc::detail::become(second_victim);
                stage->object->repair(victim);
            };
            const auto after = [&] {
                REQUIRE(stage->object->repair(second_victim));
                REQUIRE(stage->object->repair(victim));
                check_after(scene);
            };
            const int both = kill_repairers(firsts, 31 * kill_grid(2), before, repair, after);
            CHECK(both > 0);
            WARN(scene.name << ": " << both << " double kills survived");
            stage.reset();
        }
    }
}

TEST_CASE("condition: a process that dies with a thousand waiting leaves all notifications",
          "[condition][process]") {
    stage.emplace();
    stepped waiter([] {
        coproc::detail::become(victim);
        for (int i = 0; i < 1000; ++i) stage->object->enlist_now().value();
    });
    REQUIRE(waiter.finish());
    for (int i = 0; i < 100; ++i) stage->object->enlist_now().value();
    stage->object->notify(30).value();
    REQUIRE(stage->object->repair(victim));
    stage->check_whole();
    marks expected(100, false);
    std::fill_n(expected.begin(), 30, true);
    CHECK(stage->notified() == expected);
    stage.reset();
}

TEST_CASE("condition: one who is stopped in the middle of notifying holds up nobody for long",
          "[condition][process]") {
    using coproc::detail::progress;
    stage.emplace();
    const auto changing = [] { return coproc::detail::peek(stage->memory().changes) != 0; };
    stage->object->enlist_now().value();
    stepped child([] { stage->object->notify(1).value(); });
    while (!changing()) REQUIRE(child.step());
    place taken;
    CHECK(stage->object->enlist_now().value() == progress::busy);
    CHECK(stage->object->take_notified(taken).value() == progress::busy);
    CHECK(stage->object->notify(1).error() == coproc::errc::would_block);
    CHECK_FALSE(stage->object->repair(victim));
    child.kill();
    // What it was about is undone.
    CHECK(stage->object->take_notified(taken).value() == progress::not_yet);
    stage->check_whole();
    stage.reset();
}

TEST_CASE("condition: one more than it has entries for is an error", "[condition]") {
    stage.emplace();
    for (std::size_t i = 0; i < condition_layout::most_entries; ++i) {
        if (!stage->object->enlist_now()) FAIL("number " << i);
    }
    CHECK(stage->object->enlist_now().error() == std::errc::no_buffer_space);
    stage->object->give_up();
    CHECK(stage->object->enlist_now().has_value());
    stage.reset();
}
