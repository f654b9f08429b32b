#pragma once
// What the cases of engine_bench have in common: the floor, and how a coroutine is run by it and by
// coproc.

#include <coproc/runtime.hpp>

#include <benchmark/benchmark.h>
#include <uv.h>

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <utility>

namespace coproc::bench {

inline void check(benchmark::State& state, bool right) {
    if (!right) state.SkipWithError("wrong result");
}

// -- the floor

struct free_frame {
    free_frame* next;
};

struct bare_frame {
    static constexpr std::size_t room = 512;
    static inline free_frame* first = nullptr;

    static void* operator new(std::size_t size) {
        if (size > room) std::abort();
        if (first == nullptr) return ::operator new(room);
        return std::exchange(first, first->next);
    }
    static void operator delete(void* frame) noexcept { first = new (frame) free_frame{first}; }
};

struct bare_node {
    bare_node* next = nullptr;
    std::coroutine_handle<> coroutine;
};

struct bare_queue {
    bare_node* first = nullptr;
    bare_node* last = nullptr;

    void push(bare_node& node) noexcept {
        node.next = nullptr;
        (first == nullptr ? first : last->next) = &node;
        last = &node;
    }
    void drain() {
        while (first != nullptr) std::exchange(first, first->next)->coroutine.resume();
    }
};

inline bare_queue queue;

/// Starts inline when it is awaited, and never waits.
struct bare_task {
    struct promise_type : bare_frame {
        std::int64_t value = 0;
        bool done = false;
        bare_task get_return_object() noexcept {
            return bare_task(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() noexcept {
            done = true;
            return {};
        }
        void return_value(std::int64_t given) noexcept { value = given; }
        void unhandled_exception() const noexcept { std::terminate(); }
    };

    explicit bare_task(std::coroutine_handle<promise_type> made) noexcept : coroutine(made) {}
    bare_task(bare_task&&) = delete;
    ~bare_task() { coroutine.destroy(); }
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<>) const {
        coroutine.resume();
        return !coroutine.promise().done;
    }
    std::int64_t await_resume() const noexcept { return coroutine.promise().value; }

    std::coroutine_handle<promise_type> coroutine;
};

/// Runs by itself.
struct bare_detached {
    struct promise_type : bare_frame, bare_node {
        bare_detached get_return_object() noexcept {
            coroutine = std::coroutine_handle<promise_type>::from_promise(*this);
            queue.push(*this);
            return {};
        }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };
};

struct bare_yield {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<bare_detached::promise_type> self) const noexcept {
        queue.push(self.promise());
    }
    void await_resume() const noexcept {}
};

/// Ends the wait of the one coroutine that waits for it.
struct bare_join {
    bare_node* waiter = nullptr;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<bare_detached::promise_type> self) noexcept {
        waiter = &self.promise();
    }
    void await_resume() const noexcept {}
};

// -- the cases

/// How long the others sleep while one arms and cancels a timer of an hour: some less, some more.
inline std::chrono::milliseconds other_sleep(std::int64_t number) {
    return std::chrono::minutes(30) + std::chrono::milliseconds(number * 7919 % 3'600'000);
}

inline void numbers_of_others(benchmark::internal::Benchmark* one) {
    one->Arg(10)->Arg(1000)->Arg(100'000);
}

using bare_body = bare_detached (*)(benchmark::State&);
using coproc_body = task<void> (*)(benchmark::State&);

template <bare_body Body>
void bare(benchmark::State& state) {
    Body(state);
    queue.drain();
}

template <coproc_body Body>
void with_coproc(benchmark::State& state) {
    auto rt = coproc::runtime::create().value();
    rt.run(Body(state));
}

/// A libuv loop with one timer.
class bare_timer {
 public:
    bare_timer() {
        uv_loop_init(&all_->loop);
        uv_timer_init(&all_->loop, &all_->timer);
    }
    bare_timer(const bare_timer&) = delete;
    bare_timer& operator=(const bare_timer&) = delete;
    ~bare_timer() {
        uv_close(reinterpret_cast<uv_handle_t*>(&all_->timer), nullptr);
        uv_run(&all_->loop, UV_RUN_DEFAULT);
        if (uv_loop_close(&all_->loop) != 0) std::abort();
    }

    uv_loop_t& loop() const noexcept { return all_->loop; }
    void start_for_an_hour() {
        uv_update_time(&all_->loop);
        uv_timer_start(&all_->timer, [](uv_timer_t*) {}, 3'600'000, 0);
    }
    void stop() { uv_timer_stop(&all_->timer); }

 private:
    struct loop_and_timer {
        uv_loop_t loop;
        uv_timer_t timer;
    };
    // Too large for a pooled frame.
    std::unique_ptr<loop_and_timer> all_ = std::make_unique<loop_and_timer>();
};

}  // namespace coproc::bench
