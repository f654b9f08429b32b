// Conditions and barriers whose waiters are killed at random, all the time.

#include <coproc/barrier.hpp>
#include <coproc/condition.hpp>
#include <coproc/process.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"
#include "support/processes.hpp"
#include "support/shared_board.hpp"
#include "support/storm.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using coproc::barrier;
using coproc::condition;
using coproc::errc;
using coproc::process;
using coproc::result;
using coproc::task;
using coproc::testing::eventually;
using coproc::testing::shared_board;
using coproc::testing::storm;

namespace {

/// Storms come one after the other, so that it is seen often what the dead have left.
constexpr auto burst = 100ms;

long bursts() { return storm::usual_length() / burst; }

/// Mostly for ever: longer than a test waits for what is to happen without it.
std::chrono::microseconds patience(std::mt19937& random) {
    const std::chrono::microseconds short_time(random() % 300);
    return random() % 8 == 0 ? short_time : std::chrono::microseconds(1h);
}

// -- two conditions of one lock: whoever is in turn takes it, and notifies one of the others

struct table {
    std::atomic<long> turn;
    std::atomic<long> inside;
    std::atomic<long> told;
    std::atomic<long> violations;
};

/// Who is told of a death does what the dead may not have come to.
void look_after(const coproc::lock::guard& held, table& seen, const condition& one,
                const condition& other) {
    if (!held.owner_died()) return;
    ++seen.told;
    seen.inside = 0;
    one.notify().value();
    other.notify().value();
}

task<void> take_turns(condition mine, condition others, std::string path, long remainder, long me) {
    const shared_board<table> seen(path);
    std::mt19937 random(static_cast<unsigned>(me));
    const auto is_mine = [&] { return seen->turn % 2 == remainder; };
    for (;;) {
        auto held = (co_await mine.acquire()).value();
        look_after(held, *seen, mine, others);
        result<void> woken = coproc::success();
        while (woken && !is_mine()) {
            woken = co_await coproc::timeout(patience(random), mine.wait(held));
            if (woken) look_after(held, *seen, mine, others);
        }
        if (!woken && woken.error() == errc::timed_out) continue;
        woken.value();
        if (seen->inside.exchange(me) != 0) ++seen->violations;
        if (random() % 8 == 0) (co_await coproc::yield()).value();
        if (!is_mine()) ++seen->violations;
        ++seen->turn;
        if (seen->inside.exchange(0) != me) ++seen->violations;
        others.notify().value();
    }
}

/// Nobody is left but the two that are never killed: they go on, without anybody's help.
task<void> check_turns_are_taken(const condition& even, const condition& odd, table& seen) {
    {
        const auto held = (co_await even.acquire()).value();
        look_after(held, seen, even, odd);
    }
    const long enough = seen.turn + 50;
    const bool taken = co_await eventually([&] { return seen.turn >= enough; });
    REQUIRE(taken);
}

// -- a barrier of three

struct lobby {
    /// Goes up when that party comes, and when it leaves: it is odd as long as it waits.
    std::array<std::atomic<long>, 3> visits;
    std::array<std::atomic<long>, 3> passed;  ///< with that number
    std::atomic<long> violations;
};

/// With the barrier locked it may not have happened; then it is as good the next time.
void check_done(const result<void>& outcome) {
    if (!outcome && outcome.error() != errc::would_block) outcome.value();
}

/// Nobody passes before all others have been there.
task<void> meet(barrier b, std::string path, std::size_t place, long me) {
    const shared_board<lobby> seen(path);
    std::mt19937 random(static_cast<unsigned>(me));
    if (seen->visits[place] % 2 == 1) ++seen->visits[place];  // of somebody dead
    for (;;) {
        ++seen->visits[place];
        std::array<long, 3> before{};
        std::copy(seen->visits.begin(), seen->visits.end(), before.begin());
        const auto index = co_await coproc::timeout(patience(random), b.wait());
        if (index) {
            ++seen->passed[index.value()];
            for (std::size_t i = 0; i < before.size(); ++i) {
                if (before[i] % 2 == 0 && seen->visits[i] == before[i]) ++seen->violations;
            }
        }
        ++seen->visits[place];
        if (index && random() % 64 == 0) check_done(b.abort());
        if (index) continue;
        if (index.error() != errc::broken_barrier && index.error() != errc::timed_out) {
            index.value();
        }
        if (b.broken()) check_done(b.reset());
    }
}

/// Nobody is left.
task<void> check_as_new(const barrier& b) {
    CHECK(b.waiting() == 0);
    b.reset().value();
    const auto rt = co_await coproc::current_runtime();
    std::vector<coproc::spawned<result<std::size_t>>> all;
    for (int i = 0; i < 3; ++i) all.push_back(rt.spawn(b.wait()));
    std::vector<std::size_t> numbers;
    for (auto& one : all) {
        const auto number = co_await coproc::timeout(10s, std::move(one));
        numbers.push_back(number.value());
    }
    std::ranges::sort(numbers);
    CHECK(numbers == std::vector<std::size_t>{0, 1, 2});
}

}  // namespace

