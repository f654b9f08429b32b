// What waking costs, and what waiting for many things at once may lose: nothing.

#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_any.hpp>

#include "channels/byte_queue.hpp"
#include "support/co_test.hpp"
#include "support/processes.hpp"
#include "words/system.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using coproc::connection;
using coproc::event;
using coproc::process;
using coproc::queue;
using coproc::result;
using coproc::task;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr int consumers = 10;
#else
constexpr int consumers = 64;
#endif

struct switches {
    long voluntary = 0;
    long all = 0;
};
switches switches_of(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    switches found;
    for (std::string name; file >> name;) {
        long count = 0;
        if (!name.ends_with("voluntary_ctxt_switches:")) continue;
        file >> count;
        found.all += count;
        if (name.starts_with("vol")) found.voluntary = count;
    }
    REQUIRE(found.all > 0);
    return found;
}
long switches_of(const std::vector<process>& all) {
    long sum = 0;
    for (const process& one : all) sum += switches_of(one.pid()).all;
    return sum;
}

/// When it does not change any more, all are asleep.
task<long> settled(const std::vector<process>& all) {
    for (long before = 0;;) {
        const long now = switches_of(all);
        if (std::exchange(before, now) == now) co_return now;
        (co_await coproc::sleep_for(50ms)).value();
    }
}

task<void> pass_on(queue<int> from, queue<int> to) {
    for (;;) {
        const auto one = co_await from.get();
        if (!one) co_return;
        (co_await to.put(one.value())).value();
    }
}

}  // namespace

CO_TEST_CASE("queue: a message wakes one of many idle consumers, and no other",
             "[queue][process][serial]") {
    auto to = queue<int>::create().value();
    auto back = queue<int>::create().value();
    std::vector<process> all;
    for (int i = 0; i < consumers; ++i)
        (co_await all.emplace_back(pass_on, to, back).start()).value();
    // Each has been awake once, and knows the way.
    for (int i = 0; i < 2 * consumers; ++i) {
        (co_await to.put(i)).value();
        (co_await back.get()).value();
    }
    const long before = co_await settled(all);
    constexpr int messages = 500;
    for (int i = 0; i < messages; ++i) {
        (co_await to.put(i)).value();
        const auto got = co_await back.get();
        REQUIRE(got.value() == i);
    }
    const long after = co_await settled(all);
    CAPTURE(before, after);
    CHECK(after - before <= 2 * messages + consumers);
    to.close().value();
    for (process& one : all) CHECK((co_await one.join()).value().success());
}

namespace {

/// So often has this process rung somebody's bell.
int rings = 0;

int count_rings(const char* call) noexcept {
    rings += std::string_view(call) == "sendto" ? 1 : 0;
    return 0;
}

class counting_rings {
 public:
    counting_rings() {
        rings = 0;
        coproc::system::set_fault_hook(&count_rings);
    }
    counting_rings(const counting_rings&) = delete;
    counting_rings& operator=(const counting_rings&) = delete;
    ~counting_rings() { coproc::system::set_fault_hook(nullptr); }
};

constexpr int in_a_batch = 1000;

/// In the child.
task<void> get_batch(queue<int> from, queue<int> to) {
    std::vector<int> all;
    while (all.size() < in_a_batch) {
        const auto some = co_await from.get_some(in_a_batch);
        all.insert(all.end(), some.value().begin(), some.value().end());
    }
    (co_await to.put(std::accumulate(all.begin(), all.end(), 0))).value();
}
task<void> put_two_batches(queue<int> to) {
    const std::vector<int> all(2 * in_a_batch, 2);
    (co_await to.put_all(all)).value();
}

task<void> until_described(const queue<int>& q, const std::string& what) {
    const bool is_so = co_await coproc::testing::eventually([&] {
        std::string how;
        q.ref()->describe(how);
        return how.find(what) != std::string::npos;
    });
    REQUIRE(is_so);
}

}  // namespace

