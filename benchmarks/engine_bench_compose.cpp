// What does it cost that tasks run beside each other, and are canceled?
//
// when_all/CONTENDER: two tasks that each yield once, until both have ended. when_any/CONTENDER:
// one of these and a long sleep, until the first has ended and the other has been canceled.
// scope_cancel/CONTENDER: a scope whose only child, a task in a long sleep, is canceled.
// `bare` is a counter and a queue of handles, and uv_timer start and stop; no scope, no errors.

#include <coproc/runtime.hpp>
#include <coproc/scope.hpp>
#include <coproc/sleep.hpp>
#include <coproc/when_all.hpp>
#include <coproc/when_any.hpp>

#include "engine_cases.hpp"

namespace {

using namespace coproc::bench;
using coproc::task;
using namespace std::chrono_literals;

task<std::int64_t> later() {
    const auto yielded = co_await coproc::yield();
    co_return yielded ? 1 : 0;
}

/// The end of several coroutines.
struct bare_latch {
    int left;
    bare_join join;
    void count_down() {
        if (--left == 0) queue.push(*join.waiter);
    }
};

// -- when_all

bare_detached bare_later(std::int64_t& sum, bare_latch& ends) {
    co_await bare_yield();
    ++sum;
    ends.count_down();
}

bare_detached bare_alls(benchmark::State& state) {
    std::int64_t sum = 0;
    for ([[maybe_unused]] auto _ : state) {
        bare_latch ends{2, {}};
        bare_later(sum, ends);
        bare_later(sum, ends);
        co_await ends.join;
    }
    check(state, sum == 2 * state.iterations());
}

task<void> alls(benchmark::State& state) {
    std::int64_t sum = 0;
    for ([[maybe_unused]] auto _ : state) {
        const auto [one, other] = co_await coproc::when_all(later(), later());
        sum += one + other;
    }
    check(state, sum == 2 * state.iterations());
}

// -- when_any and scope_cancel

bare_detached bare_sleeper(bare_timer& timer, bare_join& canceled, bare_latch& ends) {
    timer.start_for_an_hour();
    co_await canceled;
    ends.count_down();
}

void bare_cancel(bare_timer& timer, const bare_join& sleeper) {
    timer.stop();
    queue.push(*sleeper.waiter);
}

bare_detached bare_first(std::int64_t& sum, bare_timer& timer, const bare_join& other,
                         bare_latch& ends) {
    co_await bare_yield();
    ++sum;
    bare_cancel(timer, other);
    ends.count_down();
}

bare_detached bare_anys(benchmark::State& state) {
    bare_timer timer;
    std::int64_t sum = 0;
    for ([[maybe_unused]] auto _ : state) {
        bare_latch ends{2, {}};
        bare_join sleeper;
        bare_first(sum, timer, sleeper, ends);
        bare_sleeper(timer, sleeper, ends);
        co_await ends.join;
    }
    check(state, sum == state.iterations());
}

task<void> anys(benchmark::State& state) {
    std::int64_t sum = 0;
    for ([[maybe_unused]] auto _ : state) {
        const auto first = co_await coproc::when_any(later(), coproc::sleep_for(1h));
        sum += first.index() == 0 ? std::get<0>(first) : 0;
    }
    check(state, sum == state.iterations());
}

bare_detached bare_scopes(benchmark::State& state) {
    bare_timer timer;
    std::int64_t ended = 0;
    for ([[maybe_unused]] auto _ : state) {
        bare_latch ends{1, {}};
        bare_join sleeper;
        bare_sleeper(timer, sleeper, ends);
        co_await bare_yield();
        bare_cancel(timer, sleeper);
        co_await ends.join;
        ended += ends.left == 0 ? 1 : 0;
    }
    check(state, ended == state.iterations());
}

task<void> sleeper(std::int64_t& canceled) {
    const auto slept = co_await coproc::sleep_for(1h);
    canceled += slept ? 0 : 1;
}

task<void> scopes(benchmark::State& state) {
    std::int64_t canceled = 0;
    const auto body = [&](coproc::scope& s) -> task<coproc::result<void>> {
        s.spawn(sleeper(canceled));
        (co_await coproc::yield()).value();
        s.cancel();
        co_return coproc::success();
    };
    for ([[maybe_unused]] auto _ : state) {
        const auto done = co_await coproc::with_scope(body);
        done.value();
    }
    check(state, canceled == state.iterations());
}

BENCHMARK(bare<bare_alls>)->Name("when_all/bare");
BENCHMARK(with_coproc<alls>)->Name("when_all/coproc");
BENCHMARK(bare<bare_anys>)->Name("when_any/bare");
BENCHMARK(with_coproc<anys>)->Name("when_any/coproc");
BENCHMARK(bare<bare_scopes>)->Name("scope_cancel/bare");
BENCHMARK(with_coproc<scopes>)->Name("scope_cancel/coproc");

}  // namespace
