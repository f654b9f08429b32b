#include <coproc/detail/wait_list.hpp>
#include <coproc/offload.hpp>
#include <coproc/readiness.hpp>
#include <coproc/runtime.hpp>
#include <coproc/shield.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"
#include "words/system.hpp"

#include <sys/resource.h>
#include <uv.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <latch>
#include <memory>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::result;
using coproc::runtime;
using coproc::task;
using coproc::detail::wait_list;

namespace {

task<result<void>> for_ever() { co_return co_await coproc::sleep_for(24h); }
task<int> answer() { co_return 42; }

task<int> after_a_turn(int value) {
    (co_await coproc::yield()).value();
    co_return value;
}

task<int> refuse() {
    (co_await coproc::yield()).value();
    throw std::runtime_error("refused");
}

/// A libuv loop that belongs to somebody else.
class host {
 public:
    host() { uv_loop_init(&loop_); }
    host(const host&) = delete;
    host& operator=(const host&) = delete;
    /// Closes clean, or fails the test.
    ~host() {
        uv_run(&loop_, UV_RUN_DEFAULT);
        CHECK(uv_loop_close(&loop_) == 0);
    }
    uv_loop_t* loop() noexcept { return &loop_; }

 private:
    uv_loop_t loop_;
};

long voluntary_switches_of_this_thread() {
    ::rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
}

int refuse_loops(const char* call) noexcept {
    return std::strcmp(call, "uv_loop_init") == 0 ? EMFILE : 0;
}

}  // namespace

// -- run and spawn

TEST_CASE("runtime: run gives what the task returns, and rethrows what it throws", "[runtime]") {
    auto rt = runtime::create().value();
    CHECK(rt.run(answer()) == 42);
    CHECK(rt.run(after_a_turn(1)) == 1);
    CHECK_THROWS_AS(rt.run(refuse()), std::runtime_error);
    CHECK(*rt.run([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); }()) ==
          3);
}

TEST_CASE("runtime: that the system refuses one is a result", "[runtime]") {
    coproc::system::set_fault_hook(&refuse_loops);
    const auto refused = runtime::create();
    coproc::system::set_fault_hook(nullptr);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == std::errc::too_many_files_open);
}

CO_TEST_CASE("runtime: a spawned task begins after the spawner has waited", "[runtime]") {
    std::string order;
    const auto say = [&]() -> task<void> {
        order += "spawned ";
        co_return;
    };
    const auto rt = co_await coproc::current_runtime();
    const auto handle = rt.spawn(say());
    order += "spawner ";
    CHECK_FALSE(handle.done());
    (co_await handle).value();
    CHECK(handle.done());
    CHECK(order == "spawner spawned ");
}

