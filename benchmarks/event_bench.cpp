// How long does it take from an event's set until all who wait for it are awake?
//
// fan_out/CONTENDER/N: N processes sleep until the event is set, and each writes down when it has
// come to itself: time from just before the set to the last of them. `bare` is an eventfd and a
// uv_poll in each process, as coproc's event is; py_Event is multiprocessing's, which lets one
// sleeper after the other go, and blocks without any loop. Nobody may be awake before the set, and
// everybody must be after it.
// There are two events in turn, so that one can be cleared while nobody waits for it.

#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/run.hpp>
#include <coproc/runtime.hpp>
#include <coproc/shared_array.hpp>

#include "ratios.hpp"
#include "workers.hpp"

#include <sys/eventfd.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <thread>

namespace {

using namespace coproc::bench;
using namespace std::chrono_literals;

constexpr std::size_t most_waiters = 256;

/// What a waiter writes; the round that it will wait in, and when it was awake in that round.
struct row {
    std::int64_t round;
    std::int64_t awake;
};

std::int64_t read(std::int64_t& word) { return std::atomic_ref(word).load(); }
void write(std::int64_t& word, std::int64_t value) { std::atomic_ref(word).store(value); }

/// Looks now and then, so that the waiters have the processors.
template <class Held>
bool wait_until(const Held& held) {
    const std::int64_t end = now_ns() + std::int64_t{long_enough} * 1'000'000'000;
    while (!held()) {
        if (now_ns() > end) return false;
        std::this_thread::sleep_for(2ms);
    }
    return true;
}

template <class Set>
outcome measure_round(std::span<row> rows, std::int64_t round, const Set& set) {
    const auto all = [&](auto&& holds) { return std::ranges::all_of(rows, holds); };
    if (!wait_until([&] { return all([&](row& one) { return read(one.round) == round; }); })) {
        return {0, "a waiter does not come"};
    }
    for (row& one : rows) write(one.awake, 0);
    std::this_thread::sleep_for(5ms + rows.size() * 100us);  // until they sleep
    if (!all([](row& one) { return read(one.awake) == 0; })) return {0, "awake before the set"};
    const std::int64_t begin = now_ns();
    set();
    if (!wait_until([&] { return all([](row& one) { return read(one.awake) != 0; }); })) {
        return {0, "a waiter sleeps on"};
    }
    return {1e-9 * static_cast<double>(std::ranges::max(rows, {}, &row::awake).awake - begin)};
}

/// The first round does not count; rounds are numbered from 1. `set` and `clear` are told which of
/// the two events.
template <class Set, class Clear>
outcome measure(std::span<row> rows, std::int64_t rounds, const Set& set, const Clear& clear) {
    outcome sum;
    for (std::int64_t round = 1; round <= rounds + 1; ++round) {
        const auto which = static_cast<std::size_t>(round % 2);
        const outcome one = measure_round(rows, round, [&] { set(which); });
        if (one.failure != nullptr) return one;
        if (round > 1) sum.seconds += one.seconds / static_cast<double>(rounds);
        clear(which);
    }
    return sum;
}

// -- bare

/// Runs a loop until an eventfd can be read.
class bare_wait {
 public:
    explicit bare_wait(std::array<int, 2> events) {
        uv_loop_init(&loop_);
        for (std::size_t i = 0; i < events.size(); ++i) {
            uv_poll_init(&loop_, &polls_[i], events[i]);
            polls_[i].data = this;
        }
    }
    void operator()(std::size_t which) {
        ready_ = false;
        uv_poll_start(&polls_[which], UV_READABLE, [](uv_poll_t* self, int, int) {
            static_cast<bare_wait*>(self->data)->ready_ = true;
        });
        while (!ready_) uv_run(&loop_, UV_RUN_ONCE);
        uv_poll_stop(&polls_[which]);
    }

