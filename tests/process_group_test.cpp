// A child that leads a group, or a session: what is sent to it reaches all, and what has to end
// ends as a whole. Everybody in the group has the same stdout, whose other end is at its end when
// the last of them is gone.

#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "processes/children.hpp"
#include "support/co_test.hpp"
#include "support/processes.hpp"
#include "words/placing_linux.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <optional>
#include <string>

using namespace std::chrono_literals;
using coproc::connection;
using coproc::errc;
using coproc::process;
using coproc::process_options;
using coproc::redirection;
using coproc::result;
using coproc::start_method;
using coproc::task;
using coproc::testing::eventually;
using coproc::testing::is_running;
using coproc::testing::run_to_end;

namespace {

constexpr std::array both{start_method::forkserver, start_method::spawn};

void shell(std::string script) {
    ::execl("/bin/sh", "sh", "-c", script.c_str(), static_cast<char*>(nullptr));
}

/// A shell with two commands that take a long time.
constexpr const char* script = "sleep 1000 & sleep 1000 & echo ready $!; wait";
/// One of them does not heed SIGTERM.
constexpr const char* deaf_script = "(trap '' TERM; sleep 1000) & sleep 0; echo ready $!; wait";

/// A started shell, and the other end of its stdout.
struct running {
    running() = default;
    std::optional<process> leader;
    connection output;
    int command = 0;  // the pid that it has printed
};

task<void> begin(running& one, process_options options, const char* what) {
    auto [ours, theirs] = coproc::pipe().value();
    options.standard_output = redirection::to(theirs);
    one.leader.emplace(options, shell, what);
    (co_await one.leader->start()).value();
    theirs.close();
    one.output = std::move(ours);
    std::array<char, 100> text{};
    const auto size = co_await one.output.recv_some(std::as_writable_bytes(std::span(text)));
    CHECK(size.has_value());
    const std::string line = text.data();
    CHECK(line.starts_with("ready"));
    if (line.size() > 7) one.command = std::stoi(line.substr(6));
}

task<bool> is_gone(running& one) {
    std::array<std::byte, 1> nothing{};
    const auto end = co_await coproc::timeout(10s, one.output.recv_some(nothing));
    co_return !end && end.error() == errc::end_of_stream;
}

std::atomic<const char*> refused_call = nullptr;
int refuse(const char* call) noexcept { return std::strcmp(call, refused_call) == 0 ? EINVAL : 0; }

/// Linux before 6.9 does not know groups of pidfds.
class old_kernel {
 public:
    old_kernel() {
        refused_call = "pidfd_send_signal to group";
        coproc::system::set_fault_hook(&refuse);
    }
    old_kernel(const old_kernel&) = delete;
    old_kernel& operator=(const old_kernel&) = delete;
    ~old_kernel() { coproc::system::set_fault_hook(nullptr); }
};

}  // namespace

CO_TEST_CASE("group: a group is there when the start is done, a session soon", "[process]") {
    for (const start_method method : both) {
        process plain({.method = method}, [] { ::pause(); });
        process group({.method = method, .group = true}, [] { ::pause(); });
        process session({.method = method, .session = true}, [] { ::pause(); });
        process two({.method = method, .group = true, .session = true}, [] { ::pause(); });
        for (process* one : {&plain, &group, &session, &two}) (co_await one->start()).value();
        CHECK(::getpgid(plain.pid()) == ::getpgid(0));
        CHECK(::getpgid(group.pid()) == group.pid());
        CHECK(::getsid(group.pid()) == ::getsid(0));
        const bool led = co_await eventually([&] {
            return ::getsid(session.pid()) == session.pid() && ::getsid(two.pid()) == two.pid();
        });
        CHECK(led);
        for (process* one : {&plain, &group, &session, &two}) {
            one->kill().value();
            const auto status = (co_await one->join()).value();
            CHECK(status.signal() == SIGKILL);
        }
    }
}

CO_TEST_CASE("group: a group's signals reach a shell's commands", "[process]") {
    for (const start_method method : both) {
        for (const bool old : {false, true}) {
            for (const int number : {SIGKILL, SIGTERM, SIGHUP}) {
                CAPTURE(number, old);
                running one;
                co_await begin(one, {.method = method, .group = true}, script);
                std::optional<old_kernel> kernel;
                if (old) kernel.emplace();
                one.leader->send_signal(number).value();
                kernel.reset();
                const auto status = (co_await one.leader->join()).value();
                CHECK(status.signal() == number);
                const bool gone = co_await is_gone(one);
                CHECK(gone);
                CHECK(one.leader->kill().has_value());
            }
        }
    }
}

CO_TEST_CASE("group: without a group a shell's commands outlive it", "[process]") {
    running one;
    co_await begin(one, {}, "sleep 1000 & echo ready $!; wait");
    one.leader->kill().value();
    (co_await one.leader->join()).value();
    std::array<std::byte, 1> nothing{};
    const auto still = co_await coproc::timeout(50ms, one.output.recv_some(nothing));
    CHECK(still.error() == errc::timed_out);
    REQUIRE(one.command > 0);
    ::kill(one.command, SIGKILL);
    const bool gone = co_await is_gone(one);
    CHECK(gone);
}

CO_TEST_CASE("group: stop leaves nothing of a group, though the leader ends within the grace",
             "[process]") {
    for (const start_method method : both) {
        for (const bool old : {false, true}) {
            running one;
            co_await begin(one, {.method = method, .session = true}, deaf_script);
            std::optional<old_kernel> kernel;
            if (old) kernel.emplace();
            const auto status = (co_await one.leader->stop(1h)).value();
            kernel.reset();
            CHECK(status.signal() == SIGTERM);
            const bool gone = co_await is_gone(one);
            CHECK(gone);
        }
    }
}

