// A host that knows nothing of libuv drives a runtime by fd(), next_timeout() and run_ready().

#include <coproc/detail/wait_list.hpp>
#include <coproc/event.hpp>
#include <coproc/offload.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/readiness.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>
#include <coproc/this_process.hpp>

#include "support/co_test.hpp"
#include "words/system.hpp"

#include <poll.h>

#include <array>
#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::process;
using coproc::result;
using coproc::runtime;
using coproc::task;
using coproc::detail::wait_list;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

task<result<void>> wait_for(wait_list& list) { co_return co_await list.wait(); }
task<result<void>> for_ever() { co_return co_await coproc::sleep_for(24h); }

bool is_readable(int fd, milliseconds longest = 0ms) {
    ::pollfd one{fd, POLLIN, 0};
    return ::poll(&one, 1, static_cast<int>(longest.count())) == 1;
}

/// The three steps of the contract, with poll() as the loop.
class poll_host {
 public:
    poll_host() : rt(runtime::create().value()), fd(rt.fd()) { rt.run_ready(); }

    /// Waits as the runtime says; false if nothing has happened for `patience`, which is no reason
    /// to run it.
    bool turn(milliseconds patience = 10s) {
        const auto longest = rt.next_timeout();
        const bool is_due = longest && *longest <= patience;
        if (!is_readable(fd, is_due ? *longest : patience) && !is_due) return false;
        ++turns;
        rt.run_ready();
        return true;
    }
    void run_until(const std::function<bool()>& condition) {
        while (!condition()) REQUIRE(turn());
    }
    /// Lets everything happen that happens at once.
    void settle() {
        while (turn(20ms)) continue;
        turns = 0;
    }

    runtime rt;
    const int fd;  // asked for once, as Asio does
    int turns = 0;
};

/// Idle, as the host sees it.
void check_idle(poll_host& host) {
    CHECK_FALSE(is_readable(host.fd));
    CHECK_FALSE(host.rt.next_timeout().has_value());
    CHECK_FALSE(host.turn(100ms));
}

}  // namespace

TEST_CASE("foreign loop: a runtime that has nothing to do does not wake its host", "[runtime]") {
    const coproc::testing::leak_check leaks;
    {
        poll_host host;
        host.settle();
        check_idle(host);

        wait_list never;
        const auto ends = coproc::system::socket_pair().value();
        auto in_process = host.rt.spawn(wait_for(never));
        const auto read = [](int fd) -> task<result<void>> {
            co_return co_await coproc::wait_readable(fd);
        };
        auto at_fd = host.rt.spawn(read(ends[0].get()));
        host.settle();
        check_idle(host);
        in_process.cancel();
        at_fd.cancel();
        host.run_until([&] { return in_process.done() && at_fd.done(); });
        check_idle(host);
    }
    leaks.done();
}

TEST_CASE("foreign loop: what is made ready outside of run_ready makes the fd readable",
          "[runtime]") {
    poll_host host;
    host.settle();
    check_idle(host);
    auto spawned = host.rt.spawn(for_ever());
    CHECK(is_readable(host.fd));
    CHECK(host.rt.next_timeout() == 0ms);
    host.settle();
    CHECK_FALSE(is_readable(host.fd));
    spawned.cancel();
    CHECK(is_readable(host.fd));
    host.rt.run_ready();
    CHECK(spawned.done());

    wait_list list;
    const auto waiting = host.rt.spawn(wait_for(list));
    host.settle();
    CHECK_FALSE(is_readable(host.fd));
    list.open();
    CHECK(is_readable(host.fd));
    host.rt.run_ready();
    CHECK(waiting.done());
    check_idle(host);
}

TEST_CASE("foreign loop: a runtime has something to do before its first run_ready", "[runtime]") {
    auto rt = runtime::create().value();
    const auto spawned = rt.spawn([]() -> task<void> { co_return; }());
    const int fd = rt.fd();
    CHECK(rt.next_timeout() == 0ms);
    rt.run_ready();
    CHECK(spawned.done());
    CHECK_FALSE(is_readable(fd));
}

TEST_CASE("foreign loop: a wait that ends on time finds the timer due", "[runtime][serial]") {
    const auto sleep = [](milliseconds time) -> task<void> {
        (co_await coproc::sleep_for(time)).value();
    };
    poll_host host;
    for (const milliseconds duration : {1ms, 2ms, 7ms, 30ms, 100ms}) {
        auto took = steady_clock::duration::max();
        for (int tries = 0; took > duration + 50ms && tries < 3; ++tries) {
            host.settle();
            const auto begin = steady_clock::now();
            const auto slept = host.rt.spawn(sleep(duration));
            host.run_until([&] { return slept.done(); });
            took = steady_clock::now() - begin;
            CHECK(took >= duration);
            CHECK(host.turns <= 3);  // its start, its end, and one for libuv's whole milliseconds
        }
        CHECK(took <= duration + 50ms);
    }
}

TEST_CASE("foreign loop: the next timeout is the earliest of all, and counts from now",
          "[runtime][serial]") {
    poll_host host;
    auto late = host.rt.spawn(for_ever());
    host.settle();
    CHECK(host.rt.next_timeout().value() > 23h);
    auto early =
        host.rt.spawn([]() -> task<result<void>> { co_return co_await coproc::sleep_for(1h); }());
    host.settle();
    CHECK(host.rt.next_timeout().value() <= 1h);
    const milliseconds before = host.rt.next_timeout().value();
    std::this_thread::sleep_for(20ms);  // the host's own work, of which libuv knows nothing
    CHECK(host.rt.next_timeout().value() <= before - 20ms);
    early.cancel();
    host.settle();
    CHECK(host.rt.next_timeout().value() > 23h);
    late.cancel();
    host.settle();
    check_idle(host);
}

