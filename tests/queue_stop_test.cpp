// A process that is stopped at any instruction of what it does to a queue, a lock, or anything else
// that is shared: the loops of the others go on meanwhile, and what they wait for comes when it
// goes on.

#include <coproc/barrier.hpp>
#include <coproc/condition.hpp>
#include <coproc/joinable_queue.hpp>
#include <coproc/lock.hpp>
#include <coproc/queue.hpp>
#include <coproc/recursive_lock.hpp>
#include <coproc/runtime.hpp>
#include <coproc/semaphore.hpp>
#include <coproc/shared_value.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_all.hpp>

#include "support/co_test.hpp"
#include "support/processes.hpp"
#include "support/scene.hpp"
#include "support/stepped.hpp"

#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using coproc::barrier;
using coproc::condition;
using coproc::errc;
using coproc::joinable_queue;
using coproc::lock;
using coproc::queue;
using coproc::recursive_lock;
using coproc::result;
using coproc::runtime;
using coproc::semaphore;
using coproc::shared_value;
using coproc::task;
using coproc::testing::eventually;
using coproc::testing::moment;
using coproc::testing::stepped;

namespace {

const std::string small_text(20, 's');
const std::string large_text(30'000, 'l');
const std::vector<std::string> three_texts{small_text, large_text, small_text};
using numbers = std::array<long, 20>;

/// What is shared, made anew for each stop.
struct things {
    things() {
        for (const std::string& one : three_texts) {
            messages.try_put(one).value();
            jobs.try_put(one).value();
        }
    }
    queue<std::string> messages = queue<std::string>::create().value();
    joinable_queue<std::string> jobs = joinable_queue<std::string>::create().value();
    lock door = lock::create().value();
    recursive_lock gate = recursive_lock::create().value();
    semaphore places = semaphore::create(1).value();
    condition news = condition::create().value();
    barrier meeting = barrier::create(2).value();
    shared_value<numbers> board = shared_value<numbers>::create().value();
};

/// What the other process is stopped in, and what this one does meanwhile: both come to an end, in
/// whatever order their parts are done.
struct scene {
    const char* name;
    task<void> (*theirs)(things& with);
    task<result<void>> (*ours)(things& with);
};

task<result<void>> put_and_get(things& with) {
    COPROC_CO_TRY(co_await with.messages.put(small_text));
    COPROC_CO_TRY(co_await with.messages.put(large_text));
    COPROC_CO_TRY(co_await with.messages.get());
    co_return coproc::success();
}
task<result<void>> put_and_get_many(things& with) {
    COPROC_CO_TRY(co_await with.messages.put_all(three_texts));
    COPROC_CO_TRY(co_await with.messages.get_some(2));
    co_return coproc::success();
}
task<result<void>> work(things& with) {
    COPROC_CO_TRY(auto job, co_await with.jobs.lease());
    co_return job.done();
}
task<result<void>> put_and_work(things& with) {
    COPROC_CO_TRY(co_await with.jobs.put(small_text));
    co_return co_await work(with);
}
task<result<void>> work_until_closed(things& with) {
    const auto put = co_await with.jobs.put(small_text);
    if (!put && put.error() != errc::closed) co_return put.error();
    co_return co_await work(with);
}
task<result<void>> go_through(things& with) {
    COPROC_CO_TRY(auto held, co_await with.door.acquire());
    co_return held.release();
}
task<result<void>> go_through_twice(things& with) {
    COPROC_CO_TRY(auto held, co_await with.gate.acquire());
    auto again = held.again();
    COPROC_CO_TRY(held.release());
    co_return again.release();
}
task<result<void>> take_place(things& with) {
    COPROC_CO_TRY(auto held, co_await with.places.acquire());
    co_return held.release();
}
task<result<void>> hear_news(things& with) {
    COPROC_CO_TRY(auto held, co_await with.news.acquire());
    COPROC_CO_TRY(co_await with.news.wait(held));
    co_return held.release();
}
task<result<void>> tell_news(things& with) {
    COPROC_CO_TRY(auto held, co_await with.news.acquire());
    COPROC_CO_TRY(with.news.notify());
    co_return held.release();
}
/// Whoever tells comes after his own listener: if that one has been told already, somebody else's
/// has not.
task<result<void>> hear_and_tell(things& with) {
    const auto [heard, told] = co_await coproc::when_all(hear_news(with), tell_news(with));
    COPROC_CO_TRY(heard);
    co_return told;
}
task<result<void>> meet(things& with) {
    const auto [one, other] = co_await coproc::when_all(with.meeting.wait(), with.meeting.wait());
    COPROC_CO_TRY(one);
    COPROC_CO_TRY(other);
    co_return coproc::success();
}
task<result<void>> write_and_read(things& with) {
    COPROC_CO_TRY(co_await with.board.store(numbers{}));
    const auto count = [](const numbers& now) {
        numbers more = now;
        ++more.back();
        return more;
    };
    COPROC_CO_TRY(co_await with.board.update(count));
    CHECK(with.board.load().front() == 0);
    co_return coproc::success();
}

template <task<result<void>> (*What)(things&)>
task<void> also(things& with) {
    const auto done = co_await What(with);
    done.value();
}

const scene scenes[] = {
    {"put",
     [](things& with) -> task<void> {
         with.messages.try_put(small_text).value();
         co_return;
     },
     put_and_get},
    {"put of a large message",
     [](things& with) -> task<void> {
         with.messages.try_put(large_text).value();
         co_return;
     },
     put_and_get},
    {"put of many",
     [](things& with) -> task<void> { (co_await with.messages.put_all(three_texts)).value(); },
     put_and_get_many},
    {"get",
     [](things& with) -> task<void> {
         with.messages.try_get().value();
         co_return;
     },
     put_and_get},
    {"get of a large message",
     [](things& with) -> task<void> {
         with.messages.try_get().value();
         with.messages.try_get().value();
         co_return;
     },
     put_and_get},
    {"get of many",
     [](things& with) -> task<void> { (co_await with.messages.get_some(3)).value(); },
     put_and_get_many},
    {"lease and done",
     [](things& with) -> task<void> {
         with.jobs.try_get().value();
         with.jobs.task_done().value();
         co_return;
     },
     put_and_work},
    {"work and join",
     [](things& with) -> task<void> {
         for (std::size_t i = 0; i < three_texts.size(); ++i) (co_await work(with)).value();
         (co_await with.jobs.join()).value();
     },
     put_and_work},
    {"close",
     [](things& with) -> task<void> {
         with.jobs.close().value();
         co_return;
     },
     work_until_closed},
    {"acquire and release a lock",
     [](things& with) -> task<void> {
         with.door.try_acquire().value().release().value();
         co_return;
     },
     go_through},
    {"acquire a lock twice", also<go_through_twice>, go_through_twice},
    {"acquire and release a semaphore",
     [](things& with) -> task<void> {
         with.places.try_acquire().value().release().value();
         co_return;
     },
     take_place},
    {"wait for a condition and notify it", also<hear_and_tell>, hear_and_tell},
    {"meet at a barrier", also<meet>, meet},
    {"store and update a value", also<write_and_read>, write_and_read},
};

/// For how long this thread could have run, but had no CPU: that is the machine's doing. What it
/// runs is not, be it in vain.
std::chrono::nanoseconds waited_for_cpu() {
    long ran = 0;
    long waited = 0;
    std::ifstream("/proc/thread-self/schedstat") >> ran >> waited;
    return std::chrono::nanoseconds(waited);
}

/// What became of a stop.
struct outcome {
    bool is_stopped = false;  ///< it may have gone another way this time
    bool is_late = false;     ///< a tick, by more than 5 ms
    bool is_pending = false;  ///< what we did had to wait for the other one to go on
};

/// Begins what we do, and ticks beside it.
task<coproc::spawned<result<void>>> begin_and_tick(task<result<void>> what, outcome& seen) {
    const auto rt = co_await coproc::current_runtime();
    coproc::spawned<result<void>> ours;
    for (int i = 0; i < 8; ++i) {
        const auto due = coproc::clock::now() + 1ms;
        const auto before = waited_for_cpu();
        if (i == 0) ours = rt.spawn(std::move(what));
        (co_await coproc::sleep_until(due)).value();
        const auto busy = waited_for_cpu() - before;
        seen.is_late = seen.is_late || coproc::clock::now() - due - busy > 5ms;
    }
    co_return ours;
}

task<void> see_the_end(const coproc::spawned<result<void>>& ours, stepped& other, bool is_stopped) {
    const auto end = co_await coproc::timeout(10s, ours);
    CHECK(end.has_value());
    std::optional<int> status;
    if (!is_stopped) co_return;
    const bool has_ended =
        co_await eventually([&] { return (status = other.ended()).has_value(); });
    CHECK(has_ended);
    CHECK(status == 0);
}

/// Stops the other process there, and lets it go on when this loop has ticked.
outcome stop_at(runtime& home, const scene& what, const std::optional<moment>& there) {
    things with;
    stepped other([&] { coproc::testing::live_as_victim([&] { return what.theirs(with); }); });
    other.run_to_mark();
    outcome seen{.is_stopped = !there || other.run_to(*there)};
    const auto ours = home.run(begin_and_tick(what.ours(with), seen));
    seen.is_pending = !ours.done();
    if (seen.is_stopped) other.go_on();
    home.run(see_the_end(ours, other, seen.is_stopped));
    return seen;
}

std::vector<moment> stops(const scene& what) {
    things with;
    const long count = std::getenv("COPROC_TEST_LONG") != nullptr ? 500 : 20;
    return coproc::testing::moments_from_mark(
        count, [&] { coproc::testing::live_as_victim([&] { return what.theirs(with); }); });
}

/// A loop that is held up by the other one is late each time, a machine that is busy is not.
bool is_on_time(runtime& home, const scene& what, const moment& there, int& pending) {
    bool was_late = false;
    for (int tries = 4; tries > 0; --tries) {
        const outcome seen = stop_at(home, what, there);
        pending += seen.is_pending ? 1 : 0;
        if (!seen.is_late && (seen.is_stopped || !was_late)) return true;
        was_late = true;
    }
    return false;
}

}  // namespace

TEST_CASE("queue: a process stopped at any instruction does not hold up another one's loop",
          "[queue][lock][semaphore][condition][barrier][process][serial][long]") {
    const coproc::testing::leak_check leaks;
    {
        auto home = runtime::create().value();
        int pending = 0;
        for (const scene& what : scenes) {
            CAPTURE(what.name);
            CHECK_FALSE(stop_at(home, what, std::nullopt).is_pending);  // not begun yet
            for (const moment& there : stops(what)) {
                CHECK(is_on_time(home, what, there, pending));
            }
        }
        CHECK(pending > 0);
        home.run(home.shutdown()).value();
    }
    leaks.done();
}
