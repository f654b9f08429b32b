// A program of its own for what a test cannot do to itself: it does what its first argument says.
// Its children are started with the same arguments, and leave in run() or run_if_child().

#include <coproc/coproc.hpp>

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using coproc::process;
using coproc::result;
using coproc::task;

namespace {

std::vector<std::string> arguments;

/// One write, and a line of its own, whoever else writes to the same pipe.
void say(const std::string& text) {
    const std::string line = text + "\n";
    [[maybe_unused]] const ssize_t written = ::write(STDOUT_FILENO, line.data(), line.size());
}
void say(const std::string& name, int number) { say(name + " " + std::to_string(number)); }

task<result<void>> for_ever() { co_return co_await coproc::sleep_for(24h); }

// -- targets

void busy(coproc::event ready) {
    ready.set().value();
    for (std::atomic<unsigned long> turns = 0;;) ++turns;
}
void deaf(coproc::event ready) {
    ::signal(SIGTERM, SIG_IGN);
    ready.set().value();
    for (;;) ::pause();
}
task<int> polite(coproc::event ready) {
    ready.set().value();
    const auto waited = co_await for_ever();
    say(waited ? "child woke up" : "child was canceled");
    co_return 0;
}

/// A started process whose target has begun.
template <class Target>
task<process> begun(coproc::process_options options, Target target) {
    const auto ready = coproc::event::create().value();
    process made(options, target, ready);
    const result<void> started = co_await made.start();
    started.value();
    const result<void> up = co_await ready.wait();
    up.value();
    co_return made;
}

// -- what run() makes of its task

task<int> give_code() { co_return std::stoi(arguments.at(2)); }
task<void> give_nothing() { co_return; }
task<result<int>> give_failure() {
    co_return coproc::error(coproc::errc::truncated, "reading the book");
}
task<int> give_exception() {
    (co_await coproc::yield()).value();
    throw std::runtime_error("out of paper");
}
task<int> give_strange_exception() {
    (co_await coproc::yield()).value();
    throw 3;
}

task<result<int>> wait_for_signal() {
    say("ready", ::getpid());
    const auto waited = co_await for_ever();
    say(waited ? "woke up" : "app was " + waited.error().message());
    COPROC_CO_TRY(waited);
    co_return 0;
}

task<result<int>> wait_with_children() {
    const process daemon = co_await begun({.name = "daemon", .daemon = true}, busy);
    const process child = co_await begun({.name = "child"}, polite);
    say("daemon", daemon.pid());
    say("child", child.pid());
    co_return co_await wait_for_signal();
}

/// A child that does not end on SIGTERM, so that the first signal is not the end.
task<result<int>> wait_with_deaf_child() {
    const process child = co_await begun({.name = "child"}, deaf);
    say("child", child.pid());
    co_return co_await wait_for_signal();
}

task<int> ignore_cancellation() {
    say("ready", ::getpid());
    const auto waited = co_await for_ever();
    co_return waited ? 0 : 5;
}

task<int> ignore_everything() {
    say("ready", ::getpid());
    auto waited = co_await for_ever();
    say("app was " + waited.error().message());
    const auto ignore = []() -> task<void> { (co_await for_ever()).value(); };
    co_await coproc::shield(ignore());
    co_return 0;
}

/// A child, and a plain fork of this process that outlives it.
task<int> fork_beside(process child) {
    const int fork = ::fork();
    if (fork == 0) {
        for (;;) ::pause();
    }
    say("fork", fork);
    say("child", child.pid());
    const auto waited = co_await for_ever();
    co_return waited ? 0 : 5;
}
task<int> fork_beside_a_child() {
    process child = co_await begun({.name = "child"}, busy);
    co_return co_await fork_beside(std::move(child));
}
task<int> fork_beside_a_careful_child() {
    process child = co_await begun({.on_parent_death = coproc::parent_death::cancel}, polite);
    co_return co_await fork_beside(std::move(child));
}

/// Its plain fork gets a signal, which is none of this process's: in the beginning of the copy, or
/// later, or later with a handler of its own.
task<result<int>> let_a_fork_be_struck() {
    if (arguments.at(2) == "handled") ::signal(SIGTERM, [](int) { ::_exit(4); });
    const int fork = ::fork();
    if (fork == 0) {
        ::raise(SIGTERM);
        ::_exit(3);
    }
    int status = 0;
    ::waitpid(fork, &status, 0);
    say("the fork's signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    say("the fork's code", WIFEXITED(status) ? WEXITSTATUS(status) : 0);
    for (int turns = 0; turns < 4; ++turns) {
        COPROC_CO_TRY(co_await coproc::sleep_for(0ms));
    }
    co_return 0;
}
int strike_a_fork() {
    ::pthread_atfork(nullptr, nullptr, [] {
        if (arguments.at(2) == "early") ::raise(SIGTERM);
    });
    return coproc::run(let_a_fork_be_struck);
}

task<result<int>> fail_with_children() {
    const process child = co_await begun({.name = "child"}, polite);
    const process daemon = co_await begun({.name = "daemon", .daemon = true}, busy);
    say("child", child.pid());
    say("daemon", daemon.pid());
    co_return coproc::errc::closed;
}

task<void> leave_daemon() {
    const process daemon = co_await begun({.name = "daemon", .daemon = true}, busy);
    say("daemon", daemon.pid());
}
task<void> leave_deaf_daemon() {
    const process daemon = co_await begun({.name = "daemon", .daemon = true}, deaf);
    say("daemon", daemon.pid());
}

void end_last(coproc::event end) {
    auto rt = coproc::runtime::create().value();
    rt.run(end.wait()).value();
    say("child ended");
}
task<void> set_later(coproc::event end) {
    (co_await coproc::sleep_for(50ms)).value();
    say("parent is about to let the child go");
    end.set().value();
}
/// Leaves one child that ends only when another one, started after it, has told it to.
task<void> leave_child() {
    const auto end = coproc::event::create().value();
    process first(end_last, end);
    process second(set_later, end);
    (co_await first.start()).value();
    (co_await second.start()).value();
    say("app has returned");
}

/// Leaves a child that ends only when it is asked to.
task<void> wait_long() { (void)co_await coproc::sleep_for(24h); }
task<void> leave_patient_child() {
    process child(wait_long);
    (co_await child.start()).value();
    say("child " + std::to_string(child.pid()));
    say("app has returned");
}

/// Leaves behind a start that takes many turns of the loop.
void end_with(std::vector<std::byte>) { say("child ended"); }
task<void> start_long(std::vector<std::byte> big) {
    process child(end_with, std::move(big));
    const auto started = co_await child.start();
    say(started ? "started" : "start: " + started.error().message());
}
task<void> leave_start() {
    const auto home = co_await coproc::current_runtime();
    const auto starting = home.spawn(start_long(std::vector<std::byte>(20000000)));
    (co_await coproc::yield()).value();
    (co_await coproc::yield()).value();
    say("app has returned");
}

int count_megabytes(const std::vector<std::byte>& bytes) {
    return static_cast<int>(bytes.size() / 1000000);
}
task<result<coproc::exit_status>> start_and_join(process& child) {
    COPROC_CO_TRY(co_await child.start());
    co_return co_await child.join();
}
/// The signal arrives while a child that has not read its bootstrap is stopped.
task<int> wait_for_signal_in_a_start() {
    process child(count_megabytes, std::vector<std::byte>(20000000));
    const auto home = co_await coproc::current_runtime();
    auto life = home.spawn(start_and_join(child));
    while (child.pid() == 0) (co_await coproc::yield()).value();
    ::kill(child.pid(), SIGSTOP);
    say("ready", ::getpid());
    const auto waited = co_await for_ever();
    say("app was " + waited.error().message());
    ::kill(child.pid(), SIGCONT);
    const auto finish = [](coproc::spawned<result<coproc::exit_status>> started) -> task<void> {
        const auto status = co_await started;
        say("child: " + (status ? status.value().to_string() : status.error().message()));
    };
    co_await coproc::shield(finish(std::move(life)));
    co_return 0;
}

void good_job() {}
task<void> log_a_life() {
    coproc::log_to_stderr(coproc::log_level::debug);
    process child({.name = "process 0"}, good_job);
    (co_await child.start()).value();
    (co_await child.join()).value();
    const process daemon = co_await begun({.name = "process 1", .daemon = true}, busy);
}

void say_arguments() {
    std::string all = "child's arguments";
    for (const std::string& one : arguments) all += " <" + one + ">";
    say(all);
}
task<void> start_sayer() {
    process child(say_arguments);
    (co_await child.start()).value();
    (co_await child.join()).value();
}

template <class App>
std::function<int()> running(App app) {
    return [app] { return coproc::run(app); };
}

// -- programs with a main of their own

/// Started without run_if_child, it must not start itself again and again.
int unbootstrapped() {
    auto rt = coproc::runtime::create().value();
    return rt.run([]() -> task<int> {
        process child(good_job);
        const auto started = co_await child.start();
        say(started ? "started" : "start: " + started.error().message());
        say(child.to_string());
        co_return started ? 1 : 0;
    }());
}

/// What a child has at fds 0 to 2, and that it is still held by its lifeline.
std::vector<std::string> low_fds() {
    std::vector<std::string> links;
    for (int fd = 0; fd <= 2; ++fd) {
        std::error_code none;
        links.push_back(
            std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), none).string());
    }
    return links;
}
task<int> tell_low_fds(coproc::connection to) {
    (co_await to.send(low_fds())).value();
    const auto end = co_await to.recv<int>();
    co_return end ? 1 : 0;
}
task<int> start_without_fds(int output) {
    const auto report = [output](const std::string& text) {
        const std::string line = text + "\n";
        [[maybe_unused]] const ssize_t written = ::write(output, line.data(), line.size());
    };
    auto [ours, theirs] = coproc::pipe().value();
    process child(tell_low_fds, std::move(theirs));
    const auto started = co_await child.start();
    if (!started) {
        report("start: " + started.error().message());
        co_return 1;
    }
    const auto links = co_await ours.recv<std::vector<std::string>>();
    if (!links) report("child: " + links.error().message());
    if (links) {
        for (const std::string& link : links.value()) report("fd of the child: " + link);
    }
    ours.close();
    const auto status = (co_await child.join()).value();
    report("ended: " + status.to_string());
    co_return status.code();
}
/// The host closes its first fds, as a daemon does, after it has made its loop.
int closed_fds() {
    if (auto code = coproc::run_if_child()) return *code;
    const int output = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 100);
    const int at_three = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    auto rt = coproc::runtime::create().value();
    for (int fd = 0; fd <= 2; ++fd) ::close(fd);
    ::close(at_three);
    const int code = rt.run(start_without_fds(output));
    ::_exit(code);  // whose fds are gone has nothing to flush
}