CO_TEST_CASE("condition: in a storm of kills turns are taken, and none is waited for in vain",
             "[condition][process][long]") {
    const auto seed = coproc::testing::storm_seed();
    CAPTURE(seed);
    const auto l = coproc::lock::create().value();
    const auto even = condition::create(l).value();
    const auto odd = condition::create(l).value();
    const shared_board<table> seen;
    const coproc::process_options steady{.kill_on_drop = true};
    process steady_even(steady, take_turns, even, odd, seen.path(), 0, -1);
    process steady_odd(steady, take_turns, odd, even, seen.path(), 1, -2);
    (co_await steady_even.start()).value();
    (co_await steady_odd.start()).value();
    storm around(seed);
    around.add("even", 2,
               [&](long number) { return process(take_turns, even, odd, seen.path(), 0, number); });
    around.add("odd", 2,
               [&](long number) { return process(take_turns, odd, even, seen.path(), 1, number); });
    for (long left = bursts(); left > 0; --left) {
        co_await around.rage(burst);
        co_await check_turns_are_taken(even, odd, *seen);
    }
    WARN("kills survived: " << around.kills() << ", turns taken: " << seen->turn
                            << ", told of a death: " << seen->told);
    CHECK(around.failures() == 0);
    CHECK(around.kills("even") > 0);
    CHECK(around.kills("odd") > 0);
    CHECK(seen->told <= around.kills());
    CHECK(seen->violations == 0);
    steady_even.kill().value();
    steady_odd.kill().value();
    (co_await steady_even.join()).value();
    (co_await steady_odd.join()).value();
}

CO_TEST_CASE("barrier: in a storm of kills all or none pass, and it can always be reset",
             "[barrier][process][long]") {
    const auto seed = coproc::testing::storm_seed();
    CAPTURE(seed);
    const auto b = barrier::create(3).value();
    const shared_board<lobby> seen;
    storm around(seed);
    for (std::size_t place = 0; place < 3; ++place) {
        around.add("party " + std::to_string(place), 1, [&, place](long number) {
            return process(meet, b, seen.path(), place, number);
        });
    }
    for (long left = bursts(); left > 0; --left) {
        co_await around.rage(burst);
        co_await check_as_new(b);
    }
    const auto [fewest, most] = std::ranges::minmax(
        {seen->passed[0].load(), seen->passed[1].load(), seen->passed[2].load()});
    WARN("kills survived: " << around.kills() << ", rounds: " << most);
    CHECK(around.failures() == 0);
    CHECK(around.kills() > 0);
    CHECK(fewest > 0);
    // Who passes counts it, unless he is killed before.
    CHECK(most - fewest <= around.kills());
    CHECK(seen->violations == 0);
}
