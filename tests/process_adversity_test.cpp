// Everything that can go wrong around a process, made to go wrong.

#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/runtime.hpp>
#include <coproc/scope.hpp>
#include <coproc/sleep.hpp>
#include <coproc/this_process.hpp>
#include <coproc/timeout.hpp>

#include "channels/message_socket.hpp"
#include "processes/control.hpp"
#include "support/co_test.hpp"
#include "support/command.hpp"
#include "support/processes.hpp"
#include "support/sandbox.hpp"
#include "words/system.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

extern char** environ;

using namespace std::chrono_literals;
using coproc::errc;
using coproc::exit_status;
using coproc::process;
using coproc::process_options;
using coproc::result;
using coproc::runtime;
using coproc::start_method;
using coproc::task;
using coproc::testing::actor;
using coproc::testing::ask;
using coproc::testing::each_method;
using coproc::testing::eventually;
using coproc::testing::is_running;
using coproc::testing::leak_check;
using coproc::testing::quiet_stderr;
using coproc::testing::run_to_end;
namespace control = coproc::detail::control;

namespace {

// -- targets

int give(int code) { return code; }
task<int> give_later(int code) {
    (co_await coproc::yield()).value();
    co_return code;
}
task<result<void>> for_ever() { co_return co_await coproc::sleep_for(24h); }
void kill_itself() { ::kill(::getpid(), SIGKILL); }
void spin() {
    for (std::atomic<unsigned long> turns = 0;;) ++turns;
}
void throw_something() { throw std::runtime_error("torn"); }
int count_bytes(const std::vector<std::byte>& bytes) {
    return static_cast<int>(bytes.size() / 1000000);
}

// -- the world's refusals

/// Refuses calls by their number, or by their name, from a certain call on or only that one.
struct refusals {
    static inline std::atomic<int> count = 0;
    static inline std::atomic<int> first = 0;
    static inline std::atomic<int> last = 0;
    static inline std::atomic<const char*> name = nullptr;
    static inline std::atomic<const char*> refused = nullptr;

    static int hook(const char* call) noexcept {
        if (const char* wanted = name; wanted != nullptr) {
            return std::strcmp(call, wanted) == 0 ? ENOTTY : 0;
        }
        const int number = ++count;
        if (number < first || number > last) return 0;
        refused = call;
        // A wait on a child of ours can only be told that somebody else has reaped it; once, as
        // here that is not true.
        if (std::strcmp(call, "waitid") == 0) return first == last ? ECHILD : 0;
        return EMFILE;
    }

    /// The calls number `from` to `to`, counted from now.
    refusals(int from, int to) {
        count = 0;
        first = from;
        last = to;
        name = nullptr;
        refused = nullptr;
        coproc::system::set_fault_hook(&hook);
    }
    explicit refusals(const char* by_name) {
        name = by_name;
        coproc::system::set_fault_hook(&hook);
    }
    refusals(const refusals&) = delete;
    refusals& operator=(const refusals&) = delete;
    ~refusals() { coproc::system::set_fault_hook(nullptr); }
};

std::string printed(const process& one) { return one.to_string(); }

}  // namespace

// -- every system call fails once

CO_TEST_CASE(
    "process: whichever call of a start and a join is refused, it is a result, and a later "
    "start works",
    "[process]") {
    bool went_through = false;
    int n = 1;
    for (; !went_through; ++n) {
        process p({.name = "unlucky"}, give, 7);
        bool started = false;
        bool joined = false;
        {
            const refusals one(n, n);
            const auto start = co_await p.start();
            started = start.has_value();
            if (started) {
                const auto status = co_await p.join();
                joined = status.has_value() && status.value().code() == 7;
                CAPTURE(n, refusals::refused.load());
                CHECK(joined);  // the kernel's word, or the child's own
            } else {
                CAPTURE(n, refusals::refused.load());
                CHECK(start.error() == std::errc::too_many_files_open);
                CHECK(printed(p) == "<process(unlucky, initial)>");
            }
            went_through = refusals::refused == nullptr;
        }
        if (!started) {
            const auto status = (co_await run_to_end(p)).value();
            CHECK(status.code() == 7);
        }
        CHECK(coproc::active_children().empty());
        REQUIRE(n < 200);
    }
    CHECK(n > 8);
}

CO_TEST_CASE("process: when everything is refused from some call on, a start still ends",
             "[process]") {
    bool went_through = false;
    for (int n = 1; !went_through; ++n) {
        process p({.name = "unlucky"}, give, 7);
        std::optional<result<void>> start;
        {
            const refusals all(n, 1000000);
            start.emplace(co_await coproc::timeout(10s, p.start()));
            went_through = refusals::refused == nullptr;
        }
        CAPTURE(n);
        if (!*start) {
            CHECK(start->error() == std::errc::too_many_files_open);
            CHECK(printed(p) == "<process(unlucky, initial)>");
            start.emplace(co_await p.start());
        }
        start->value();
        const auto status = (co_await p.join()).value();
        CHECK(status.code() == 7);
        REQUIRE(n < 200);
    }
}

// -- somebody else reaps