CO_TEST_CASE("runtime: joining gives value, result or exception", "[runtime]") {
    const auto rt = co_await coproc::current_runtime();
    const auto number = rt.spawn(answer());
    const auto failed = rt.spawn([]() -> task<result<int>> { co_return errc::closed; }());
    const auto thrown = rt.spawn(refuse());
    const auto joined = co_await number;
    const auto flat = co_await failed;
    static_assert(std::is_same_v<decltype(flat), const result<int>>);
    std::string what;
    try {
        const auto never = co_await thrown;
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(joined.value() == 42);
    CHECK(flat.error() == errc::closed);
    CHECK(what == "refused");
}

CO_TEST_CASE("runtime: canceling a handle cancels the task, canceling the join does not",
             "[runtime]") {
    wait_list go;
    const auto rt = co_await coproc::current_runtime();
    const auto wait = [&]() -> task<result<void>> { co_return co_await go.wait(); };
    auto first = rt.spawn(wait());
    const auto second = rt.spawn(wait());
    (co_await coproc::yield()).value();
    first.cancel();
    const auto canceled = co_await first;
    const auto gave_up = co_await coproc::timeout(1ms, second);
    CHECK_FALSE(second.done());
    go.wake_one();
    const auto woken = co_await second;
    CHECK(canceled.error() == errc::canceled);
    CHECK(gave_up.error() == errc::timed_out);
    CHECK(woken.has_value());
}

CO_TEST_CASE("runtime: dropping a handle leaves the task running", "[runtime]") {
    wait_list go;
    wait_list ended;
    const auto rt = co_await coproc::current_runtime();
    const auto wait = [&]() -> task<void> {
        (co_await go.wait()).value();
        ended.open();
    };
    { const auto dropped = rt.spawn(wait()); }
    (co_await coproc::yield()).value();
    go.open();
    const auto waited = co_await ended.wait();
    CHECK(waited.has_value());
}

CO_TEST_CASE("runtime: an empty handle is done, and may be canceled", "[runtime]") {
    coproc::spawned<int> nothing;
    nothing.cancel();
    CHECK(nothing.done());
    co_return;
}

CO_TEST_CASE("runtime: yielding lets all that is ready run first", "[runtime]") {
    std::string order;
    const auto say = [&](char name) -> task<void> {
        for (int i = 0; i < 3; ++i) {
            order += name;
            (co_await coproc::yield()).value();
        }
    };
    const auto rt = co_await coproc::current_runtime();
    const auto first = rt.spawn(say('a'));
    const auto second = rt.spawn(say('b'));
    (co_await first).value();
    (co_await second).value();
    CHECK(order == "ababab");
}

CO_TEST_CASE("runtime: a task that yields for ever starves neither timers nor fds", "[runtime]") {
    const auto ends = coproc::system::socket_pair().value();
    bool stop = false;
    const auto spin = [&]() -> task<void> {
        while (!stop) (co_await coproc::yield()).value();
    };
    const auto rt = co_await coproc::current_runtime();
    const auto spinning = rt.spawn(spin());
    const auto slept = co_await coproc::sleep_for(1ms);
    const auto writable = co_await coproc::wait_writable(ends[0].get());
    stop = true;
    (co_await spinning).value();
    CHECK(slept.has_value());
    CHECK(writable.has_value());
}

// -- shutdown

CO_TEST_CASE("runtime: shutdown cancels all other tasks and waits for them", "[runtime]") {
    int ended = 0;
    const auto rt = co_await coproc::current_runtime();
    const auto wait = [&]() -> task<void> {
        const auto slept = co_await for_ever();
        if (slept.error() == errc::canceled) ++ended;
        // What is shielded may still take its time.
        (co_await coproc::shield(coproc::sleep_for(1ms))).value();
        ++ended;
    };
    std::vector<coproc::spawned<void>> tasks;
    for (int i = 0; i < 10; ++i) tasks.push_back(rt.spawn(wait()));
    (co_await coproc::yield()).value();
    const auto down = co_await rt.shutdown();
    CHECK(down.has_value());
    CHECK(ended == 20);
    const auto alone = co_await rt.shutdown();
    CHECK(alone.has_value());
}

CO_TEST_CASE("runtime: shutdown also ends what the ending tasks spawn, and what never began",
             "[runtime]") {
    int ended = 0;
    const auto rt = co_await coproc::current_runtime();
    const auto late = [&]() -> task<void> {
        const auto slept = co_await for_ever();
        ended += slept ? 100 : 1;
    };
    const auto early = [&]() -> task<void> {
        const auto slept = co_await for_ever();
        const auto spawned = rt.spawn(late());
        ended += slept ? 100 : 1;
    };
    const auto first = rt.spawn(early());
    const auto second = rt.spawn(early());
    (co_await rt.shutdown()).value();
    CHECK(ended == 4);
}

CO_TEST_CASE("runtime: two tasks that shut down at once end the others, and not each other",
             "[runtime]") {
    int ended = 0;
    const auto rt = co_await coproc::current_runtime();
    const auto wait = [&]() -> task<void> {
        const auto slept = co_await for_ever();
        if (slept.error() == errc::canceled) ++ended;
    };
    const auto shut_down = [&]() -> task<int> {
        (co_await rt.shutdown()).value();
        co_return ended;
    };
    const auto waiting = rt.spawn(wait());
    const auto other = rt.spawn(shut_down());
    (co_await coproc::yield()).value();
    const int seen_here = co_await shut_down();
    const auto seen_there = co_await other;
    CHECK(seen_here == 1);
    CHECK(seen_there.value() == 1);
}

// -- other threads

CO_TEST_CASE("runtime: what four threads post arrives complete, and in each thread's order",
             "[runtime]") {
    constexpr int count = 25'000;
    const auto rt = co_await coproc::current_runtime();
    const auto here = std::this_thread::get_id();
    std::array<int, 4> next{};
    int wrong = 0;
    int left = 4 * count;
    wait_list all;
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < next.size(); ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < count; ++i) {
                rt.post([&, t, i] {
                    if (std::this_thread::get_id() != here || next[t]++ != i) ++wrong;
                    if (--left == 0) all.open();
                });
            }
        });
    }
    const auto arrived = co_await all.wait();
    CHECK(arrived.has_value());
    CHECK(wrong == 0);
}

