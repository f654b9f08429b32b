// What does it cost to start a function in a process and join it, beside the bare system calls?
//
// start_join/CONTENDER/MB/FDS: the parent has touched MB megabytes and has FDS more fds open.
// `bare` is a fork server of bare system calls (zygote.hpp); `coproc` has its own, and py_fork,
// py_forkserver and py_spawn are Python's; `fork` is a plain one of the parent, whose child
// leaves by _exit(); node and go: see process_peers.hpp.
// spawn_join/CONTENDER/MB/FDS: `bare` is clone(VM, VFORK, PIDFD) and exec of this program, which
// returns from main() at once, awaited with one uv_poll and reaped; `uv_spawn` is the same through
// libuv's own process handle.
// start_join_among/CONTENDER/N: while N other children are alive, and their ends are waited for.

#include <coproc/process.hpp>
#include <coproc/run.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>

#include "process_peers.hpp"
#include "ratios.hpp"
#include "workers.hpp"
#include "zygote.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr const char* return_at_once = "COPROC_BENCH_RETURN=1";

/// Memory that the parent really has, kept between cases of the same size.
void have_megabytes(std::int64_t wanted) {
    static std::vector<char> ballast;
    const auto size = static_cast<std::size_t>(wanted) << 20U;
    if (ballast.size() == size) return;
    std::vector<char>().swap(ballast);
    ballast.resize(size, 'x');
}

/// Fds that the parent really has.
void have_fds(std::int64_t wanted) {
    static std::vector<int> held;
    ::rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    for (; std::ssize(held) > wanted; held.pop_back()) ::close(held.back());
    while (std::ssize(held) < wanted) held.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    coproc::bench::must(held.empty() || held.back() >= 0);
}

void have(const benchmark::State& state) {
    have_megabytes(state.range(0));
    have_fds(state.range(1));
}

int nothing(int code) { return code; }
/// Of one whose parent may be killed before it.
int sleep_long(int) {
    ::alarm(coproc::bench::long_enough);
    for (;;) ::pause();
}
coproc::task<void> for_ever() { (void)co_await coproc::sleep_for(std::chrono::hours(24)); }

coproc::task<int> start_and_join(coproc::start_method method) {
    coproc::process child({.method = method}, nothing, 7);
    (co_await child.start()).value();
    co_return (co_await child.join()).value().code() - 7;
}

coproc::task<std::vector<coproc::process>> start_others(std::int64_t count) {
    std::vector<coproc::process> others;
    for (; count > 0; --count) {
        (co_await others.emplace_back(for_ever).start()).value();
    }
    co_return others;
}

void measure(benchmark::State& state, coproc::runtime& home, coproc::start_method method) {
    // What is made once is not the question.
    coproc::bench::must(home.run(start_and_join(method)) == 0);
    for (auto turn : state) {
        if (home.run(start_and_join(method)) != 0) state.SkipWithError("the child failed");
    }
}

void with_server(benchmark::State& state) {
    have(state);
    auto home = coproc::runtime::create().value();
    measure(state, home, coproc::start_method::forkserver);
    home.run(home.shutdown()).value();
}

void with_spawn(benchmark::State& state) {
    have(state);
    auto home = coproc::runtime::create().value();
    measure(state, home, coproc::start_method::spawn);
    home.run(home.shutdown()).value();
}

void with_others(benchmark::State& state) {
    have_megabytes(10);
    have_fds(0);
    auto home = coproc::runtime::create().value();
    {
        auto others = home.run(start_others(state.range(0)));
        measure(state, home, coproc::start_method::forkserver);
        for (auto& other : others) other.kill().value();
    }
    home.run(home.shutdown()).value();
}

void measure(benchmark::State& state, coproc::bench::zygote& server) {
    coproc::bench::must(server.run(nothing, 7) == 7);
    for (auto turn : state) {
        if (server.run(nothing, 7) != 7) state.SkipWithError("the child failed");
    }
}

void with_zygote(benchmark::State& state) {
    have(state);
    coproc::bench::zygote server;
    measure(state, server);
}

void with_zygote_and_others(benchmark::State& state) {
    have_megabytes(10);
    have_fds(0);
    coproc::bench::zygote server;
    for (std::int64_t count = state.range(0); count > 0; --count) server.keep(sleep_long, 0);
    measure(state, server);
}

void with_python(benchmark::State& state, const char* method, int count) {
    have_megabytes(0);
    have_fds(0);
    const std::string command = std::string("python_process.py ") + method + " " +
                                std::to_string(state.range(0)) + " " +
                                std::to_string(state.range(1)) + " " + std::to_string(count);
    for (auto turn : state) {
        const auto measured = coproc::bench::run_python(command);
        if (measured.failure != nullptr) state.SkipWithError(measured.failure);
        state.SetIterationTime(measured.seconds);
    }
}

std::array<char*, 2> child_arguments() {
    static char name[] = "bench";
    return {name, nullptr};
}
std::array<char*, 2> child_environment() {
    static char variable[32];
    std::strcpy(variable, return_at_once);
    return {variable, nullptr};
}

int execute(void*) {
    ::execve("/proc/self/exe", child_arguments().data(), child_environment().data());
    ::_exit(127);
}

