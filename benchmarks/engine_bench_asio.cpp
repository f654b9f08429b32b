// The questions of engine_bench for Boost.Asio's coroutines: co_await of an awaitable, post() as a
// yield, co_spawn() as a spawn, steady_timer as a sleep, awaitable_operators' && and || as when_all
// and when_any.
// Not the same: Asio has no scope that waits for its children, so that scope_cancel asks again
// whether the coroutine that it has canceled has ended; sleep_cancel cancels the timer itself; and
// a sleep whose time has come arms a timerfd, which libuv does without.

#include "engine_cases.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <deque>

namespace {

namespace asio = boost::asio;
using namespace coproc::bench;
using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;
using asio::awaitable;
using asio::use_awaitable;

awaitable<void> turn() { co_await asio::post(use_awaitable); }

[[gnu::noinline]] awaitable<std::int64_t> ready(std::int64_t value) { co_return value; }

awaitable<std::int64_t> later() {
    co_await asio::post(use_awaitable);
    co_return 1;
}

/// Says whether it has been canceled.
awaitable<bool> sleep_in(asio::steady_timer& timer, std::chrono::milliseconds duration) {
    boost::system::error_code error;
    timer.expires_after(duration);
    co_await timer.async_wait(asio::redirect_error(use_awaitable, error));
    co_return error == asio::error::operation_aborted;
}

awaitable<void> sleeper(asio::steady_timer& timer, std::int64_t& canceled) {
    co_await asio::this_coro::throw_if_cancelled(false);
    canceled += co_await sleep_in(timer, 1h) ? 1 : 0;
}

awaitable<void> awaits(benchmark::State& state) {
    std::int64_t sum = 0;
    for ([[maybe_unused]] auto _ : state) sum += co_await ready(1);
    check(state, sum == state.iterations());
}

awaitable<void> other_turns(std::int64_t& count, const bool& stop) {
    while (!stop) {
        co_await asio::post(use_awaitable);
        ++count;
    }
}

awaitable<void> both_turns(benchmark::State& state) {
    bool stop = false;
    std::int64_t count = 0;
    const auto home = co_await asio::this_coro::executor;
    asio::co_spawn(home, other_turns(count, stop), asio::detached);
    for ([[maybe_unused]] auto _ : state) co_await asio::post(use_awaitable);
    stop = true;
    co_await turn();  // the other one sees it
    co_await turn();
    check(state, count >= state.iterations() - 1);
}

awaitable<void> spawns(benchmark::State& state) {
    std::int64_t sum = 0;
    const auto home = co_await asio::this_coro::executor;
    for ([[maybe_unused]] auto _ : state) {
        sum += co_await asio::co_spawn(home, ready(1), use_awaitable);
    }
    check(state, sum == state.iterations());
}

awaitable<void> sleeps_none(benchmark::State& state) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    std::int64_t canceled = 0;
    for ([[maybe_unused]] auto _ : state) canceled += co_await sleep_in(timer, 0ms) ? 1 : 0;
    check(state, canceled == 0);
}

awaitable<void> cancels(asio::steady_timer& timer, const bool& stop) {
    while (!stop) {
        co_await asio::post(use_awaitable);
        timer.cancel();
    }
}

awaitable<void> sleeps_and_cancels(benchmark::State& state) {
    bool stop = false;
    std::int64_t canceled = 0;
    const auto home = co_await asio::this_coro::executor;
    asio::steady_timer timer(home);
    asio::co_spawn(home, cancels(timer, stop), asio::detached);
    for ([[maybe_unused]] auto _ : state) canceled += co_await sleep_in(timer, 1h) ? 1 : 0;
    stop = true;
    co_await turn();
    co_await turn();
    check(state, canceled == state.iterations());
}

awaitable<void> sleeps_and_cancels_among(benchmark::State& state) {
    const auto home = co_await asio::this_coro::executor;
    std::deque<asio::steady_timer> others;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        others.emplace_back(home, other_sleep(i)).async_wait(asio::detached);
    }
    co_await sleeps_and_cancels(state);
}

awaitable<void> alls(benchmark::State& state) {
    std::int64_t sum = 0;
    for ([[maybe_unused]] auto _ : state) {
        const auto [one, other] = co_await (later() && later());
        sum += one + other;
    }
    check(state, sum == 2 * state.iterations());
}

awaitable<void> anys(benchmark::State& state) {
    std::int64_t canceled = 0;
    std::int64_t sum = 0;
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for ([[maybe_unused]] auto _ : state) {
        const auto first = co_await (later() || sleeper(timer, canceled));
        sum += first.index() == 0 ? std::get<0>(first) : 0;
    }
    check(state, sum == state.iterations() && canceled == state.iterations());
}

awaitable<void> scopes(benchmark::State& state) {
    std::int64_t canceled = 0;
    const auto home = co_await asio::this_coro::executor;
    asio::steady_timer timer(home);
    for ([[maybe_unused]] auto _ : state) {
        bool ended = false;
        asio::cancellation_signal cancel;
        const auto on_end = [&ended](const std::exception_ptr&) { ended = true; };
        asio::co_spawn(home, sleeper(timer, canceled),
                       asio::bind_cancellation_slot(cancel.slot(), on_end));
        co_await asio::post(use_awaitable);
        cancel.emit(asio::cancellation_type::terminal);
        while (!ended) co_await asio::post(use_awaitable);
    }
    check(state, canceled == state.iterations());
}

template <awaitable<void> (*Body)(benchmark::State&)>
void with_asio(benchmark::State& state) {
    asio::io_context home(1);
    asio::co_spawn(home, Body(state),
                   [&](const std::exception_ptr& thrown) { check(state, !thrown); });
    home.run();
}

BENCHMARK(with_asio<awaits>)->Name("ready_await/asio");
BENCHMARK(with_asio<both_turns>)->Name("yield/asio");
BENCHMARK(with_asio<spawns>)->Name("spawn_join/asio");
BENCHMARK(with_asio<sleeps_none>)->Name("sleep_none/asio");
BENCHMARK(with_asio<sleeps_and_cancels>)->Name("sleep_cancel/asio");
BENCHMARK(with_asio<sleeps_and_cancels_among>)
    ->Name("sleep_cancel_among/asio")
    ->Apply(numbers_of_others);
BENCHMARK(with_asio<alls>)->Name("when_all/asio");
BENCHMARK(with_asio<anys>)->Name("when_any/asio");
BENCHMARK(with_asio<scopes>)->Name("scope_cancel/asio");

}  // namespace