 private:
    uv_loop_t loop_;
    std::array<uv_poll_t, 2> polls_;
    bool ready_ = false;
};

outcome bare(std::size_t waiters, std::int64_t rounds) {
    const std::array<int, 2> events{::eventfd(0, EFD_NONBLOCK), ::eventfd(0, EFD_NONBLOCK)};
    const forked_memory<std::array<row, most_waiters>> rows;
    std::vector<pid_t> workers;
    for (std::size_t index = 0; index < waiters; ++index) {
        workers.push_back(fork_worker([&] {
            bare_wait wait(events);
            row& mine = (*rows)[index];
            for (std::int64_t round = 1; round <= rounds + 1; ++round) {
                write(mine.round, round);
                wait(static_cast<std::size_t>(round % 2));
                write(mine.awake, now_ns());
            }
        }));
    }
    std::uint64_t count = 1;
    const auto set = [&](std::size_t which) {
        must(::write(events[which], &count, sizeof count) == sizeof count);
    };
    const auto clear = [&](std::size_t which) {
        must(::read(events[which], &count, sizeof count) == sizeof count);
    };
    outcome measured = measure(std::span(*rows).first(waiters), rounds, set, clear);
    if (measured.failure != nullptr) {
        for (const pid_t worker : workers) ::kill(worker, SIGKILL);
    }
    if (!all_end_well(workers) && measured.failure == nullptr) measured.failure = "a waiter failed";
    for (const int fd : events) ::close(fd);
    return measured;
}

// -- coproc

using events = std::array<coproc::event, 2>;
using board = coproc::shared_array<row>;

coproc::task<void> wait_in_rounds(coproc::event even, coproc::event odd, board rows,
                                  std::uint64_t index, std::int64_t rounds) {
    ::alarm(long_enough);
    for (std::int64_t round = 1; round <= rounds + 1; ++round) {
        write(rows[index].round, round);
        const coproc::event& now = round % 2 == 0 ? even : odd;
        (co_await now.wait()).value();
        write(rows[index].awake, now_ns());
    }
}

coproc::task<void> start_all(std::vector<coproc::process>& workers) {
    for (auto& worker : workers) (co_await worker.start()).value();
}
coproc::task<bool> end_all(std::vector<coproc::process>& workers) {
    bool well = true;
    for (auto& worker : workers) {
        const auto status = (co_await worker.join()).value();
        well = well && status.success();
    }
    co_return well;
}

outcome with_coproc(std::size_t waiters, std::int64_t rounds) {
    auto home = coproc::runtime::create().value();
    const events both{coproc::event::create().value(), coproc::event::create().value()};
    const auto rows = board::create(waiters).value();
    std::vector<coproc::process> workers;
    for (std::size_t index = 0; index < waiters; ++index) {
        const coproc::process_options options{.kill_on_drop = true};
        workers.emplace_back(options, wait_in_rounds, both[0], both[1], rows, index, rounds);
    }
    home.run(start_all(workers));
    const auto set = [&](std::size_t which) { both[which].set().value(); };
    const auto clear = [&](std::size_t which) { both[which].clear().value(); };
    outcome measured = measure(rows.elements(), rounds, set, clear);
    if (measured.failure != nullptr) workers.clear();
    if (!home.run(end_all(workers))) measured.failure = "a waiter failed";
    home.run(home.shutdown()).value();
    return measured;
}

outcome with_python(std::size_t waiters, std::int64_t rounds) {
    return run_python("python_event.py " + std::to_string(waiters) + ' ' + std::to_string(rounds));
}

void add(const std::string& contender, bool is_short,
         outcome (*run)(std::size_t waiters, std::int64_t rounds)) {
    const std::int64_t rounds = is_short ? 2 : 20;
    for (const std::size_t waiters : {1U, 4U, 16U, 64U, 256U}) {
        if (is_short && waiters > 16) continue;
        add_case("fan_out/" + contender, waiters, [=] {
            return run(waiters, rounds);
        })->Unit(benchmark::kMicrosecond);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (auto code = coproc::run_if_child()) return *code;
    const bool is_short = is_short_run(argc, argv);
    add("bare", is_short, bare);
    add("coproc", is_short, with_coproc);
    if (has_python()) add("py_Event", is_short, with_python);
    return run_all(argc, argv);
}