CO_TEST_CASE("queue: a thousand messages at once ring a sleeping consumer once",
             "[queue][process]") {
    auto q = queue<int>::create().value();
    auto back = queue<int>::create().value();
    process child(get_batch, q, back);
    (co_await child.start()).value();
    co_await until_described(q, "1 loop waiting for a message");
    const std::vector<int> all(in_a_batch, 3);
    {
        const counting_rings counted;
        (co_await q.put_all(all)).value();
        CHECK(rings == 1);
    }
    const auto sum = co_await back.get();
    CHECK(sum.value() == 3 * in_a_batch);
    CHECK((co_await child.join()).value().success());
}

CO_TEST_CASE("queue: room for a thousand at once rings a sleeping producer once",
             "[queue][process]") {
    auto q = queue<int>::create({.max_size = in_a_batch}).value();
    process child(put_two_batches, q);
    (co_await child.start()).value();
    co_await until_described(q, "1 loop waiting for room");
    {
        const counting_rings counted;
        const auto all = co_await q.get_some(in_a_batch);
        CHECK(all.value().size() == in_a_batch);
        CHECK(rings == 1);
    }
    CHECK((co_await child.join()).value().success());
    CHECK(q.size() == in_a_batch);
}

namespace {

/// Until it is told to stop; then the number that comes next, negative.
task<void> put_until(queue<long> q, event stop) {
    long next = 1;
    for (; !stop.is_set(); ++next) {
        (co_await q.put(next)).value();
        const auto pause = std::chrono::microseconds(next * 7 % 40);
        if (next % 3 == 0) (co_await coproc::sleep_for(pause)).value();
    }
    (co_await q.put(-next)).value();
}

}  // namespace

CO_TEST_CASE("queue: gets that time out while another process puts lose and repeat nothing",
             "[queue][process][long]") {
    const int tries = std::getenv("COPROC_TEST_LONG") != nullptr ? 100'000 : 10'000;
    auto q = queue<long>::create({.max_size = 10}).value();
    const auto stop = event::create().value();
    process producer(put_until, q, stop);
    (co_await producer.start()).value();
    long last = 0;
    int timeouts = 0;
    for (int i = 0; i < tries; ++i) {
        const auto patience = std::chrono::microseconds(i * 13 % 60);
        const auto one = co_await coproc::timeout(patience, q.get());
        if (one) {
            REQUIRE(one.value() == ++last);
        } else {
            REQUIRE(one.error() == coproc::errc::timed_out);
            ++timeouts;
        }
    }
    stop.set().value();
    for (long next = 0; next >= 0;) {
        next = (co_await q.get()).value();
        REQUIRE(std::abs(next) == ++last);
    }
    CHECK(q.empty());
    CHECK(timeouts > 0);
    CHECK(timeouts < tries);
    CHECK((co_await producer.join()).value().success());
}

