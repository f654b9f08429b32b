// What does the engine add to a coroutine that is awaited, yields, is spawned, or sleeps?
//
// ready_await/CONTENDER: a task that does not wait. yield/CONTENDER: two yields, one of each of two
// coroutines that take turns. spawn_join/CONTENDER: a task of its own, and its end.
// sleep_none/CONTENDER: a sleep whose time has come. sleep_cancel/CONTENDER: a long sleep that is
// given up at once, by a second coroutine, which takes turns with the first. What tasks do
// together: engine_bench_compose.cpp. `bare` is the least that does it without cancellation,
// exceptions or libuv's turn: coroutines with pooled frames that start inline, an intrusive queue
// of handles, and uv_timer start and stop. `asio` is Boost.Asio's coroutines, in
// engine_bench_asio.cpp.

#include <coproc/runtime.hpp>
#include <coproc/scope.hpp>
#include <coproc/sleep.hpp>

#include "engine_cases.hpp"
#include "ratios.hpp"

#include <uv.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace {

using namespace coproc::bench;
using coproc::task;
using namespace std::chrono_literals;

// -- ready_await

[[gnu::noinline]] bare_task bare_ready(std::int64_t value) { co_return value; }
[[gnu::noinline]] task<std::int64_t> ready(std::int64_t value) { co_return value; }

bare_detached bare_awaits(benchmark::State& state) {
    std::int64_t sum = 0;
    for ([[maybe_unused]] auto _ : state) sum += co_await bare_ready(1);
    check(state, sum == state.iterations());
}

task<void> awaits(benchmark::State& state) {
    std::int64_t sum = 0;
    for ([[maybe_unused]] auto _ : state) sum += co_await ready(1);
    check(state, sum == state.iterations());
}

// -- yield

bare_detached bare_turns(benchmark::State& state, bool& stop) {
    for ([[maybe_unused]] auto _ : state) co_await bare_yield();
    stop = true;
}

bare_detached bare_other_turns(std::int64_t& turns, const bool& stop) {
    while (!stop) {
        co_await bare_yield();
        ++turns;
    }
}

task<void> turns(benchmark::State& state, bool& stop) {
    for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(co_await coproc::yield());
    stop = true;
}

task<void> other_turns(std::int64_t& count, const bool& stop) {
    while (!stop) {
        (co_await coproc::yield()).value();
        ++count;
    }
}

task<void> both_turns(benchmark::State& state) {
    bool stop = false;
    std::int64_t count = 0;
    const auto rt = co_await coproc::current_runtime();
    const auto other = rt.spawn(other_turns(count, stop));
    co_await turns(state, stop);
    (co_await other).value();
    check(state, count >= state.iterations() - 1);
}

// -- spawn_join

[[gnu::noinline]] bare_detached bare_child(std::int64_t& sum, bare_join& join) {
    ++sum;
    queue.push(*join.waiter);
    co_return;
}

bare_detached bare_spawns(benchmark::State& state) {
    std::int64_t sum = 0;
    for ([[maybe_unused]] auto _ : state) {
        bare_join join;
        bare_child(sum, join);
        co_await join;
    }
    check(state, sum == state.iterations());
}

task<void> spawns(benchmark::State& state) {
    std::int64_t sum = 0;
    const auto rt = co_await coproc::current_runtime();
    for ([[maybe_unused]] auto _ : state) {
        const auto child = rt.spawn(ready(1));
        auto joined = co_await child;
        sum += joined.value();
    }
    check(state, sum == state.iterations());
}

// -- sleep

task<void> sleeps_none(benchmark::State& state) {
    std::int64_t slept = 0;
    for ([[maybe_unused]] auto _ : state) {
        const auto done = co_await coproc::sleep_for(0ms);
        slept += done.has_value() ? 1 : 0;
    }
    check(state, slept == state.iterations());
}

task<coproc::result<void>> sleep_in(coproc::detail::cancel_scope& scope) {
    co_await coproc::detail::enter_scope(scope);
    co_return co_await coproc::sleep_for(1h);
}

task<void> cancels(coproc::detail::cancel_scope*& current, const bool& stop) {
    while (!stop) {
        (co_await coproc::yield()).value();
        if (current != nullptr) std::exchange(current, nullptr)->cancel();
    }
}

