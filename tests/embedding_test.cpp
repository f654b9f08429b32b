// A guest in somebody else's program: its handles, signals and children, its threads and its forks.

#include <coproc/connection.hpp>
#include <coproc/detail/wait_list.hpp>
#include <coproc/forkserver.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>
#include <coproc/this_process.hpp>
#include <coproc/timeout.hpp>

#include "processes/launch_linux.hpp"
#include "support/co_test.hpp"
#include "support/command.hpp"
#include "support/processes.hpp"
#include "words/system.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::process;
using coproc::queue;
using coproc::result;
using coproc::runtime;
using coproc::runtime_ref;
using coproc::start_method;
using coproc::task;
using coproc::testing::leak_check;

namespace {

task<result<void>> for_ever() { co_return co_await coproc::sleep_for(24h); }
task<void> polite() { (void)co_await for_ever(); }
void impolite() {
    ::signal(SIGTERM, SIG_IGN);
    for (;;) ::pause();
}

task<process> begun(coproc::process_options options, void (*target)()) {
    process p(options, target);
    (co_await p.start()).value();
    co_return p;
}
task<process> begun(coproc::process_options options, task<void> (*target)()) {
    process p(options, target);
    (co_await p.start()).value();
    co_return p;
}

task<void> send_numbers(queue<int> to, int from, int count) {
    for (int i = 0; i < count; ++i) (co_await to.put(from + i)).value();
}

/// Two children put, a task of this process gets: the sum.
task<int> sum_of_children(int count, start_method method) {
    auto q = queue<int>::create({.max_size = 10}).value();
    process first({.method = method}, send_numbers, q, 0, count);
    process second({.method = method}, send_numbers, q, count, count);
    (co_await first.start()).value();
    (co_await second.start()).value();
    int sum = 0;
    for (int i = 0; i < 2 * count; ++i) sum += (co_await q.get()).value();
    for (auto* one : {&first, &second}) {
        const auto status = (co_await one->join()).value();
        if (!status.success()) co_return -1;
    }
    co_return sum;
}
constexpr int sum_below(int count) { return count * (count - 1) / 2; }

/// For the host, which awaits nothing.
task<void> note(task<int> work, int& value) { value = co_await std::move(work); }

/// What the kernel knows of how this process handles signals.
struct signal_setup {
    signal_setup() {
        for (int number = 1; number < NSIG; ++number) {
            struct sigaction action{};
            ::sigaction(number, nullptr, &action);
            handlers.push_back(reinterpret_cast<void*>(action.sa_handler));
        }
        ::sigset_t mask;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        for (int number = 1; number < NSIG; ++number)
            blocked.push_back(::sigismember(&mask, number) == 1);
    }
    std::vector<void*> handlers;
    std::vector<bool> blocked;
    friend bool operator==(const signal_setup&, const signal_setup&) = default;
};

template <class Handle>
uv_handle_t* as_handle(Handle& handle) {
    return reinterpret_cast<uv_handle_t*>(&handle);
}

/// A host with a ticking timer and a watched signal.
class busy_host {
 public:
    busy_host() {
        uv_loop_init(&loop);
        for (auto* handle : {as_handle(timer_), as_handle(signal_)}) handle->data = this;
        uv_timer_init(&loop, &timer_);
        timer_.data = this;
        uv_timer_start(
            &timer_, [](uv_timer_t* one) { ++static_cast<busy_host*>(one->data)->ticks; }, 1, 1);
        uv_signal_init(&loop, &signal_);
        signal_.data = this;
        uv_signal_start(
            &signal_,
            [](uv_signal_t* one, int number) {
                static_cast<busy_host*>(one->data)->signals.push_back(number);
            },
            SIGUSR1);
    }
    busy_host(const busy_host&) = delete;
    busy_host& operator=(const busy_host&) = delete;
    /// Closes clean, or fails the test.
    ~busy_host() {
        uv_close(as_handle(timer_), nullptr);
        uv_close(as_handle(signal_), nullptr);
        uv_run(&loop, UV_RUN_DEFAULT);
        CHECK(uv_loop_close(&loop) == 0);
    }
    void run_until(const std::function<bool()>& condition) {
        const auto limit = std::chrono::steady_clock::now() + 30s;
        while (!condition()) {
            REQUIRE(std::chrono::steady_clock::now() < limit);
            uv_run(&loop, UV_RUN_ONCE);
        }
    }