/// The file of the running program is deleted before the first start.
int deleted() {
    if (auto code = coproc::run_if_child()) return *code;
    std::filesystem::remove(std::filesystem::read_symlink("/proc/self/exe"));
    auto rt = coproc::runtime::create().value();
    return rt.run([]() -> task<int> {
        process child([] { return 7; });
        (co_await child.start()).value();
        const auto status = co_await child.join();
        co_return status.value().code();
    }());
}

int preloaded = 0;

/// As whoever does not know of run_if_child() has it.
int preload_first() {
    if (!coproc::set_forkserver_preload([] { preloaded = 7; })) return 1;
    return coproc::run([]() -> task<int> {
        process child([] { return preloaded; });
        (co_await child.start()).value();
        const auto status = co_await child.join();
        co_return status.value().code();
    });
}

/// Waits where a debugger finds a runtime, and ends when it is told to.
task<result<void>> standing_still() {
    say("ready", ::getpid());
    co_return co_await for_ever();
}
[[gnu::noinline]] int stand_still() {
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);  // who asks is no ancestor
    auto rt = coproc::runtime::create().value();
    rt.dump_on(SIGTERM, [](const std::string&) {
          say("stands no more");
          ::_exit(3);
      }).value();
    (void)rt.run(standing_still());
    return 1;
}