/// Closes it, and says with what code the child has ended.
int await_exit(uv_loop_t& loop, int pidfd) {
    uv_poll_t poll;
    uv_poll_init(&loop, &poll, pidfd);
    int code = -1;
    poll.data = &code;
    uv_poll_start(&poll, UV_READABLE, [](uv_poll_t* self, int, int) {
        uv_os_fd_t fd;
        uv_fileno(reinterpret_cast<uv_handle_t*>(self), &fd);
        ::siginfo_t info{};
        ::waitid(P_PIDFD, static_cast<::id_t>(fd), &info, WEXITED | WNOHANG);
        *static_cast<int*>(self->data) = info.si_status;
        uv_close(reinterpret_cast<uv_handle_t*>(self), nullptr);
    });
    uv_run(&loop, UV_RUN_DEFAULT);
    ::close(pidfd);
    return code;
}

void bare(benchmark::State& state) {
    have(state);
    uv_loop_t loop;
    uv_loop_init(&loop);
    alignas(16) static std::array<char, 32 * 1024> stack;
    for (auto turn : state) {
        int pidfd = -1;
        const int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
        ::clone(&execute, stack.data() + stack.size(), flags, nullptr, &pidfd);
        if (await_exit(loop, pidfd) != 0) state.SkipWithError("the child failed");
    }
    uv_loop_close(&loop);
}

void with_fork(benchmark::State& state) {
    have(state);
    uv_loop_t loop;
    uv_loop_init(&loop);
    for (auto turn : state) {
        int pidfd = -1;
        // As fork(), which tells no pidfd. The child has this program's buffers: no exit().
        const unsigned long flags = CLONE_PIDFD | SIGCHLD;
        if (::syscall(SYS_clone, flags, nullptr, &pidfd, nullptr, 0) == 0) ::_exit(nothing(7));
        if (await_exit(loop, pidfd) != 7) state.SkipWithError("the child failed");
    }
    uv_loop_close(&loop);
}

void with_uv_spawn(benchmark::State& state) {
    have(state);
    uv_loop_t loop;
    uv_loop_init(&loop);
    char path[] = "/proc/self/exe";
    std::array<char, 4096> program{};
    if (::readlink(path, program.data(), program.size() - 1) < 0) std::abort();
    auto arguments = child_arguments();
    auto environment = child_environment();
    for (auto turn : state) {
        std::int64_t code = -1;
        uv_process_t process;
        process.data = &code;
        uv_process_options_t options{};
        options.file = program.data();
        options.args = arguments.data();
        options.env = environment.data();
        options.exit_cb = [](uv_process_t* self, std::int64_t status, int) {
            *static_cast<std::int64_t*>(self->data) = status;
            uv_close(reinterpret_cast<uv_handle_t*>(self), nullptr);
        };
        if (uv_spawn(&loop, &process, &options) != 0) state.SkipWithError("uv_spawn failed");
        uv_run(&loop, UV_RUN_DEFAULT);
        if (code != 0) state.SkipWithError("the child failed");
    }
    uv_loop_close(&loop);
}

void parents(benchmark::internal::Benchmark* one, bool with_huge) {
    coproc::bench::add_parents(one);
    if (with_huge) one->Args({2000, 0});
}

void add_among(const std::string& contender, void (*measured)(benchmark::State&), bool is_whole) {
    auto* const made =
        benchmark::RegisterBenchmark(("start_join_among/" + contender).c_str(), measured);
    made->Arg(1)->Arg(10);
    if (is_whole) made->Arg(100)->Arg(1000);
    made->Unit(benchmark::kMicrosecond)->UseRealTime();
}

void add(const std::string& name, void (*measured)(benchmark::State&), bool with_huge) {
    auto* const made = benchmark::RegisterBenchmark(name.c_str(), measured);
    parents(made, with_huge);
    made->UseRealTime();
}

void add_python(const std::string& method, int count, bool with_huge) {
    auto* const made = benchmark::RegisterBenchmark(
        ("start_join/py_" + method).c_str(),
        [=](benchmark::State& state) { with_python(state, method.c_str(), count); });
    parents(made, with_huge);
    made->Iterations(1)->UseManualTime();
}

}  // namespace

int main(int argc, char** argv) {
    if (std::getenv("COPROC_BENCH_RETURN") != nullptr) return 0;
    if (std::getenv("COPROC_BENCH_ZYGOTE") != nullptr) coproc::bench::serve_as_zygote();
    if (auto code = coproc::run_if_child()) return *code;
    const bool is_whole = !coproc::bench::is_short_run(argc, argv);
    add("start_join/bare", with_zygote, is_whole);
    add("start_join/coproc", with_server, is_whole);
    add("start_join/fork", with_fork, is_whole);
    if (is_whole && coproc::bench::has_python()) {
        add_python("fork", 20, true);
        add_python("forkserver", 20, true);
        add_python("spawn", 5, true);
    }
    if (is_whole) coproc::bench::add_start_peers();
    add("spawn_join/bare", bare, is_whole);
    add("spawn_join/coproc", with_spawn, is_whole);
    add("spawn_join/uv_spawn", with_uv_spawn, false);
    add_among("bare", with_zygote_and_others, is_whole);
    add_among("coproc", with_others, is_whole);
    return coproc::bench::run_all(argc, argv);
}