    /// From now on only a guest keeps the loop alive.
    void be_idle() {
        for (auto* handle : {as_handle(timer_), as_handle(signal_)}) uv_unref(handle);
    }

    uv_loop_t loop{};
    int ticks = 0;
    std::vector<int> signals;

 private:
    uv_timer_t timer_{};
    uv_signal_t signal_{};
};

task<result<void>> shut_down(runtime_ref rt) { co_return co_await rt.shutdown(); }

}  // namespace

// -- the host's own

TEST_CASE("embedding: the host's signals are its own while the guest's children come and go",
          "[process]") {
    const leak_check leaks;
    {
        busy_host host;
        const signal_setup before;
        {
            auto rt = runtime::create(&host.loop).value();
            for (const auto method : {start_method::forkserver, start_method::spawn}) {
                int sum = 0;
                const auto summing = rt.spawn(note(sum_of_children(100, method), sum));
                const std::size_t signals = host.signals.size();
                ::raise(SIGUSR1);
                host.run_until([&] { return summing.done() && host.signals.size() > signals; });
                CHECK(sum == sum_below(200));
                CHECK(before == signal_setup());
            }
            host.run_until([&, down = rt.spawn(shut_down(rt))] { return down.done(); });
        }
        CHECK(before == signal_setup());
        CHECK(host.signals == std::vector{SIGUSR1, SIGUSR1});
    }
    leaks.done();
}

TEST_CASE("embedding: a host's loop goes on after its guest and closes clean", "[process]") {
    const leak_check leaks;
    {
        busy_host host;
        for (std::size_t guests = 1; guests <= 3; ++guests) {
            int sum = 0;
            {
                auto rt = runtime::create(&host.loop).value();
                const auto work =
                    rt.spawn(note(sum_of_children(10, start_method::forkserver), sum));
                const auto down =
                    rt.spawn([](runtime_ref all, coproc::spawned<void> before) -> task<void> {
                        (co_await before).value();
                        (co_await all.shutdown()).value();
                    }(rt, work));
                host.run_until([&] { return down.done(); });
            }
            CHECK(sum == sum_below(20));
            const int ticks = host.ticks;
            ::raise(SIGUSR1);
            host.run_until([&] { return host.ticks > ticks && host.signals.size() == guests; });
        }
        CHECK(host.signals == std::vector{SIGUSR1, SIGUSR1, SIGUSR1});
    }
    leaks.done();
}

TEST_CASE("embedding: shutdown ends whatever runs within its bound", "[process][long]") {
    const leak_check leaks;
    {
        busy_host host;
        auto rt = runtime::create(&host.loop).value();
        auto never = queue<int>::create().value();
        const auto waits = rt.spawn(for_ever());
        const auto gets = rt.spawn(never.get());
        auto coroutine = rt.spawn(begun({.name = "coroutine"}, polite));
        auto plain = rt.spawn(begun({.name = "plain", .method = start_method::spawn}, [] {
            for (;;) ::pause();
        }));
        host.run_until([&] { return coroutine.done() && plain.done(); });
        // Grace is 5 s.
        if (std::getenv("COPROC_TEST_LONG") != nullptr) {
            const auto stubborn = rt.spawn(begun({.name = "stubborn"}, impolite));
            host.run_until([&] { return stubborn.done(); });
        }
        CHECK(coproc::active_children().size() >= 2);
        const auto begin = std::chrono::steady_clock::now();
        const auto down = rt.spawn(shut_down(rt));
        host.run_until([&] { return down.done(); });
        CHECK(std::chrono::steady_clock::now() - begin < 10s);
        CHECK(waits.done());
        CHECK(gets.done());
        CHECK(coproc::active_children().empty());
    }
    leaks.done();
}