CO_TEST_CASE("process: exact statuses although the host ignores SIGCHLD", "[process]") {
    const process_options options{.method = GENERATE(each_method())};
    const quiet_stderr quiet;
    struct sigaction before{};
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGCHLD, &ignore, &before);
    process seven(options, give, 7);
    process killed(options, kill_itself);
    process thrown(options, throw_something);
    const auto code = co_await run_to_end(seven);
    const auto signal = co_await run_to_end(killed);
    const auto exception = co_await run_to_end(thrown);
    refusals execve("execve");
    process never({.method = coproc::start_method::spawn}, give, 1);
    const auto refused = co_await never.start();  // its own wait for the child must not hang
    ::sigaction(SIGCHLD, &before, nullptr);
    CHECK(code.value().code() == 7);
    CHECK(signal.value().code() == -SIGKILL);
    CHECK(exception.value().code() == 1);
    CHECK(exception.value().exception_message() == "torn");
    CHECK_FALSE(refused.has_value());
}

namespace {

/// A host whose main concern is that no zombie is left.
class thief {
 public:
    thief() : thread_([this] { steal(); }) {}
    thief(const thief&) = delete;
    thief& operator=(const thief&) = delete;
    ~thief() {
        done_ = true;
        thread_.join();
    }
    int stolen() const noexcept { return stolen_; }

 private:
    void steal() {
        while (!done_) {
            if (::waitpid(-1, nullptr, WNOHANG) > 0) {
                ++stolen_;
            } else {
                std::this_thread::yield();
            }
        }
    }

    std::atomic<bool> done_ = false;
    std::atomic<int> stolen_ = 0;
    std::thread thread_;
};

/// Waits for the end of `one` and reaps it, before the loop can.
void steal(const process& one) {
    int status = 0;
    while (::waitpid(one.pid(), &status, 0) < 0 && errno == EINTR) {}
}

}  // namespace

CO_TEST_CASE("process: exact statuses although a thread of the host reaps everything",
             "[process]") {
    const process_options options{.method = GENERATE(each_method())};
    const int lives = options.method == start_method::spawn ? 10 : 50;
    const thief other;
    for (int i = 0; i < lives; ++i) {
        process seven(options, give, i);
        process killed(options, kill_itself);
        (co_await seven.start()).value();
        (co_await killed.start()).value();
        const auto code = co_await coproc::timeout(60s, seven.join());
        const auto signal = co_await coproc::timeout(60s, killed.join());
        CHECK(code.value().code() == i);
        CHECK(signal.value().code() == -SIGKILL);
    }
    INFO("stolen: " << other.stolen());
    CHECK(other.stolen() <= 2 * lives);
}

CO_TEST_CASE("process: on a kernel that does not tell, a thief's victim speaks for itself",
             "[process]") {
    const start_method method = GENERATE(each_method());
    const process_options options{.method = method};
    const quiet_stderr quiet;
    const refusals old_kernel("pidfd_info");
    for (const int code : {0, 7, 255}) {
        process p(options, give, code);
        (co_await p.start()).value();
        steal(p);
        const auto status = co_await coproc::timeout(10s, p.join());
        CHECK(status.value().code() == code);
        CHECK(p.exit_code() == code);
    }
    process by_exit(options, ::exit, 9);
    (co_await by_exit.start()).value();
    steal(by_exit);
    const auto nine = co_await coproc::timeout(10s, by_exit.join());
    CHECK(nine.value().code() == 9);

    process quick({.quick_exit = true, .method = method}, give_later, 11);
    (co_await quick.start()).value();
    steal(quick);
    const auto eleven = co_await coproc::timeout(10s, quick.join());
    CHECK(eleven.value().code() == 11);

    process thrown(options, throw_something);
    (co_await thrown.start()).value();
    steal(thrown);
    const auto exception = co_await coproc::timeout(10s, thrown.join());
    CHECK(exception.value().code() == 1);
    CHECK(exception.value().exception_message() == "torn");
}

CO_TEST_CASE("process: a death that only the thief has seen is status_lost, at once", "[process]") {
    const process_options options{.name = "victim", .method = GENERATE(each_method())};
    const refusals old_kernel("pidfd_info");
    process p(options, kill_itself);
    (co_await p.start()).value();
    steal(p);
    CHECK_FALSE(p.is_alive());
    CHECK_FALSE(p.exit_code().has_value());
    CHECK(printed(p) == "<process(victim, stopped[lost])>");
    const auto status = co_await coproc::timeout(10s, p.join());
    REQUIRE_FALSE(status.has_value());
    CHECK(status.error() == errc::status_lost);
    CHECK(status.error().message().find("victim") != std::string::npos);
    CHECK(p.kill().has_value());
    const auto stopped = co_await p.stop(1h);
    CHECK(stopped.error() == errc::status_lost);
    CHECK(p.close().has_value());
}

namespace {
/// Something that the target forks by itself leaves through exit(); then the target is killed.
void fork_and_die() {
    const ::pid_t pid = ::fork();
    if (pid == 0) std::exit(5);
    ::waitpid(pid, nullptr, 0);
    ::kill(::getpid(), SIGKILL);
}
}  // namespace

