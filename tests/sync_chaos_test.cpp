// Locks and semaphores whose owners are killed at random, all the time.

#include <coproc/lock.hpp>
#include <coproc/process.hpp>
#include <coproc/runtime.hpp>
#include <coproc/semaphore.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"
#include "support/processes.hpp"
#include "support/shared_board.hpp"
#include "support/storm.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <random>
#include <string>
#include <utility>

using namespace std::chrono_literals;
using coproc::lock;
using coproc::process;
using coproc::semaphore;
using coproc::task;
using coproc::testing::eventually;
using coproc::testing::is_running;
using coproc::testing::shared_board;
using coproc::testing::storm;

namespace {

constexpr std::size_t permits = 3;

/// What the children see.
struct board {
    std::array<std::atomic<long>, permits> inside;
    std::atomic<long> entered;
    std::atomic<long> told;
    std::atomic<long> violations;
};

task<void> stay(std::mt19937& random) {
    if (random() % 8 == 0) {
        (co_await coproc::sleep_for(std::chrono::microseconds(random() % 300))).value();
    }
}

/// Finds nobody inside, unless it is told that somebody has died there.
task<void> lock_and_unlock(lock l, std::string path, long me) {
    const shared_board<board> seen(path);
    std::mt19937 random(static_cast<unsigned>(me));
    for (;;) {
        const auto patience =
            std::chrono::microseconds(random() % 4 == 0 ? random() % 300 : 9'000'000);
        auto got = co_await coproc::timeout(patience, l.acquire());
        if (!got && got.error() == coproc::errc::timed_out) continue;
        auto& mine = got.value();
        ++seen->entered;
        if (mine.owner_died()) ++seen->told;
        if (seen->inside[0].exchange(me) != 0 && !mine.owner_died()) ++seen->violations;
        co_await stay(random);
        if (seen->inside[0].exchange(0) != me) ++seen->violations;
        mine.release().value();
    }
}

::pid_t pid_of(long mark) { return static_cast<::pid_t>(mark >> 32); }

/// A place for one more, or that of somebody who is dead; none if all are taken by others, at one
/// moment.
std::atomic<long>* entered(board& seen, long mark) {
    for (std::array<long, permits> last{};;) {
        std::array<long, permits> now{};
        for (std::size_t i = 0; i < permits; ++i) {
            now[i] = seen.inside[i];
            const bool is_free = now[i] == 0 || !is_running(pid_of(now[i]));
            if (is_free && seen.inside[i].compare_exchange_strong(now[i], mark)) {
                return &seen.inside[i];
            }
        }
        if (std::exchange(last, now) == now) return nullptr;
    }
}

task<void> take_and_give_back(semaphore s, std::string path, long number) {
    const shared_board<board> seen(path);
    std::mt19937 random(static_cast<unsigned>(number));
    for (long mark = static_cast<long>(::getpid()) << 32;;) {
        const auto patience =
            std::chrono::microseconds(random() % 4 == 0 ? random() % 300 : 9'000'000);
        auto got = co_await coproc::timeout(patience, s.acquire());
        if (!got && got.error() == coproc::errc::timed_out) continue;
        ++seen->entered;
        if (auto* const place = entered(*seen, ++mark)) {
            co_await stay(random);
            long expected = mark;
            if (!place->compare_exchange_strong(expected, 0)) ++seen->violations;
        } else {
            ++seen->violations;
        }
        got.value().release().value();
    }
}

}  // namespace

CO_TEST_CASE("lock: in a storm of kills nobody enters but the owner, and each death is told once",
             "[lock][process][long]") {
    const auto seed = coproc::testing::storm_seed();
    CAPTURE(seed);
    const auto l = lock::create().value();
    const shared_board<board> seen;
    storm around(seed);
    around.add("owner", 6,
               [&](long number) { return process(lock_and_unlock, l, seen.path(), number); });
    co_await around.rage();
    WARN("kills survived: " << around.kills() << ", acquired: " << seen->entered
                            << ", told of a death: " << seen->told);
    CHECK(around.failures() == 0);
    CHECK(around.kills() > 0);
    CHECK(seen->violations == 0);
    CHECK(seen->told <= around.kills());
    const bool is_free = co_await eventually([&] { return !l.is_locked(); });
    CHECK(is_free);
    // The last one who had it may have died with it.
    const bool last_died = seen->inside[0] != 0;
    const bool is_told = l.try_acquire().value().owner_died();
    CHECK((is_told || !last_died));
    CHECK_FALSE(l.try_acquire().value().owner_died());
}

CO_TEST_CASE("semaphore: in a storm of kills there are never more holders than permits",
             "[semaphore][process][long]") {
    const auto seed = coproc::testing::storm_seed();
    CAPTURE(seed);
    const auto s = semaphore::create(permits).value();
    const shared_board<board> seen;
    storm around(seed);
    around.add("holder", 6,
               [&](long number) { return process(take_and_give_back, s, seen.path(), number); });
    co_await around.rage();
    WARN("kills survived: " << around.kills() << ", acquired: " << seen->entered);
    CHECK(around.failures() == 0);
    CHECK(around.kills() > 0);
    CHECK(seen->violations == 0);
    const bool all_back = co_await eventually([&] { return s.value() == permits; });
    CHECK(all_back);
}