// -- several users in one program

TEST_CASE("embedding: two guests of one loop do not end each other's children", "[process]") {
    const leak_check leaks;
    {
        busy_host host;
        auto stays = runtime::create(&host.loop).value();
        int sum = 0;
        auto staying = stays.spawn(note(sum_of_children(10, start_method::forkserver), sum));
        const auto child = stays.spawn(begun({.name = "staying"}, polite));
        {
            auto goes = runtime::create(&host.loop).value();
            const auto other = goes.spawn(begun({.name = "going"}, polite));
            host.run_until([&] { return other.done() && child.done() && staying.done(); });
            const auto down = goes.spawn(shut_down(goes));
            host.run_until([&] { return down.done(); });
        }
        CHECK(std::exchange(sum, 0) == sum_below(20));
        const auto left = coproc::active_children();
        REQUIRE(left.size() == 1);
        CHECK(left.front().name == "staying");
        staying = stays.spawn(note(sum_of_children(10, start_method::forkserver), sum));
        host.run_until([&] { return staying.done(); });
        CHECK(sum == sum_below(20));
        const auto down = stays.spawn(shut_down(stays));
        host.run_until([&] { return down.done(); });
    }
    leaks.done();
}

TEST_CASE("embedding: four threads with a runtime each share queues with children of their own",
          "[process]") {
    const leak_check leaks;
    std::array<int, 4> sums{};
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < sums.size(); ++i) {
            threads.emplace_back([&sum = sums.at(i), i] {
                auto rt = runtime::create().value();
                const auto method = i == 0 ? start_method::spawn : start_method::forkserver;
                for (int round = 0; round < 5; ++round) sum += rt.run(sum_of_children(50, method));
                rt.run(rt.shutdown()).value();
            });
        }
    }
    for (const int sum : sums) CHECK(sum == 5 * sum_below(100));
    CHECK(coproc::active_children().empty());
    leaks.done();
}

// -- a host that forks

