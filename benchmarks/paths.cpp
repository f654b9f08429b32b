// How many instructions do the ten hottest paths take?
//
// paths NAME COUNT goes one of them (or all) COUNT times; paths alone prints their names. Under
// callgrind (benchmarks/run --instructions), what COUNT more times take is the path's own, without
// what is done once. With one process, one thread and nothing that depends on time, each run takes
// the same instructions. Messages are of 64 bytes. A wrong result aborts.
// The start of a child is not among them: valgrind 3.19 cannot run programs that start processes.

#include <coproc/codec.hpp>
#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/lock.hpp>
#include <coproc/queue.hpp>
#include <coproc/runtime.hpp>
#include <coproc/scope.hpp>
#include <coproc/sleep.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using coproc::task;
using namespace std::chrono_literals;

constexpr std::int64_t in_a_row = 100;  // messages that are put before they are got

using message = std::array<std::uint64_t, 8>;

/// Does not go on with a wrong result.
void must(bool held) {
    if (!held) std::abort();
}

// -- the engine

[[gnu::noinline]] task<std::int64_t> ready(std::int64_t value) { co_return value; }

/// A task that does not wait.
task<void> ready_await(std::int64_t count) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum += co_await ready(1);
    must(sum == count);
}

task<std::int64_t> turns(std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) (co_await coproc::yield()).value();
    co_return count;
}

/// A turn of each of two tasks.
task<void> yield(std::int64_t count) {
    const auto rt = co_await coproc::current_runtime();
    const auto other = rt.spawn(turns(count));
    const std::int64_t mine = co_await turns(count);
    auto theirs = co_await other;
    must(mine + theirs.value() == 2 * count);
}

/// A task of its own, and its end.
task<void> spawn_join(std::int64_t count) {
    const auto rt = co_await coproc::current_runtime();
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        const auto child = rt.spawn(ready(1));
        auto joined = co_await child;
        sum += joined.value();
    }
    must(sum == count);
}

task<void> sleeper(std::int64_t& canceled) {
    const auto slept = co_await coproc::sleep_for(1h);
    canceled += slept ? 0 : 1;
}

/// A scope whose only child, a task in a long sleep, is canceled.
task<void> scope_cancel(std::int64_t count) {
    std::int64_t canceled = 0;
    const auto body = [&](coproc::scope& s) -> task<coproc::result<void>> {
        s.spawn(sleeper(canceled));
        (co_await coproc::yield()).value();
        s.cancel();
        co_return coproc::success();
    };
    for (std::int64_t i = 0; i < count; ++i) {
        const auto done = co_await coproc::with_scope(body);
        done.value();
    }
    must(canceled == count);
}

// -- waiting for others

task<void> wake_in_turn(coproc::event mine, coproc::event other, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
        (co_await mine.wait()).value();
        mine.clear().value();
        other.set().value();
    }
}

/// Each of two tasks waits until the other sets its event.
task<void> event(std::int64_t count) {
    const auto one = coproc::event::create().value();
    const auto other = coproc::event::create().value();
    const auto rt = co_await coproc::current_runtime();
    const auto waiting = rt.spawn(wake_in_turn(other, one, count));
    one.set().value();
    co_await wake_in_turn(one, other, count);
    (co_await waiting).value();
    must(one.is_set() && !other.is_set());
}

/// A lock that nobody else wants.
task<void> lock(std::int64_t count) {
    const auto wanted = coproc::lock::create().value();
    std::int64_t held = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        const auto mine = (co_await wanted.acquire()).value();
        held += wanted.is_locked() ? 1 : 0;
    }
    must(held == count && !wanted.is_locked());
}

// -- messages

/// Calls `go(first, last)` for parts of 0 to `count`.
template <class Go>
task<void> in_parts(std::int64_t count, Go& go) {
    for (std::int64_t first = 0; first < count; first += in_a_row) {
        co_await go(first, std::min(first + in_a_row, count));
    }
}

/// A message put, and got.
task<void> queue(std::int64_t count) {
    auto q = coproc::queue<message>::create().value();
    const auto put_and_get = [&](std::int64_t first, std::int64_t last) -> task<void> {
        message one{};
        for (std::int64_t i = first; i < last; ++i) {
            one[0] = static_cast<std::uint64_t>(i);
            (co_await q.put(one)).value();
        }
        for (std::int64_t i = first; i < last; ++i) {
            const auto got = (co_await q.get()).value();
            must(got[0] == static_cast<std::uint64_t>(i));
        }
    };
    co_await in_parts(count, put_and_get);
}

/// One of many messages that are put and got at once.
task<void> queue_batch(std::int64_t count) {
    auto q = coproc::queue<message>::create().value();
    std::vector<message> many;
    const auto put_and_get = [&](std::int64_t first, std::int64_t last) -> task<void> {
        many.resize(static_cast<std::size_t>(last - first));
        many.back()[0] = static_cast<std::uint64_t>(last);
        (co_await q.put_all(many)).value();
        const auto got = (co_await q.get_some(many.size())).value();
        must(got == many);
    };
    co_await in_parts(count, put_and_get);
}

/// A message sent, and received, where it does not have to be waited for.
task<void> connection(std::int64_t count) {
    auto [one, other] = coproc::pipe().value();
    message sent{};
    for (std::int64_t i = 0; i < count; ++i) {
        sent[0] = static_cast<std::uint64_t>(i);
        (co_await one.send(sent)).value();
        const auto got = (co_await other.recv<message>()).value();
        must(got == sent);
    }
}

struct place {
    double x;
    double y;
    friend bool operator==(const place&, const place&) = default;
};
struct job {
    std::uint64_t id;
    std::string name;
    std::vector<place> places;
    std::optional<int> limit;
    friend bool operator==(const job&, const job&) = default;
};

/// A struct as bytes, and again as a struct.
task<void> codec(std::int64_t count) {
    job sent{0, "a name that is longer than a short string", {{1, 2}, {3, 4}, {5, 6}}, 7};
    coproc::encoder into;
    for (std::int64_t i = 0; i < count; ++i) {
        sent.id = static_cast<std::uint64_t>(i);
        into.clear();
        into.put(sent);
        coproc::decoder from(into.bytes());
        const auto got = from.get<job>().value();
        must(got == sent);
    }
    co_return;
}

struct path {
    const char* name;
    task<void> (*go)(std::int64_t count);
};

constexpr std::array<path, 10> paths{{{"ready_await", ready_await},
                                      {"yield", yield},
                                      {"spawn_join", spawn_join},
                                      {"scope_cancel", scope_cancel},
                                      {"event", event},
                                      {"lock", lock},
                                      {"queue", queue},
                                      {"queue_batch", queue_batch},
                                      {"connection", connection},
                                      {"codec", codec}}};

bool go(std::string_view name, std::int64_t count) {
    bool found = false;
    for (const path& one : paths) {
        if (name != "all" && name != one.name) continue;
        auto rt = coproc::runtime::create().value();
        rt.run(one.go(count));
        found = true;
    }
    return found;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 1) {
        for (const path& one : paths) std::puts(one.name);
        return 0;
    }
    if (argc == 3 && go(argv[1], std::atoll(argv[2]))) return 0;
    std::fputs("usage: paths [NAME|all COUNT]\n", stderr);
    return 2;
}
