// What does it cost to start a function in a process and join it, beside an exec of the same
// program?
//
// start_join/CONTENDER/MB: the parent has touched MB megabytes. `bare` is clone(VM, VFORK, PIDFD)
// and exec of this program, which returns from main() at once, awaited with one uv_poll and reaped;
// `uv_spawn` is the same through libuv's own process handle.

#include <coproc/process.hpp>
#include <coproc/run.hpp>
#include <coproc/runtime.hpp>

#include "ratios.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <array>
#include <cstdlib>
#include <cstring>
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

void nothing() {}

coproc::task<int> start_and_join() {
    coproc::process child(nothing);
    (co_await child.start()).value();
    co_return (co_await child.join()).value().code();
}

void with_coproc(benchmark::State& state) {
    have_megabytes(state.range(0));
    auto home = coproc::runtime::create().value();
    for (auto turn : state) {
        if (home.run(start_and_join()) != 0) state.SkipWithError("the child failed");
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

void bare(benchmark::State& state) {
    have_megabytes(state.range(0));
    uv_loop_t loop;
    uv_loop_init(&loop);
    alignas(16) static std::array<char, 32 * 1024> stack;
    for (auto turn : state) {
        int pidfd = -1;
        const int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
        ::clone(&execute, stack.data() + stack.size(), flags, nullptr, &pidfd);
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
        if (code != 0) state.SkipWithError("the child failed");
    }
    uv_loop_close(&loop);
}

void with_uv_spawn(benchmark::State& state) {
    have_megabytes(state.range(0));
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

void parent_sizes(benchmark::internal::Benchmark* one) {
    one->Arg(10)->Arg(500)->Unit(benchmark::kMicrosecond)->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) {
    if (std::getenv("COPROC_BENCH_RETURN") != nullptr) return 0;
    if (auto code = coproc::run_if_child()) return *code;
    benchmark::RegisterBenchmark("start_join/bare", bare)->Apply(parent_sizes);
    benchmark::RegisterBenchmark("start_join/coproc", with_coproc)->Apply(parent_sizes);
    benchmark::RegisterBenchmark("start_join/uv_spawn", with_uv_spawn)->Apply(parent_sizes);
    return coproc::bench::run_all(argc, argv);
}