namespace {

/// Runs `body` in a plain fork of this process: its exit code, or -N.
int in_a_fork(const std::function<int()>& body) {
    const ::pid_t copy = ::fork();
    if (copy == 0) {
        ::alarm(30);
        ::_exit([&]() noexcept { return body(); }());
    }
    int status = 0;
    ::waitpid(copy, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// All kinds of things that a runtime has under way: a child, a queue that a task waits at, a
/// timer.
class going_concern {
 public:
    going_concern() : rt(runtime::create().value()), numbers(queue<int>::create().value()) {
        std::tie(ours, theirs) = coproc::pipe().value();
        child.emplace(rt.run(begun({.name = "child"}, polite)));
        ends = rt.spawn(child->join());
        gets = rt.spawn(numbers.get());
        receives = rt.spawn(ours.recv<int>());
        rt.run([]() -> task<void> { (co_await coproc::sleep_for(1ms)).value(); }());
    }
    /// It is as well as ever.
    void check() {
        rt.run(send_numbers(numbers, 5, 1));
        rt.run(theirs.send(6)).value();
        const auto got =
            rt.run([](auto one) -> task<result<int>> { co_return co_await one; }(gets));
        CHECK(got.value() == 5);
        const auto received = rt.run([](auto one) -> task<result<int>> {
            co_return co_await coproc::timeout(10s, one);
        }(receives));
        CHECK(received.value() == 6);
        CHECK(child->is_alive());
        child->terminate().value();
        const auto end = rt.run([](auto one) -> task<result<coproc::exit_status>> {
            co_return co_await coproc::timeout(10s, one);
        }(ends));
        CHECK(end.value().signal() == SIGTERM);
        CHECK(rt.run(sum_of_children(10, start_method::forkserver)) == sum_below(20));
        rt.run(rt.shutdown()).value();
    }

    runtime rt;
    queue<int> numbers;
    coproc::connection ours;
    coproc::connection theirs;
    std::optional<process> child;
    coproc::spawned<result<coproc::exit_status>> ends;
    coproc::spawned<result<int>> gets;
    coproc::spawned<result<int>> receives;
};

int live_anew() {
    auto rt = runtime::create().value();
    const int sum = rt.run(sum_of_children(10, start_method::forkserver));
    rt.run(rt.shutdown()).value();
    return sum == sum_below(20) && coproc::active_children().empty() ? 7 : 1;
}

}  // namespace

TEST_CASE("embedding: a fork that begins anew leaves the parent's runtime alone", "[process]") {
    const leak_check leaks;
    {
        going_concern parent;
        CHECK(in_a_fork([] { return 3; }) == 3);
        const auto close_line = [&] {
            parent.ours.close();
            return 4;
        };
        CHECK(in_a_fork(close_line) == 4);
        CHECK(in_a_fork(live_anew) == 7);
        parent.check();
    }
    leaks.done();
}

TEST_CASE("embedding: the children of a fork end with it and not with its parent's", "[process]") {
    const leak_check leaks;
    {
        going_concern parent;
        const auto told = coproc::system::socket_pair().value();
        const ::pid_t copy = ::fork();
        if (copy == 0) {
            ::alarm(30);
            auto rt = runtime::create().value();
            const process child = rt.run(begun({}, impolite));
            const int pid = child.pid();
            (void)coproc::system::write(told[1].get(), std::as_bytes(std::span(&pid, 1)));
            for (;;) ::pause();
        }
        int pid = 0;
        coproc::system::wait_until_readable(told[0].get(), 20s);
        coproc::system::read(told[0].get(), std::as_writable_bytes(std::span(&pid, 1))).value();
        CHECK(coproc::testing::is_running(pid));
        ::kill(copy, SIGKILL);
        ::waitpid(copy, nullptr, 0);
        CHECK(parent.rt.run(
            coproc::testing::eventually([pid] { return !coproc::testing::is_running(pid); })));
        parent.check();
    }
    leaks.done();
}

TEST_CASE("embedding: a fork may destroy its copy of a runtime", "[process]") {
    const leak_check leaks;
    {
        std::optional<runtime> rt(runtime::create().value());
        std::optional<process> child(rt->run(begun({.name = "child"}, polite)));
        // Without an fd, but with a wake-up that is under way.
        std::optional<runtime> other(runtime::create().value());
        coproc::detail::wait_list posted;
        other->post([&] { posted.open(); });
        const auto destroy_all = [&] {
            child.reset();
            rt.reset();
            other.reset();
            return live_anew();
        };
        CHECK(in_a_fork(destroy_all) == 7);
        CHECK(other->run(coproc::timeout(10s, posted.wait())).has_value());
        child->terminate().value();
        const auto end = rt->run(coproc::timeout(10s, child->join()));
        CHECK(end.value().signal() == SIGTERM);
        CHECK(rt->run(sum_of_children(10, start_method::forkserver)) == sum_below(20));
        rt->run(rt->shutdown()).value();
    }
    leaks.done();
}

TEST_CASE("embedding: a fork that can open nothing may destroy its copy of a runtime",
          "[process]") {
    const leak_check leaks;
    {
        std::optional<runtime> rt(runtime::create().value());
        std::optional<process> child(rt->run(begun({.name = "child"}, polite)));
        const int fd = rt->fd();
        const auto destroy_all = [&](::rlim_t most_fds) {
            ::rlimit before{};
            ::getrlimit(RLIMIT_NOFILE, &before);
            const ::rlimit few{most_fds, before.rlim_max};
            ::setrlimit(RLIMIT_NOFILE, &few);
            child.reset();
            rt.reset();
            ::setrlimit(RLIMIT_NOFILE, &before);
            return live_anew();
        };
        CHECK(in_a_fork([&] { return destroy_all(0); }) == 7);
        // Enough for libuv's epoll set, which is the first that it opens anew.
        CHECK(in_a_fork([&] { return destroy_all(static_cast<::rlim_t>(fd) + 1); }) == 7);
        child->terminate().value();
        const auto end = rt->run(coproc::timeout(10s, child->join()));
        CHECK(end.value().signal() == SIGTERM);
        rt->run(rt->shutdown()).value();
    }
    leaks.done();
}

namespace {

/// In a fork server: it serves nobody, and stays.
void hang_up() {
    ::close(coproc::detail::control_fd_in_child);
    for (;;) ::pause();
}

int reaps = 0;

}  // namespace

TEST_CASE("embedding: a fork does not wait for fork servers that are ending", "[process]") {
    const leak_check leaks;
    {
        std::optional<runtime> rt(runtime::create().value());
        // The lifeline lasts as long as one who needs it.
        const process child = rt->run(begun({.method = start_method::spawn}, polite));
        coproc::set_forkserver_preload(hang_up).value();
        coproc::system::set_fault_hook([](const char* call) noexcept {
            return std::strcmp(call, "pidfd_send_signal") == 0 ? EPERM : 0;
        });
        CHECK(rt->run(sum_of_children(10, start_method::forkserver)) == sum_below(20));
        const auto destroy = [&] {
            coproc::system::set_fault_hook([](const char* call) noexcept {
                reaps += std::strcmp(call, "waitid") == 0 ? 1 : 0;
                return 0;
            });
            rt.reset();
            return reaps;
        };
        CHECK(coproc::testing::children_of(::getpid()).size() > 1);
        CHECK(in_a_fork(destroy) == 0);
        coproc::system::set_fault_hook(nullptr);
        coproc::set_forkserver_preload(nullptr).value();
        for (const ::pid_t one : coproc::testing::children_of(::getpid())) ::kill(one, SIGKILL);
        rt->run(rt->shutdown()).value();
    }
    leaks.done();
}

TEST_CASE("embedding: a fork may destroy its copy of a guest and the host's loop goes on",
          "[process]") {
    const leak_check leaks;
    {
        busy_host host;
        std::optional<runtime> rt(runtime::create(&host.loop).value());
        auto started = rt->spawn(begun({.name = "child"}, polite));
        host.run_until([&] { return started.done(); });
        const auto destroy = [&] {
            rt.reset();
            return live_anew();
        };
        CHECK(in_a_fork(destroy) == 7);
        const int ticks = host.ticks;
        ::raise(SIGUSR1);
        host.run_until([&] { return host.ticks > ticks && host.signals.size() == 1; });
        for (const auto& one : coproc::active_children()) ::kill(one.pid, SIGTERM);
        host.run_until([] { return coproc::active_children().empty(); });
        const auto down = rt->spawn(shut_down(*rt));
        host.run_until([&] { return down.done(); });
    }
    leaks.done();
}

namespace {

task<void> note_number(coproc::connection& from, int& number) {
    number = (co_await from.recv<int>()).value();
}
task<void> note_time(int& times) {
    for (;;) {
        (co_await coproc::sleep_for(1ms)).value();
        ++times;
    }
}

int rings = 0;

/// The loop's turns in so many of the host's ticks.
int turns_in(busy_host& host, int ticks) {
    const int end = host.ticks + ticks;
    int turns = 0;
    for (; host.ticks < end; ++turns) uv_run(&host.loop, UV_RUN_ONCE);
    return turns;
}

/// What a fork sees of the guest while its own copy of the host's loop ticks.
int run_on(busy_host& host, const std::function<bool()>& is_unchanged, coproc::connection& copied) {
    if (uv_loop_fork(&host.loop) != 0) return 1;
    // It looks at nothing again and again.
    if (turns_in(host, 20) > 50) return 2;
    if (!is_unchanged()) return 3;
    copied.close();
    if (turns_in(host, 20) > 50) return 4;
    host.be_idle();
    if (uv_run(&host.loop, UV_RUN_DEFAULT) != 0) return 5;
    return live_anew();
}

}  // namespace

TEST_CASE("embedding: a fork may run its host's loop in which the copy of a guest does nothing",
          "[process]") {
    const leak_check leaks;
    {
        busy_host host;
        auto rt = runtime::create(&host.loop).value();
        auto other = runtime::create().value();
        auto [ours, theirs] = coproc::pipe().value();
        int number = 0;
        int sum = 0;
        int times = 0;
        bool posted = false;
        const auto receives = rt.spawn(note_number(ours, number));
        const auto sleeps = rt.spawn(note_time(times));
        const auto starts = rt.spawn(begun({.name = "child"}, polite));
        for (int turns = 0; turns < 2; ++turns) uv_run(&host.loop, UV_RUN_NOWAIT);
        // What is under way when it forks is the parent's.
        other.run(theirs.send(6)).value();
        rt.post([&] { posted = true; });
        rings = 0;
        coproc::detail::alarm soon([](coproc::detail::alarm&) noexcept { ++rings; });
        soon.start(rt.home(), coproc::clock::now() + 1ms);
        const int before = times;
        const bool has_started = starts.done();
        const auto is_unchanged = [&] {
            return number == 0 && times == before && rings == 0 && !posted &&
                   starts.done() == has_started;
        };
        const auto copy = [&] { return run_on(host, is_unchanged, ours); };
        CHECK(in_a_fork(copy) == 7);
        const auto ready = rt.spawn(note(sum_of_children(10, start_method::forkserver), sum));
        CHECK(in_a_fork(copy) == 7);
        host.run_until([&] { return receives.done() && starts.done() && ready.done(); });
        CHECK(number == 6);
        CHECK(sum == sum_below(20));
        CHECK(times > before);
        CHECK(rings == 1);
        CHECK(posted);
        const auto down = rt.spawn(shut_down(rt));
        host.run_until([&] { return down.done(); });
        CHECK(sleeps.done());
    }
    leaks.done();
}

namespace {

task<void> count_turns(int& turns) {
    for (; turns >= 0; ++turns) (co_await coproc::yield()).value();
}

/// Called back after the loop has waited, as what an fd makes ready is.
struct forking_handle {
    uv_async_t async;
    const int& turns;
    int turns_before = -1;
    ::pid_t copy = -1;

    static void fork(uv_async_t* handle) {
        auto& self = *static_cast<forking_handle*>(handle->data);
        self.turns_before = self.turns;
        self.copy = ::fork();
    }
};

}  // namespace

TEST_CASE("embedding: a fork in the middle of a turn resumes nothing of the copied guest",
          "[process]") {
    const leak_check leaks;
    {
        busy_host host;
        std::optional<runtime> rt(runtime::create(&host.loop).value());
        int turns = 0;
        const auto turning = rt->spawn(count_turns(turns));
        host.run_until([&] { return turns > 0; });
        forking_handle here{{}, turns};
        uv_async_init(&host.loop, &here.async, &forking_handle::fork);
        here.async.data = &here;
        uv_async_send(&here.async);
        while (here.copy < 0) uv_run(&host.loop, UV_RUN_NOWAIT);
        if (here.copy == 0) ::_exit(turns == here.turns_before ? 3 : 4);
        CHECK(turns > here.turns_before);
        int status = 0;
        REQUIRE(::waitpid(here.copy, &status, 0) == here.copy);
        CHECK(WEXITSTATUS(status) == 3);
        uv_close(reinterpret_cast<uv_handle_t*>(&here.async), nullptr);
        turns = -2;
        const auto down = rt->spawn(shut_down(*rt));
        host.run_until([&] { return down.done() && turning.done(); });
    }
    leaks.done();
}