task<void> sleeps_and_cancels(benchmark::State& state) {
    bool stop = false;
    std::int64_t canceled = 0;
    coproc::detail::cancel_scope* current = nullptr;
    coproc::detail::cancel_scope& outer = co_await coproc::detail::current_scope();
    const auto rt = co_await coproc::current_runtime();
    const auto canceler = rt.spawn(cancels(current, stop));
    for ([[maybe_unused]] auto _ : state) {
        coproc::detail::cancel_scope scope(outer);
        current = &scope;
        const auto done = co_await sleep_in(scope);
        canceled += done.has_value() ? 0 : 1;
    }
    stop = true;
    (co_await canceler).value();
    check(state, canceled == state.iterations());
}

task<void> sleeps(std::chrono::milliseconds duration) {
    (void)co_await coproc::sleep_for(duration);
}

task<void> sleeps_and_cancels_among(benchmark::State& state) {
    const auto body = [&](coproc::scope& others) -> task<void> {
        for (std::int64_t i = 0; i < state.range(0); ++i) others.spawn(sleeps(other_sleep(i)));
        (co_await coproc::yield()).value();  // they sleep
        co_await sleeps_and_cancels(state);
        others.cancel();
    };
    (co_await coproc::with_scope(body)).value();
}

// -- the cases

void bare_both_turns(benchmark::State& state) {
    bool stop = false;
    std::int64_t count = 0;
    bare_turns(state, stop);
    bare_other_turns(count, stop);
    queue.drain();
    check(state, count >= state.iterations() - 1);
}

void bare_sleeps_none(benchmark::State& state) {
    uv_loop_t loop;
    uv_loop_init(&loop);
    uv_timer_t timer;
    uv_timer_init(&loop, &timer);
    std::int64_t fired = 0;
    timer.data = &fired;
    for ([[maybe_unused]] auto _ : state) {
        const auto on_time = [](uv_timer_t* self) { ++*static_cast<std::int64_t*>(self->data); };
        uv_timer_start(&timer, on_time, 0, 0);
        uv_run(&loop, UV_RUN_ONCE);
    }
    check(state, fired == state.iterations());
    uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    check(state, uv_loop_close(&loop) == 0);
}

void bare_sleeps_and_cancels(benchmark::State& state) {
    bare_timer timer;
    for ([[maybe_unused]] auto _ : state) {
        timer.start_for_an_hour();
        timer.stop();
    }
}

void bare_sleeps_and_cancels_among(benchmark::State& state) {
    bare_timer timer;
    std::vector<uv_timer_t> others(static_cast<std::size_t>(state.range(0)));
    std::int64_t number = 0;
    for (uv_timer_t& one : others) {
        const auto duration = static_cast<std::uint64_t>(other_sleep(number++).count());
        uv_timer_init(&timer.loop(), &one);
        uv_timer_start(&one, [](uv_timer_t*) {}, duration, 0);
    }
    for ([[maybe_unused]] auto _ : state) {
        timer.start_for_an_hour();
        timer.stop();
    }
    for (uv_timer_t& one : others) uv_close(reinterpret_cast<uv_handle_t*>(&one), nullptr);
    uv_run(&timer.loop(), UV_RUN_DEFAULT);
}

BENCHMARK(bare<bare_awaits>)->Name("ready_await/bare");
BENCHMARK(with_coproc<awaits>)->Name("ready_await/coproc");
BENCHMARK(bare_both_turns)->Name("yield/bare");
BENCHMARK(with_coproc<both_turns>)->Name("yield/coproc");
BENCHMARK(bare<bare_spawns>)->Name("spawn_join/bare");
BENCHMARK(with_coproc<spawns>)->Name("spawn_join/coproc");
BENCHMARK(bare_sleeps_none)->Name("sleep_none/bare");
BENCHMARK(with_coproc<sleeps_none>)->Name("sleep_none/coproc");
BENCHMARK(bare_sleeps_and_cancels)->Name("sleep_cancel/bare");
BENCHMARK(with_coproc<sleeps_and_cancels>)->Name("sleep_cancel/coproc");
BENCHMARK(bare_sleeps_and_cancels_among)->Name("sleep_cancel_among/bare")->Apply(numbers_of_others);
BENCHMARK(with_coproc<sleeps_and_cancels_among>)
    ->Name("sleep_cancel_among/coproc")
    ->Apply(numbers_of_others);

}  // namespace

int main(int argc, char** argv) { return run_all(argc, argv); }