CO_TEST_CASE("process: a process forked by the target does not speak for it", "[process]") {
    const process_options options{.method = GENERATE(each_method())};
    const refusals old_kernel("pidfd_info");
    process p(options, fork_and_die);
    (co_await p.start()).value();
    steal(p);
    const auto status = co_await coproc::timeout(10s, p.join());
    REQUIRE_FALSE(status.has_value());
    CHECK(status.error() == errc::status_lost);
}

// -- killed before, during and after its bootstrap

CO_TEST_CASE("process: killed as soon as it is started", "[process]") {
    for (int i = 0; i < 20; ++i) {
        process p(for_ever);
        (co_await p.start()).value();
        p.kill().value();
        const auto status = (co_await p.join()).value();
        CHECK(status.code() == -SIGKILL);
    }
}

CO_TEST_CASE(
    "process: killed in the middle of its bootstrap, the start is done and the status "
    "says the rest",
    "[process]") {
    const std::vector<std::byte> big(20000000);
    for (int turns = 1; turns < 20; ++turns) {
        process p(count_bytes, big);
        const auto body = [&](coproc::scope& s) -> task<result<void>> {
            s.spawn(
                [](process& one) -> task<result<void>> {
                    COPROC_CO_TRY(co_await one.start());
                    co_return coproc::success();
                },
                std::ref(p));
            for (int i = 0; i < turns; ++i) {
                COPROC_CO_TRY(co_await coproc::yield());
            }
            if (p.pid() != 0) ::kill(p.pid(), SIGKILL);
            co_return coproc::success();
        };
        (co_await coproc::with_scope(body)).value();
        const auto status = (co_await p.join()).value();
        CHECK((status.code() == -SIGKILL || status.code() == 20));
        CHECK(coproc::active_children().empty());
    }
}

CO_TEST_CASE("process: killed while it is stopped in the middle of its bootstrap", "[process]") {
    process p(count_bytes, std::vector<std::byte>(20000000));
    const auto body = [&](coproc::scope& s) -> task<result<void>> {
        s.spawn(
            [](process& one) -> task<result<void>> {
                COPROC_CO_TRY(co_await one.start());
                co_return coproc::success();
            },
            std::ref(p));
        const bool begun = co_await eventually([&] { return p.pid() != 0; });
        CHECK(begun);
        ::kill(p.pid(), SIGSTOP);  // now the parent's send is stuck
        COPROC_CO_TRY(co_await coproc::sleep_for(20ms));
        ::kill(p.pid(), SIGKILL);
        co_return coproc::success();
    };
    (co_await coproc::with_scope(body)).value();
    const auto status = (co_await p.join()).value();
    CHECK((status.code() == -SIGKILL || status.code() == 20));
}

CO_TEST_CASE("process: stop reaches one that is stopped in the middle of its bootstrap",
             "[process]") {
    process p(count_bytes, std::vector<std::byte>(20000000));
    const auto body = [&](coproc::scope& s) -> task<result<void>> {
        s.spawn(
            [](process& one) -> task<result<void>> {
                const auto started = co_await one.start();
                CHECK(started.error() == errc::canceled);
                co_return coproc::success();
            },
            std::ref(p));
        const bool begun = co_await eventually([&] { return p.pid() != 0; });
        CHECK(begun);
        ::kill(p.pid(), SIGSTOP);
        COPROC_CO_TRY(co_await coproc::sleep_for(20ms));
        s.cancel();
        co_return coproc::success();
    };
    (co_await coproc::with_scope(body)).value();
    CHECK(p.pid() == 0);
    CHECK(printed(p) == "<process(" + p.name() + ", initial)>");
}

// -- the family ends with its root

namespace {

/// Starts a child like itself, `depth` generations deep, the last of which never gives in.
task<result<void>> family(start_method method, int depth, coproc::connection pids) {
    COPROC_CO_TRY(co_await pids.send(::getpid()));
    if (depth == 0) spin();
    const process_options options{.method = method};
    process child(options, family, method, depth - 1, std::move(pids));
    COPROC_CO_TRY(co_await child.start());
    co_return co_await for_ever();
}

task<std::vector<::pid_t>> begin_family(process& root, coproc::connection& pids, int depth) {
    (co_await root.start()).value();
    std::vector<::pid_t> all;
    for (int i = 0; i <= depth; ++i) all.push_back((co_await pids.recv<int>()).value());
    co_return all;
}

}  // namespace

CO_TEST_CASE("process: a parent's kill -9 ends its children and their children, busy or not",
             "[process]") {
    constexpr int depth = 3;
    const process_options options{.method = GENERATE(each_method())};
    auto [ours, theirs] = coproc::pipe().value();
    process root(options, family, options.method, depth, std::move(theirs));
    const auto all = co_await begin_family(root, ours, depth);
    // With the fork servers of each.
    std::set<::pid_t> everybody(all.begin(), all.end());
    for (const ::pid_t pid : all) {
        for (const ::pid_t one : coproc::testing::children_of(pid)) everybody.insert(one);
    }
    const bool have_servers = options.method == start_method::forkserver;
    CHECK((everybody.size() > all.size()) == have_servers);
    for (const ::pid_t pid : everybody) CHECK(is_running(pid));
    root.kill().value();
    (co_await root.join()).value();
    const bool gone = co_await eventually([&] {
        for (const ::pid_t pid : everybody) {
            if (is_running(pid)) return false;
        }
        return true;
    });
    CHECK(gone);
    const auto end = co_await ours.recv<int>();
    CHECK(end.error() == errc::end_of_stream);
}