namespace {

constexpr int many = 1000;

/// A queue needs one fd in each process. False if so many are forbidden.
bool allow_many_fds() {
    ::rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::max<::rlim_t>(limit.rlim_cur, many + 200);
    return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/// Waits for all of them at once for the first message, then for each.
task<void> wait_for_many(connection to_parent) {
    if (!allow_many_fds()) co_return;
    std::vector<queue<int>> all;
    for (int i = 0; i < many; ++i) {
        all.push_back(queue<int>::create({.max_bytes = 10'000}).value());
        (co_await to_parent.send(all.back())).value();
    }
    std::vector<task<result<int>>> gets;
    for (queue<int>& one : all) gets.push_back(one.get());
    const auto first = co_await coproc::when_any(std::move(gets));
    const auto where = static_cast<int>(first.index);
    if (first.value.value() == where) (co_await to_parent.send(where)).value();
    const auto rt = co_await coproc::current_runtime();
    std::vector<coproc::spawned<result<int>>> tasks;
    for (queue<int>& one : all) tasks.push_back(rt.spawn(one.get()));
    for (int i = 0; i < many; ++i) {
        const auto got = co_await tasks[static_cast<std::size_t>(i)];
        (co_await to_parent.send(got.value())).value();
    }
}

/// None in two seconds, as seen from outside.
task<void> check_asleep(const process& one) {
    long before = -1;
    for (long now = 0; before != now;) {
        before = now;
        (co_await coproc::sleep_for(50ms)).value();
        now = switches_of(one.pid()).voluntary;
    }
    // A lock in the kernel that somebody else has is a switch, too: but not every time.
    long woken = -1;
    for (int left = 3; woken != 0 && left > 0; --left) {
        (co_await coproc::sleep_for(2s)).value();
        const long now = switches_of(one.pid()).voluntary;
        woken = now - std::exchange(before, now);
    }
    CHECK(woken == 0);
}

}  // namespace

CO_TEST_CASE("queue: who waits for a thousand queues sleeps, and each one wakes him",
             "[queue][process]") {
    ::rlimit usual{};
    ::getrlimit(RLIMIT_NOFILE, &usual);
    REQUIRE(allow_many_fds());
    auto [ours, theirs] = coproc::pipe().value();
    process child(wait_for_many, std::move(theirs));
    (co_await child.start()).value();
    {
        std::vector<queue<int>> all;
        for (int i = 0; i < many; ++i) {
            auto one = co_await ours.recv<queue<int>>();
            all.push_back(std::move(one).value());
        }
        co_await check_asleep(child);
        all[777].try_put(777).value();
        const auto first = co_await ours.recv<int>();
        CHECK(first.value() == 777);
        co_await check_asleep(child);
        for (int i = many; i > 0; --i) all[static_cast<std::size_t>(i - 1)].try_put(i).value();
        for (int i = 1; i <= many; ++i) {
            const auto got = co_await ours.recv<int>();
            REQUIRE(got.value() == i);
        }
    }
    CHECK((co_await child.join()).value().success());
    ::setrlimit(RLIMIT_NOFILE, &usual);
}

namespace {

void leave_at_once() {}

}  // namespace

CO_TEST_CASE("when_any: of a connection, a queue, a process and an event, losers lose nothing",
             "[queue][process]") {
    auto [ours, theirs] = coproc::pipe().value();
    auto q = queue<int>::create().value();
    const auto flag = event::create().value();
    int sent = 0;
    int put = 0;
    int received = 0;
    int got = 0;
    int joined = 0;
    int children = 0;
    for (int round = 0; round < 400; ++round) {
        process child(leave_at_once);
        const bool has_child = round % 20 == 0;
        if (has_child) (co_await child.start()).value();
        if (round % 3 != 1) (co_await ours.send(sent++)).value();
        if (round % 3 != 0) (co_await q.put(put++)).value();
        if (round % 5 == 4) flag.set().value();
        children += has_child ? 1 : 0;
        const auto ended = [&]() -> task<void> {
            if (!has_child) (co_await coproc::sleep_for(24h)).value();
            (co_await child.join()).value();
        };
        const auto first =
            co_await coproc::when_any(ended(), flag.wait(), theirs.recv<int>(), q.get());
        if (first.index() == 0) ++joined;
        if (first.index() == 1) flag.clear().value();
        if (first.index() == 2) REQUIRE(std::get<2>(first).value() == received++);
        if (first.index() == 3) REQUIRE(std::get<3>(first).value() == got++);
        // Also when another one was first.
        if (has_child) CHECK((co_await child.join()).value().success());
        flag.clear().value();
    }
    for (; received < sent; ++received) {
        const auto next = co_await theirs.recv<int>();
        REQUIRE(next.value() == received);
    }
    for (; got < put; ++got) REQUIRE(q.try_get().value() == got);
    CHECK(q.empty());
    CHECK(joined <= children);
}