int tell_marker() {
    if (auto code = coproc::run_if_child()) return *code;
    const char* marker = std::getenv("COPROC_BOOTSTRAP");
    say(std::string("marker: ") + (marker == nullptr ? "none" : marker));
    return 0;
}

const std::map<std::string, std::function<int()>> verbs{
    {"code", running(give_code)},
    {"nothing", running(give_nothing)},
    {"failure", running(give_failure)},
    {"exception", running(give_exception)},
    {"strange_exception", running(give_strange_exception)},
    {"wait_for_signal", running(wait_for_signal)},
    {"wait_with_children", running(wait_with_children)},
    {"wait_with_deaf_child", running(wait_with_deaf_child)},
    {"wait_for_signal_in_a_start", running(wait_for_signal_in_a_start)},
    {"ignore_cancellation", running(ignore_cancellation)},
    {"ignore_everything", running(ignore_everything)},
    {"fork_beside_a_child", running(fork_beside_a_child)},
    {"fork_beside_a_careful_child", running(fork_beside_a_careful_child)},
    {"strike_a_fork", strike_a_fork},
    {"fail_with_children", running(fail_with_children)},
    {"leave_daemon", running(leave_daemon)},
    {"leave_deaf_daemon", running(leave_deaf_daemon)},
    {"leave_child", running(leave_child)},
    {"leave_patient_child", running(leave_patient_child)},
    {"leave_start", running(leave_start)},
    {"log", running(log_a_life)},
    {"arguments", running(start_sayer)},
    {"unbootstrapped", unbootstrapped},
    {"closed_fds", closed_fds},
    {"deleted", deleted},
    {"preload_first", preload_first},
    {"stand_still", stand_still},
    {"tell_marker", tell_marker},
};

}  // namespace

int main(int argc, char** argv) {
    arguments.assign(argv, argv + argc);
    const auto verb = verbs.find(argc > 1 ? arguments[1] : "");
    return verb == verbs.end() ? 64 : verb->second();
}