namespace {

/// Kills the parent: its child ends, a plain fork of it does not.
void leave_only_the_fork(const actor& parent, ::pid_t child, ::pid_t fork) {
    parent.send_signal(SIGKILL);
    for (int i = 0; i < 5000 && is_running(child); ++i) ::usleep(1000);
    CHECK_FALSE(is_running(child));
    CHECK(is_running(fork));
    ::kill(fork, SIGKILL);
    if (is_running(child)) ::kill(child, SIGKILL);
}

}  // namespace

TEST_CASE("process: a plain fork of the parent does not keep its children alive", "[process]") {
    actor parent({"fork_beside_a_child"});
    const int fork = std::stoi(parent.line_after("fork "));
    const int child = std::stoi(parent.line_after("child "));
    leave_only_the_fork(parent, child, fork);
}

TEST_CASE(
    "process: a plain fork of the parent does not keep its death from a child that is to be "
    "canceled then",
    "[process]") {
    actor parent({"fork_beside_a_careful_child"});
    const int fork = std::stoi(parent.line_after("fork "));
    const int child = std::stoi(parent.line_after("child "));
    leave_only_the_fork(parent, child, fork);
    CHECK(parent.line() == "child was canceled");
}

CO_TEST_CASE("process: stop of a child ends its children, too", "[process]") {
    const process_options options{.method = GENERATE(each_method())};
    const quiet_stderr quiet;
    constexpr int depth = 2;
    auto [ours, theirs] = coproc::pipe().value();
    process root(options, family, options.method, depth, std::move(theirs));
    const auto all = co_await begin_family(root, ours, depth);
    // The last one spins, and so its parent waits for it: the grace is used up, and both are
    // killed.
    (co_await root.stop(50ms)).value();
    const bool gone = co_await eventually([&] {
        for (const ::pid_t pid : all) {
            if (is_running(pid)) return false;
        }
        return true;
    });
    CHECK(gone);
}

namespace {
struct says_goodbye {
    task<int> operator()(coproc::event ready, coproc::event cleaned) const {
        ready.set().value();
        const auto waited = co_await for_ever();
        if (!waited && waited.error() == errc::canceled) cleaned.set().value();
        co_return 0;
    }
};
void spin_when_ready(coproc::event ready) {
    ready.set().value();
    spin();
}
task<result<void>> parent_of_the_careful(coproc::connection pids, coproc::event ready,
                                         coproc::event cleaned, coproc::event ready_plain) {
    process careful({.on_parent_death = coproc::parent_death::cancel}, says_goodbye(), ready,
                    cleaned);
    process plain({.on_parent_death = coproc::parent_death::cancel}, spin_when_ready, ready_plain);
    COPROC_CO_TRY(co_await careful.start());
    COPROC_CO_TRY(co_await plain.start());
    COPROC_CO_TRY(co_await pids.send(careful.pid()));
    COPROC_CO_TRY(co_await pids.send(plain.pid()));
    co_return co_await for_ever();
}
}  // namespace

CO_TEST_CASE(
    "process: with parent_death::cancel a coroutine gets to clean up, a plain target is "
    "killed",
    "[process]") {
    const auto ready = coproc::event::create().value();
    const auto cleaned = coproc::event::create().value();
    const auto ready_plain = coproc::event::create().value();
    auto [ours, theirs] = coproc::pipe().value();
    process middle(parent_of_the_careful, std::move(theirs), ready, cleaned, ready_plain);
    (co_await middle.start()).value();
    const auto careful = (co_await ours.recv<int>()).value();
    const auto plain = (co_await ours.recv<int>()).value();
    (co_await ready.wait()).value();
    (co_await ready_plain.wait()).value();
    CHECK_FALSE(cleaned.is_set());
    middle.kill().value();
    (co_await middle.join()).value();
    const auto said = co_await coproc::timeout(10s, cleaned.wait());
    CHECK(said.has_value());
    const bool gone =
        co_await eventually([&] { return !is_running(careful) && !is_running(plain); });
    CHECK(gone);
}

// -- many

// Under AddressSanitizer a spawned child takes 100 MB and 100 ms.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool is_slow = true;
#else
constexpr bool is_slow = false;
#endif

namespace {

/// As many as the system allows.
class many_fds {
 public:
    many_fds() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const ::rlimit all{before_.rlim_max, before_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &all);
    }
    many_fds(const many_fds&) = delete;
    many_fds& operator=(const many_fds&) = delete;
    ~many_fds() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
    ::rlimit before_{};
};

task<int> wait_for_event(coproc::event go, int code) {
    (co_await go.wait()).value();
    co_return code;
}