CO_TEST_CASE("runtime: a post wakes an idle loop", "[runtime]") {
    wait_list woken;
    const auto rt = co_await coproc::current_runtime();
    std::jthread poster([&] { rt.post([&] { woken.open(); }); });
    const auto waited = co_await woken.wait();
    CHECK(waited.has_value());
}

TEST_CASE("runtime: several live in several threads", "[runtime]") {
    const coproc::testing::leak_check leaks;
    std::array<long, 4> sums{};
    // None ends before all have begun. Without that, ThreadSanitizer sees a race when a thread gets
    // the number of an fd that another has closed: libuv closes by syscall(), which it does not
    // see.
    std::latch all_made(4);
    {
        std::vector<std::jthread> threads;
        for (long& sum : sums) {
            threads.emplace_back([&sum, &all_made] {
                const auto work = [](long& into) -> task<void> {
                    for (int i = 0; i < 1000; ++i) into += co_await after_a_turn(i);
                    (co_await coproc::sleep_for(1ms)).value();
                    into += (co_await coproc::offload([] { return 1; })).value();
                };
                auto rt = runtime::create().value();
                all_made.arrive_and_wait();
                rt.run(work(sum));
            });
        }
    }
    for (const long sum : sums) CHECK(sum == 499'501);
    leaks.done();
}

TEST_CASE("runtime: two runtimes talk by posting to each other", "[runtime]") {
    constexpr int rounds = 1000;
    auto here = runtime::create().value();
    auto there = runtime::create().value();
    int bounced = 0;
    const auto play = [&](coproc::runtime_ref other) -> task<void> {
        const auto mine = co_await coproc::current_runtime();
        for (int i = 0; i < rounds; ++i) {
            wait_list back;
            other.post([&] {
                ++bounced;
                mine.post([&] { back.open(); });
            });
            (co_await back.wait()).value();
        }
    };
    wait_list stop;
    const auto listen = [&]() -> task<void> { (co_await stop.wait()).value(); };
    std::jthread thread([&] { there.run(listen()); });
    here.run(play(there));
    there.post([&] { stop.open(); });
    thread.join();
    CHECK(bounced == rounds);
}

// -- a guest

TEST_CASE("runtime: a guest's tasks run with the host's own handles in one uv_run", "[runtime]") {
    const coproc::testing::leak_check leaks;
    {
        host h;
        auto rt = runtime::create(h.loop()).value();
        CHECK(rt.uv_loop() == h.loop());
        int ticks = 0;
        uv_timer_t timer;
        uv_timer_init(h.loop(), &timer);
        timer.data = &ticks;
        uv_timer_start(
            &timer,
            [](uv_timer_t* self) {
                if (++*static_cast<int*>(self->data) < 3) return;
                uv_close(reinterpret_cast<uv_handle_t*>(self), nullptr);
            },
            1, 1);
        const auto guest = rt.spawn([]() -> task<int> {
            (co_await coproc::sleep_for(1ms)).value();
            co_return co_await after_a_turn(5);
        }());
        uv_run(h.loop(), UV_RUN_DEFAULT);
        CHECK(ticks == 3);
        CHECK(guest.done());
    }
    leaks.done();
}

TEST_CASE("runtime: an idle guest does not keep uv_run alive, a waiting task does", "[runtime]") {
    host h;
    auto rt = runtime::create(h.loop()).value();
    CHECK(uv_run(h.loop(), UV_RUN_DEFAULT) == 0);
    CHECK_FALSE(uv_loop_alive(h.loop()));

    auto waiting = rt.spawn(for_ever());
    CHECK(uv_run(h.loop(), UV_RUN_NOWAIT) != 0);
    CHECK_FALSE(waiting.done());
    waiting.cancel();
    CHECK(uv_run(h.loop(), UV_RUN_DEFAULT) == 0);
    CHECK(waiting.done());
    CHECK(uv_run(h.loop(), UV_RUN_DEFAULT) == 0);
}

TEST_CASE("runtime: a host's callback may spawn, wake and cancel", "[runtime]") {
    host h;
    auto rt = runtime::create(h.loop()).value();
    struct context {
        runtime* rt;
        wait_list woken;
        coproc::spawned<result<void>> waiting;
        coproc::spawned<result<void>> canceled;
        coproc::spawned<int> spawned;
    } c{&rt, {}, {}, {}, {}};
    c.waiting = rt.spawn(
        [](wait_list& list) -> task<result<void>> { co_return co_await list.wait(); }(c.woken));
    c.canceled = rt.spawn(for_ever());
    uv_run(h.loop(), UV_RUN_NOWAIT);  // both wait
    uv_timer_t timer;
    uv_timer_init(h.loop(), &timer);
    timer.data = &c;
    uv_timer_start(
        &timer,
        [](uv_timer_t* self) {
            auto& seen = *static_cast<context*>(self->data);
            seen.spawned = seen.rt->spawn(answer());
            seen.woken.wake_one();
            seen.canceled.cancel();
            uv_close(reinterpret_cast<uv_handle_t*>(self), nullptr);
        },
        1, 0);
    CHECK(uv_run(h.loop(), UV_RUN_DEFAULT) == 0);
    CHECK(c.waiting.done());
    CHECK(c.canceled.done());
    CHECK(c.spawned.done());
}

TEST_CASE("runtime: run also works on a host's loop", "[runtime]") {
    host h;
    auto rt = runtime::create(h.loop()).value();
    CHECK(rt.run(after_a_turn(1)) == 1);
}

TEST_CASE("runtime: two guests share one loop", "[runtime]") {
    host h;
    auto first = runtime::create(h.loop()).value();
    auto second = runtime::create(h.loop()).value();
    const auto a = first.spawn(after_a_turn(1));
    const auto b = second.spawn(after_a_turn(2));
    uv_run(h.loop(), UV_RUN_DEFAULT);
    CHECK(a.done());
    CHECK(b.done());
}

TEST_CASE("runtime: a guest that watches an fd which the host watches is told so", "[runtime]") {
    host h;
    auto rt = runtime::create(h.loop()).value();
    const auto ends = coproc::system::socket_pair().value();
    uv_poll_t poll;
    REQUIRE(uv_poll_init(h.loop(), &poll, ends[0].get()) == 0);
    uv_poll_start(&poll, UV_READABLE, [](uv_poll_t*, int, int) {});
    const auto refused = rt.run(coproc::wait_readable(ends[0].get()));
    CHECK(refused.error() == std::errc::file_exists);
    uv_close(reinterpret_cast<uv_handle_t*>(&poll), nullptr);
    uv_run(h.loop(), UV_RUN_DEFAULT);
}

// -- idleness

namespace {

/// How often a thread that has nothing to do for two seconds goes to sleep.
long switches_of_an_idle_thread() {
    const auto ends = coproc::system::socket_pair().value();
    std::binary_semaphore waiting(0);
    long switches = -1;
    const auto wait = [&]() -> task<void> {
        const auto rt = co_await coproc::current_runtime();
        // All kinds of waits, and one of each before, so that nothing is done for the first time.
        (co_await coproc::sleep_for(1ms)).value();
        (co_await coproc::offload([] {})).value();
        auto timer = rt.spawn(for_ever());
        wait_list never;
        auto list = rt.spawn(
            [](wait_list& l) -> task<result<void>> { co_return co_await l.wait(); }(never));
        (co_await coproc::yield()).value();
        const long before = voluntary_switches_of_this_thread();
        waiting.release();
        (co_await coproc::wait_readable(ends[0].get())).value();
        switches = voluntary_switches_of_this_thread() - before;
        (co_await rt.shutdown()).value();
    };
    std::jthread thread([&] {
        auto rt = runtime::create().value();
        rt.run(wait());
    });
    waiting.acquire();
    std::this_thread::sleep_for(2s);
    const std::array<std::byte, 1> byte{};
    coproc::system::write(ends[1].get(), byte).value();
    thread.join();
    return switches;
}

}  // namespace

TEST_CASE("runtime: an idle one does not wake up once in two seconds", "[runtime][serial]") {
    // Going to sleep is the one switch; waking up is the end of the wait. A page that has to be
    // read from the disk is one as well, but not three times.
    long switches = switches_of_an_idle_thread();
    for (int again = 0; switches != 1 && again < 2; ++again) {
        switches = switches_of_an_idle_thread();
    }
    CHECK(switches == 1);
}