CO_TEST_CASE("group: a leader that has left its group is signaled, alone", "[process]") {
    for (const int number : {SIGKILL, SIGTERM}) {
        auto [ours, theirs] = coproc::pipe().value();
        const auto ready = coproc::event::create().value();
        process p(
            {.group = true},
            [](connection, coproc::event up) {
                ::setpgid(0, ::getpgid(::getppid()));
                up.set().value();
                for (;;) ::pause();
            },
            std::move(theirs), ready);
        (co_await p.start()).value();
        (co_await ready.wait()).value();
        CHECK(::getpgid(p.pid()) == ::getpgid(0));
        p.send_signal(number).value();
        const auto status = (co_await p.join()).value();
        CHECK(status.signal() == number);
    }
}

CO_TEST_CASE("group: stop kills a group that does not heed it, after the grace", "[process]") {
    running one;
    co_await begin(one, {.group = true}, "trap '' TERM; sleep 1000 & echo ready; wait; sleep 1000");
    const auto status = (co_await one.leader->stop(20ms)).value();
    CHECK(status.signal() == SIGKILL);
    const bool gone = co_await is_gone(one);
    CHECK(gone);
}

CO_TEST_CASE("group: what a leader leaves behind is killed, whatever has ended it", "[process]") {
    for (const start_method method : both) {
        for (const bool old : {false, true}) {
            running one;
            co_await begin(one, {.method = method, .group = true},
                           "sleep 1000 & echo ready; exit 3");
            std::optional<old_kernel> kernel;
            if (old) kernel.emplace();
            const auto status = (co_await one.leader->join()).value();
            kernel.reset();
            CHECK(status.code() == 3);
            const bool gone = co_await is_gone(one);
            CHECK(gone);
            CHECK(one.leader->kill().has_value());
        }
    }
    // Only the leader itself is asked here, and dies of it.
    running killed;
    co_await begin(killed, {.session = true}, script);
    ::kill(killed.leader->pid(), SIGKILL);
    (co_await killed.leader->join()).value();
    const bool gone = co_await is_gone(killed);
    CHECK(gone);
}

CO_TEST_CASE("group: kill_on_drop ends it", "[process]") {
    running alive;
    co_await begin(alive, {.kill_on_drop = true, .group = true}, script);
    alive.leader.reset();
    const bool gone = co_await is_gone(alive);
    CHECK(gone);
}

CO_TEST_CASE("group: a daemon's group ends with it", "[process]") {
    running one;
    co_await begin(one, {.daemon = true, .group = true}, deaf_script);
    co_await coproc::detail::end_children(5s);
    CHECK_FALSE(one.leader->is_alive());
    const bool gone = co_await is_gone(one);
    CHECK(gone);
}

namespace {

/// Forks one that is in its group and holds `alive` open.
void leader_with_a_fork([[maybe_unused]] connection alive, coproc::event ready) {
    if (::fork() != 0) ready.set().value();
    for (;;) ::pause();
}
/// The parent of a shell whose command holds `alive` open as its stdout.
task<result<void>> parent_of_shell(connection alive, start_method method) {
    process leader({.method = method, .group = true, .standard_output = redirection::to(alive)},
                   shell, script);
    alive.close();
    COPROC_CO_TRY(co_await leader.start());
    co_return co_await coproc::sleep_for(24h);
}
task<result<void>> parent_of_leader(connection alive, coproc::event ready, start_method method) {
    process leader({.method = method, .group = true}, leader_with_a_fork, std::move(alive), ready);
    COPROC_CO_TRY(co_await leader.start());
    co_return co_await coproc::sleep_for(24h);
}

}  // namespace

CO_TEST_CASE("group: the parent's kill -9 ends the groups of its children", "[process]") {
    for (const start_method method : both) {
        auto [ours, theirs] = coproc::pipe().value();
        const auto ready = coproc::event::create().value();
        process middle(parent_of_leader, std::move(theirs), ready, method);
        (co_await middle.start()).value();
        (co_await ready.wait()).value();
        middle.kill().value();
        (co_await middle.join()).value();
        const auto end = co_await coproc::timeout(10s, ours.recv<int>());
        CHECK(end.error() == errc::end_of_stream);

        auto [output, input] = coproc::pipe().value();
        process other(parent_of_shell, std::move(input), method);
        (co_await other.start()).value();
        std::array<std::byte, 100> text{};
        const auto said = co_await output.recv_some(text);
        CHECK(said.has_value());
        other.kill().value();
        (co_await other.join()).value();
        const auto gone = co_await coproc::timeout(10s, output.recv_some(text));
        CHECK(gone.error() == errc::end_of_stream);
    }
}

CO_TEST_CASE("group: a coroutine that leads a group is canceled, the rest is killed after it",
             "[process]") {
    auto [ours, theirs] = coproc::pipe().value();
    const auto ready = coproc::event::create().value();
    process p(
        {.group = true},
        [](connection, coproc::event up) -> task<int> {
            if (::fork() == 0) {
                for (;;) ::pause();
            }
            up.set().value();
            const auto waited = co_await coproc::sleep_for(24h);
            co_return !waited && waited.error() == errc::canceled ? 5 : 6;
        },
        std::move(theirs), ready);
    (co_await p.start()).value();
    (co_await ready.wait()).value();
    const auto status = (co_await p.stop(1h)).value();
    CHECK(status.code() == 5);
    const auto end = co_await coproc::timeout(10s, ours.recv<int>());
    CHECK(end.error() == errc::end_of_stream);
}