task<void> end_together(int count, coproc::start_method method) {
    const many_fds enough;
    const auto go = coproc::event::create().value();
    std::vector<process> all;
    for (int i = 0; i < count; ++i) {
        const process_options options{.method = method};
        (co_await all.emplace_back(options, wait_for_event, go, i % 251).start()).value();
    }
    CHECK(std::ssize(coproc::active_children()) == count);
    go.set().value();
    for (int i = 0; i < count; ++i) {
        const auto status = (co_await all[static_cast<std::size_t>(i)].join()).value();
        CHECK(status.code() == i % 251);
    }
    CHECK(coproc::active_children().empty());
}

}  // namespace

CO_TEST_CASE("process: 1000 children that end at the same moment", "[process][forkserver][long]") {
    co_await end_together(is_slow ? 200 : 1000, coproc::start_method::forkserver);
}

CO_TEST_CASE("process: 500 spawned children that end at the same moment", "[process][long]") {
    co_await end_together(is_slow ? 60 : 500, coproc::start_method::spawn);
}

namespace {

/// Although nobody looks at them meanwhile.
bool are_dead(const std::vector<process>& all) {
    for (int turns = 0; turns < 10'000; ++turns) {
        if (std::ranges::none_of(all, [](const auto& one) { return is_running(one.pid()); })) {
            return true;
        }
        ::usleep(1000);
    }
    return false;
}

}  // namespace

CO_TEST_CASE("process: all that are killed while the loop stands still are told to be",
             "[process][forkserver][long]") {
    const int count = coproc::testing::is_long() && !is_slow ? 1000 : 200;
    const many_fds enough;
    std::vector<process> all;
    for (int i = 0; i < count; ++i) (co_await all.emplace_back(for_ever).start()).value();
    for (auto& one : all) one.kill().value();
    REQUIRE(are_dead(all));
    for (auto& one : all) {
        const auto status = (co_await one.join()).value();
        CHECK(status.code() == -SIGKILL);
    }
    CHECK(coproc::active_children().empty());
}

CO_TEST_CASE("process: too few fds are a result, whichever fd it is that is missing", "[process]") {
    ::rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    std::size_t open = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
        ++open;
    }
    int refused = 0;
    process p(give, 7);
    for (std::size_t spare = 0; spare < 12; ++spare) {
        ::rlimit tight = before;
        tight.rlim_cur = open + spare;
        ::setrlimit(RLIMIT_NOFILE, &tight);
        const auto started = co_await p.start();
        ::setrlimit(RLIMIT_NOFILE, &before);
        CAPTURE(spare);
        if (started) break;
        ++refused;
        CHECK(started.error() == std::errc::too_many_files_open);
        CHECK(p.pid() == 0);
    }
    CHECK(refused >= 3);
    const auto status = co_await p.join();  // it was started at last
    CHECK(status.has_value());
}

CO_TEST_CASE("process: many starts until the fds are used up, and again when there are some",
             "[process]") {
    ::rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    ::rlimit tight = before;
    tight.rlim_cur = 60;
    ::setrlimit(RLIMIT_NOFILE, &tight);
    std::vector<process> all;
    bool full = false;
    while (!full && all.size() < 60) {
        auto& one = all.emplace_back(for_ever);
        const auto started = co_await one.start();
        full = !started;
        if (!started) CHECK(started.error() == std::errc::too_many_files_open);
    }
    CHECK(full);
    for (auto& one : all) (void)one.kill();
    (co_await all.front().join()).value();
    all.erase(all.begin());
    const auto again = co_await all.back().start();
    ::setrlimit(RLIMIT_NOFILE, &before);
    CHECK(again.has_value());
    all.back().kill().value();
    for (auto& one : all) (co_await one.join()).value();
}

namespace {

task<void> live_in_a_row(int count, coproc::start_method method) {
    const auto count_fds = [] {
        std::size_t found = 0;
        for ([[maybe_unused]] const auto& entry :
             std::filesystem::directory_iterator("/proc/self/fd")) {
            ++found;
        }
        return found;
    };
    std::size_t after_the_first = 0;
    for (int i = 0; i < count; ++i) {
        process p({.quick_exit = true, .method = method}, give, i % 200);
        const auto status = (co_await run_to_end(p)).value();
        REQUIRE(status.code() == i % 200);
        p.close().value();
        if (i == 0) after_the_first = count_fds();
    }
    CHECK(count_fds() == after_the_first);
}

}  // namespace

CO_TEST_CASE("process: 10000 lives in a row leave no fd behind", "[process][forkserver][long]") {
    co_await live_in_a_row(is_slow ? 1000 : 10000, coproc::start_method::forkserver);
}

CO_TEST_CASE("process: 2000 spawned lives in a row leave no fd behind", "[process][long]") {
    co_await live_in_a_row(is_slow ? 100 : 2000, coproc::start_method::spawn);
}

// -- hosts of all kinds

