// A process that is stopped at any instruction of what it does to a queue, lock or semaphore: the
// loops of the others go on meanwhile, and what they wait for comes when it goes on.

#include <coproc/joinable_queue.hpp>
#include <coproc/lock.hpp>
#include <coproc/queue.hpp>
#include <coproc/runtime.hpp>
#include <coproc/semaphore.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"
#include "support/stepped.hpp"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using coproc::joinable_queue;
using coproc::lock;
using coproc::queue;
using coproc::result;
using coproc::runtime;
using coproc::semaphore;
using coproc::task;
using coproc::testing::moment;
using coproc::testing::stepped;

namespace {

const std::string small_text(20, 's');
const std::string large_text(30'000, 'l');

/// What is shared, made anew for each stop.
struct things {
    things() {
        for (const std::string& one : {small_text, large_text, small_text}) {
            messages.try_put(one).value();
            jobs.try_put(one).value();
        }
    }
    queue<std::string> messages = queue<std::string>::create().value();
    joinable_queue<std::string> jobs = joinable_queue<std::string>::create().value();
    lock door = lock::create().value();
    semaphore places = semaphore::create(1).value();
};

/// What the other process is stopped in, and what this one does meanwhile.
struct scene {
    const char* name;
    void (*theirs)(things& with);
    task<result<void>> (*ours)(things& with);
};

task<result<void>> put_and_get(things& with) {
    COPROC_CO_TRY(co_await with.messages.put(small_text));
    COPROC_CO_TRY(co_await with.messages.put(large_text));
    COPROC_CO_TRY(co_await with.messages.get());
    co_return coproc::success();
}
task<result<void>> put_and_work(things& with) {
    COPROC_CO_TRY(co_await with.jobs.put(small_text));
    COPROC_CO_TRY(auto job, co_await with.jobs.lease());
    co_return job.done();
}
task<result<void>> go_through(things& with) {
    COPROC_CO_TRY(auto held, co_await with.door.acquire());
    co_return held.release();
}
task<result<void>> take_place(things& with) {
    COPROC_CO_TRY(auto held, co_await with.places.acquire());
    co_return held.release();
}

const scene scenes[] = {
    {"put", [](things& with) { with.messages.try_put(small_text).value(); }, put_and_get},
    {"put of a large message", [](things& with) { with.messages.try_put(large_text).value(); },
     put_and_get},
    {"get", [](things& with) { with.messages.try_get().value(); }, put_and_get},
    {"get of a large message",
     [](things& with) {
         with.messages.try_get().value();
         with.messages.try_get().value();
     },
     put_and_get},
    {"lease and done",
     [](things& with) {
         with.jobs.try_get().value();
         with.jobs.task_done().value();
     },
     put_and_work},
    {"acquire and release a lock",
     [](things& with) { with.door.try_acquire().value().release().value(); }, go_through},
    {"acquire and release a semaphore",
     [](things& with) { with.places.try_acquire().value().release().value(); }, take_place},
};

/// How long this thread has run, or could have run if the machine had not been busy: that holds up
/// nobody but a busy machine.
std::chrono::nanoseconds runnable() {
    long ran = 0;
    long waited = 0;
    std::ifstream("/proc/thread-self/schedstat") >> ran >> waited;
    return std::chrono::nanoseconds(ran + waited);
}

/// How many of some ticks come more than 5 ms too late, with nothing to do meanwhile.
task<int> late_ticks() {
    int late = 0;
    for (int i = 0; i < 8; ++i) {
        const auto due = coproc::clock::now() + 1ms;
        const auto before = runnable();
        (co_await coproc::sleep_for(1ms)).value();
        const auto idle = coproc::clock::now() - due - (runnable() - before);
        late += idle > 5ms ? 1 : 0;
    }
    co_return late;
}

struct outcome {
    int late = 0;     ///< ticks
    int pending = 0;  ///< what we did had to wait for the other one to go on
};

/// Stops the other process there, and lets it go on when this loop has ticked.
outcome stop_at(runtime& home, const scene& what, const std::optional<moment>& there) {
    things with;
    stepped other([&] { what.theirs(with); });
    const bool is_stopped =
        !there || other.run_to(*there);  // it may have gone another way this time
    const auto ours = home.spawn(what.ours(with));
    const outcome seen{home.run(late_ticks()), ours.done() ? 0 : 1};
    if (is_stopped) CHECK(other.finish());
    const auto end = [&]() -> task<result<void>> { co_return co_await coproc::timeout(10s, ours); };
    CHECK(home.run(end()).has_value());
    return seen;
}

std::vector<moment> stops(const scene& what) {
    things with;
    const auto all = coproc::testing::moments(1, [&] { what.theirs(with); });
    const std::size_t count = std::getenv("COPROC_TEST_LONG") != nullptr ? 500 : 20;
    std::vector<moment> chosen;
    for (std::size_t i = 0; i < all.size(); i += all.size() / count + 1) chosen.push_back(all[i]);
    return chosen;
}

}  // namespace

TEST_CASE("queue: a process stopped at any instruction does not hold up another one's loop",
          "[queue][lock][semaphore][process][serial][long]") {
    const coproc::testing::leak_check leaks;
    {
        auto home = runtime::create().value();
        int pending = 0;
        for (const scene& what : scenes) {
            CAPTURE(what.name);
            const auto chosen = stops(what);
            int late_inside = 0;
            int late_outside = 0;
            for (const moment& there : chosen) {
                const outcome inside = stop_at(home, what, there);
                const outcome outside = stop_at(home, what, std::nullopt);  // not begun yet
                late_inside += inside.late;
                late_outside += outside.late;
                pending += inside.pending;
                CHECK(outside.pending == 0);
            }
            // About as often as with one that is stopped in nothing: it may be a virtual machine.
            CHECK(late_inside <= late_outside + static_cast<int>(chosen.size()) / 5);
        }
        CHECK(pending > 0);
        home.run(home.shutdown()).value();
    }
    leaks.done();
}