TEST_CASE("foreign loop: an fd that a task has begun to wait for is the host's concern at once",
          "[runtime]") {
    poll_host host;
    const auto ends = coproc::system::socket_pair().value();
    const auto read_twice = [](int fd) -> task<int> {
        std::array<std::byte, 1> byte{};
        (co_await coproc::yield()).value();
        for (int i = 0; i < 2; ++i) {
            (co_await coproc::wait_readable(fd)).value();
            coproc::system::read(fd, byte).value();
        }
        co_return 2;
    };
    const auto reading = host.rt.spawn(read_twice(ends[0].get()));
    for (int i = 0; i < 2; ++i) {
        host.rt.run_ready();  // once, and the fd is told to the kernel
        CHECK_FALSE(is_readable(host.fd));
        const std::array<std::byte, 1> byte{};
        coproc::system::write(ends[1].get(), byte).value();
        CHECK(is_readable(host.fd, 1s));
    }
    host.run_until([&] { return reading.done(); });
}

TEST_CASE("foreign loop: posts of other threads and finished work wake the host", "[runtime]") {
    poll_host host;
    host.settle();
    wait_list posted;
    const auto waiting = host.rt.spawn(wait_for(posted));
    host.settle();
    std::jthread poster([&] { host.rt.post([&] { posted.open(); }); });
    CHECK(is_readable(host.fd, 10s));
    host.run_until([&] { return waiting.done(); });
    poster.join();

    const auto work = host.rt.spawn(
        []() -> task<int> { co_return (co_await coproc::offload([] { return 7; })).value(); }());
    host.run_until([&] { return work.done(); });
    host.settle();
    check_idle(host);
}

TEST_CASE("foreign loop: a task that yields for ever starves no host", "[runtime]") {
    poll_host host;
    bool stop = false;
    long turns = 0;
    const auto spin = [](const bool& stopped, long& count) -> task<void> {
        while (!stopped) {
            ++count;
            (co_await coproc::yield()).value();
        }
    };
    const auto spinning = host.rt.spawn(spin(stop, turns));
    for (int i = 1; i <= 10; ++i) {
        host.rt.run_ready();
        CHECK(turns <= i * 4 * 256);
        CHECK(host.rt.next_timeout() == 0ms);
    }
    stop = true;
    host.run_until([&] { return spinning.done(); });
}

namespace {

void send_text(coproc::queue<std::string> to, coproc::event go) {
    auto rt = runtime::create().value();
    const auto body = [&]() -> task<void> {
        (co_await go.wait()).value();
        const std::string text = "from a child";
        (co_await to.put(text)).value();
    };
    rt.run(body());
}

/// Starts a child and gets what it sends.
task<std::string> hear_of_child(coproc::event go) {
    auto q = coproc::queue<std::string>::create().value();
    process p(send_text, q, go);
    (co_await p.start()).value();
    std::string text = (co_await q.get()).value();
    const auto status = (co_await p.join()).value();
    co_return status.success() ? text : "failed";
}

task<process> start_idle_child() {
    process p([]() -> task<void> { (co_await for_ever()).value(); });
    (co_await p.start()).value();
    co_return p;
}

}  // namespace

TEST_CASE("foreign loop: a child's messages and its end wake the host, and nothing else does",
          "[process]") {
    const coproc::testing::leak_check leaks;
    {
        poll_host host;
        const auto go = coproc::event::create().value();
        const auto heard = host.rt.spawn(hear_of_child(go));
        for (int i = 0; i < 20; ++i) host.settle();  // until it waits for the child's message
        go.set().value();
        host.run_until([&] { return heard.done(); });
        CHECK(host.turns < 100);
        CHECK(host.rt
                  .run([](auto joined) -> task<result<std::string>> {
                      co_return co_await joined;
                  }(heard))
                  .value() == "from a child");
        host.rt.run(host.rt.shutdown()).value();
    }
    leaks.done();
}

TEST_CASE("foreign loop: a child is reaped although no task lives", "[process]") {
    poll_host host;
    auto started = host.rt.run(start_idle_child());
    host.settle();
    check_idle(host);
    started.kill().value();
    CHECK(is_readable(host.fd, 10s));
    { const process dropped = std::move(started); }
    host.run_until([] { return coproc::active_children().empty(); });
    host.settle();
    check_idle(host);
    CHECK(coproc::active_children().empty());
}

TEST_CASE("foreign loop: shutdown cancels and stops, and the host may drive it", "[process]") {
    const coproc::testing::leak_check leaks;
    {
        poll_host host;
        const auto waits = host.rt.spawn(for_ever());
        auto p = host.rt.run(start_idle_child());
        const auto down = host.rt.spawn([](coproc::runtime_ref rt) -> task<result<void>> {
            co_return co_await rt.shutdown();
        }(host.rt));
        host.run_until([&] { return down.done(); });
        CHECK(waits.done());
        CHECK_FALSE(p.is_alive());
        host.settle();
        check_idle(host);
    }
    leaks.done();
}

TEST_CASE("foreign loop: what run() leaves behind is told to the host", "[runtime]") {
    poll_host host;
    host.settle();
    const auto sleep = [](coproc::runtime_ref) -> task<void> {
        (void)co_await coproc::sleep_for(10ms);
    };
    const auto leave_behind = [&](coproc::runtime_ref rt) -> task<void> {
        rt.spawn(sleep(rt));
        (co_await coproc::yield()).value();
    };
    host.rt.run(leave_behind(host.rt));
    CHECK(is_readable(host.fd, 10s));
    host.settle();
    check_idle(host);
}