CO_TEST_CASE("process: starts while other threads allocate as fast as they can", "[process]") {
    std::atomic<bool> done = false;
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
        threads.emplace_back([&done] {
            std::vector<std::unique_ptr<std::string>> kept(64);
            for (std::size_t i = 0; !done; ++i) {
                kept[i % kept.size()] = std::make_unique<std::string>(i % 5000, 'x');
            }
        });
    }
    bool all_well = true;
    for (int i = 0; i < 50; ++i) {
        process p({.quick_exit = true}, give, i);
        const auto status = co_await run_to_end(p);
        all_well = all_well && status && status.value().code() == i;
    }
    done = true;
    for (auto& one : threads) one.join();
    CHECK(all_well);
}

TEST_CASE("process: two runtimes in two threads start children of their own", "[process]") {
    const leak_check leaks;
    std::array<int, 2> well{};
    const auto live = [&well](std::size_t me) {
        auto rt = runtime::create().value();
        const auto body = [&]() -> task<void> {
            for (int i = 0; i < 50; ++i) {
                process p({.quick_exit = true}, give_later, i);
                const auto status = co_await run_to_end(p);
                if (status && status.value().code() == i) ++well[me];
            }
        };
        rt.run(body());
        rt.run(rt.shutdown()).value();
    };
    std::thread first(live, 0);
    std::thread second(live, 1);
    first.join();
    second.join();
    CHECK(well == std::array<int, 2>{50, 50});
    CHECK(coproc::active_children().empty());
    leaks.done();
}

TEST_CASE("process: the children of a thread outlive the thread", "[process]") {
    // PR_SET_PDEATHSIG would kill them.
    auto [ours, theirs] = coproc::pipe().value();
    auto rt = runtime::create().value();
    process p(give_later, 3);
    process waits(
        [](coproc::connection line) -> task<int> {
            const auto end = co_await line.recv<int>();
            co_return end ? end.value() : 99;
        },
        std::move(theirs));
    std::thread([&] { rt.run(waits.start()).value(); }).join();
    const auto tell = [&ours]() -> task<void> { (co_await ours.send(6)).value(); };
    rt.run(tell());
    const auto status = rt.run(waits.join());
    CHECK(status.value().code() == 6);
    rt.run(rt.shutdown()).value();
}

namespace {

struct host_child {
    ::uv_process_t handle{};
    std::int64_t status = -1;
    int signal = -1;
};

void spawn_by_host(uv_loop_t* loop, host_child& one, const char* script) {
    std::string shell = "/bin/sh";
    std::string flag = "-c";
    std::string text = script;
    std::array<char*, 4> words{shell.data(), flag.data(), text.data(), nullptr};
    ::uv_process_options_t options{};
    options.file = "/bin/sh";
    options.args = words.data();
    options.exit_cb = [](uv_process_t* handle, std::int64_t status, int signal) {
        auto& ended = *static_cast<host_child*>(handle->data);
        ended.status = status;
        ended.signal = signal;
        uv_close(reinterpret_cast<uv_handle_t*>(handle), nullptr);
    };
    one.handle.data = &one;
    REQUIRE(uv_spawn(loop, &one.handle, &options) == 0);
}

task<void> live_among_the_host(std::vector<int>& codes) {
    for (int i = 0; i < 20; ++i) {
        process p(give_later, i);
        codes.push_back((co_await run_to_end(p)).value().code());
    }
}

}  // namespace

TEST_CASE("process: a guest's children and the host's own do not disturb each other", "[process]") {
    uv_loop_t loop;
    uv_loop_init(&loop);
    std::array<host_child, 10> host_children;
    std::vector<int> codes;
    {
        auto rt = runtime::create(&loop).value();
        for (auto& one : host_children) spawn_by_host(&loop, one, "exit 3");
        auto guests = rt.spawn(live_among_the_host(codes));
        uv_run(&loop, UV_RUN_DEFAULT);
        for (const auto& one : host_children) {
            CHECK(one.status == 3);
            CHECK(one.signal == 0);
        }
        while (!guests.done()) uv_run(&loop, UV_RUN_ONCE);
        rt.run(rt.shutdown()).value();
    }
    CHECK(codes.size() == 20);
    for (int i = 0; i < 20; ++i) CHECK(codes.at(static_cast<std::size_t>(i)) == i);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop) == 0);
}

TEST_CASE("process: one that has outlived its runtime is joined on the next", "[process]") {
    const leak_check leaks;
    const auto go = coproc::event::create().value();
    process p(
        [](coproc::event start) -> task<int> {
            (co_await start.wait()).value();
            co_return 4;
        },
        go);
    {
        auto first = runtime::create().value();
        first.run(p.start()).value();
    }
    CHECK(p.is_alive());
    go.set().value();
    auto second = runtime::create().value();
    const auto status = second.run(coproc::timeout(10s, p.join()));
    CHECK(status.value().code() == 4);
    second.run(second.shutdown()).value();
    p.close().value();
}

namespace {

task<int> start_in_a_container() {
    if (!coproc::testing::refuse_call(SYS_clone3, ENOSYS)) co_return 90;
    if (::syscall(SYS_clone3, nullptr, 0) != -1 || errno != ENOSYS) co_return 91;
    process p(give_later, 7);
    const result<exit_status> status = co_await run_to_end(p);
    co_return status ? status.value().code() : 92;
}

}  // namespace

CO_TEST_CASE("process: starts where a sandbox knows no clone3", "[process]") {
    process p(start_in_a_container);
    const auto status = (co_await run_to_end(p)).value();
    CHECK(status.code() == 7);
}

// -- children that misbehave

namespace {

constexpr int control_fd = 3;

void close_everything() {
    for (int fd = 0; fd < 256; ++fd) ::close(fd);
}
int close_everything_and_return() {
    close_everything();
    return 8;
}
void close_everything_and_die() {
    close_everything();
    ::kill(::getpid(), SIGKILL);
}
/// Whatever fits into the socket, none of it a message.
int flood_control(bool with_good_header) {
    std::array<std::byte, 4096> junk;
    junk.fill(std::byte{0x63});
    if (with_good_header) {
        const coproc::detail::message_header header{0x63727063, 0, std::uint64_t{1} << 40,
                                                    control::report_type};
        std::memcpy(junk.data(), &header, sizeof header);
    }
    while (::send(control_fd, junk.data(), junk.size(), MSG_DONTWAIT) > 0) continue;
    return 12;
}
/// A report of something that has not happened.
void lie_and_die() {
    coproc::encoder body;
    const control::report lie{0, false, "", "", 0, false};
    body.put(lie);
    const coproc::detail::message_header header{0x63727063, 0, body.bytes().size(),
                                                control::report_type};
    (void)::send(control_fd, &header, sizeof header, 0);
    (void)::send(control_fd, body.bytes().data(), body.bytes().size(), 0);
    ::kill(::getpid(), SIGKILL);
}

}  // namespace

CO_TEST_CASE("process: a child that closes all its fds ends as any other", "[process]") {
    process returns(close_everything_and_return);
    const auto eight = (co_await run_to_end(returns)).value();
    CHECK(eight.code() == 8);
    process dies(close_everything_and_die);
    const auto killed = (co_await run_to_end(dies)).value();
    CHECK(killed.code() == -SIGKILL);
}

CO_TEST_CASE("process: a child that writes rubbish to its control socket ends as any other",
             "[process]") {
    for (const bool with_good_header : {false, true}) {
        process floods(flood_control, with_good_header);
        const auto status = (co_await run_to_end(floods)).value();
        CHECK(status.code() == 12);
        CHECK(status.exception_type().empty());
    }
}

CO_TEST_CASE("process: what the kernel says counts, not what a child says", "[process]") {
    process lies(lie_and_die);
    const auto status = (co_await run_to_end(lies)).value();
    CHECK(status.code() == -SIGKILL);
}

// -- bootstraps from strangers

namespace {

/// A program that has been given `socket` as if it were a parent's; its pid.
::pid_t start_with_socket(int socket, const char* number, std::vector<std::string> arguments,
                          const std::string& program = COPROC_ACTOR) {
    arguments.insert(arguments.begin(), program);
    std::vector<char*> words;
    for (auto& word : arguments) words.push_back(word.data());
    words.push_back(nullptr);
    std::string marker = std::string("COPROC_BOOTSTRAP=") + number;
    std::vector<char*> variables{marker.data()};
    for (char** one = environ; *one != nullptr; ++one) variables.push_back(*one);
    variables.push_back(nullptr);
    ::posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    if (socket >= 0) ::posix_spawn_file_actions_adddup2(&actions, socket, control_fd);
    ::pid_t pid = 0;
    const int failed =
        ::posix_spawn(&pid, program.c_str(), &actions, nullptr, words.data(), variables.data());
    ::posix_spawn_file_actions_destroy(&actions);
    REQUIRE(failed == 0);
    return pid;
}

int code_of(::pid_t pid) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

control::bootstrap honest_bootstrap() {
    control::bootstrap b{};
    b.name = "stranger";
    b.path = "1";
    b.parent_name = "nobody";
    b.log_level = static_cast<int>(coproc::log_level::off);
    return b;
}

coproc::encoder encoded(const control::bootstrap& said) {
    coproc::encoder message;
    control::put_protocol(message);
    message.put(said);
    return message;
}

/// Sends one message to a fresh program that takes us for its parent; its last report.
struct reply {
    int code;
    std::optional<control::report> report;
};
reply reply_to(const coproc::encoder& body, std::uint64_t type,
               const std::string& program = COPROC_ACTOR) {
    auto ends = coproc::system::socket_pair().value();
    auto lifeline = coproc::system::pipe().value();
    const ::pid_t pid = start_with_socket(ends[1].get(), "3", {"code", "77"}, program);
    ends[1].reset();
    coproc::detail::message_socket socket(std::move(ends[0]));
    const std::array fds{lifeline[0].get()};
    // One that refuses may be gone before it has been asked.
    const auto sent = socket.try_send({type, body.bytes(), fds});
    if (!sent) CHECK(sent.error() == errc::end_of_stream);
    reply got{code_of(pid), std::nullopt};
    while (const auto header = socket.try_message()) {
        coproc::decoder message(socket.body(header.value()), socket.take_fds(header.value()));
        if (auto report = message.get<control::report>()) got.report = report.value();
        socket.drop(header.value());
    }
    return got;
}

}  // namespace

TEST_CASE("process: a marker that names no parent's socket is taken away, and nothing else",
          "[process]") {
    for (const char* marker : {"", "3", "-1", "7", "99999999999999999999", "garbage", "3 4"}) {
        CAPTURE(marker);
        CHECK(code_of(start_with_socket(-1, marker, {"code", "5"})) == 5);
    }
    coproc::unique_fd file(::open("/dev/null", O_RDWR | O_CLOEXEC));
    CHECK(code_of(start_with_socket(file.get(), "3", {"code", "5"})) == 5);
    coproc::unique_fd network(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(code_of(start_with_socket(network.get(), "3", {"code", "5"})) == 5);
}

TEST_CASE("process: a socket that is not the parent's is no reason to run anything", "[process]") {
    const leak_check leaks;
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    // Its parent has not made this socket, we have.
    const ::pid_t between = ::fork();
    if (between == 0) ::_exit(code_of(start_with_socket(ends[1], "3", {"code", "77"})));
    ::close(ends[1]);
    CHECK(code_of(between) == 1);
    ::close(ends[0]);
    leaks.done();
}

TEST_CASE("process: a parent that hangs up or sends rubbish gets a child that ends", "[process]") {
    const leak_check leaks;
    std::optional<quiet_stderr> quiet(std::in_place);
    for (const std::string_view said : {std::string_view(""), std::string_view("rubbish"),
                                        std::string_view("rubbish that is longer than a header is, "
                                                         "much longer, so that it is read")}) {
        auto ends = coproc::system::socket_pair().value();
        const ::pid_t pid = start_with_socket(ends[1].get(), "3", {"code", "77"});
        ends[1].reset();
        if (!said.empty()) CHECK(::send(ends[0].get(), said.data(), said.size(), 0) > 0);
        ::shutdown(ends[0].get(), SHUT_WR);
        CHECK(code_of(pid) == 1);
    }
    quiet.reset();
    leaks.done();
}

TEST_CASE(
    "process: a message that is no bootstrap, a bootstrap of another protocol, a target that "
    "is not there: the child says so, and calls nothing",
    "[process]") {
    const quiet_stderr quiet;
    const auto no_bootstrap = reply_to(encoded(honest_bootstrap()), control::cancel_type);
    CHECK(no_bootstrap.code == 1);

    coproc::encoder other_protocol;  // which has other bootstraps
    other_protocol.put(std::string("coproc protocol 0"));
    other_protocol.put(1.5);
    const auto mismatch = reply_to(other_protocol, control::bootstrap_type);
    CHECK(mismatch.code == 1);
    REQUIRE(mismatch.report.has_value());
    CHECK(mismatch.report->failure == static_cast<int>(errc::version_mismatch));
    CHECK(mismatch.report->failure_is_ours);

    auto no_such_target = honest_bootstrap();
    no_such_target.target.place.module = "/nowhere/libnone.so";
    const auto unknown = reply_to(encoded(no_such_target), control::bootstrap_type);
    CHECK(unknown.code == 1);
    REQUIRE(unknown.report.has_value());
    CHECK(unknown.report->failure == static_cast<int>(errc::unknown_target));
}

namespace {

/// A copy of the actor that runs as nobody whoever starts it; empty where that cannot be made.
class set_uid_actor {
 public:
    set_uid_actor() {
        const auto at = std::filesystem::temp_directory_path() / "coproc-set-uid-XXXXXX";
        std::string name = at.string();
        if (::mkdtemp(name.data()) == nullptr) return;
        folder_ = name;
        std::filesystem::permissions(folder_, std::filesystem::perms(0755));
        const auto program = folder_ / "actor";
        std::filesystem::copy_file(COPROC_ACTOR, program);
        if (::chown(program.c_str(), 65534, 65534) != 0) return;
        if (::chmod(program.c_str(), 04755) == 0) program_ = program;
    }
    set_uid_actor(const set_uid_actor&) = delete;
    set_uid_actor& operator=(const set_uid_actor&) = delete;
    ~set_uid_actor() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    const std::string& program() const { return program_; }

 private:
    std::filesystem::path folder_;
    std::string program_;
};

}  // namespace

TEST_CASE("process: a set-uid program starts nothing, and accepts no bootstrap", "[process]") {
    const set_uid_actor made;
    if (made.program().empty()) {
        WARN("needs root");
        return;
    }
    actor starter({"arguments"}, made.program());
    const std::string said = starter.rest();
    const int status = starter.wait();
    if (said.find("child's arguments") != std::string::npos) {
        WARN("the file system ignores set-uid bits");
        return;
    }
    CHECK(said.find("more rights than its caller") != std::string::npos);
    CHECK(WEXITSTATUS(status) == 1);

    // The same message makes a program without the bit report that it has no such target.
    const auto answer =
        reply_to(encoded(honest_bootstrap()), control::bootstrap_type, made.program());
    CHECK(answer.code == 1);
    CHECK_FALSE(answer.report.has_value());
}
