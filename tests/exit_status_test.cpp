#include <coproc/connection.hpp>
#include <coproc/exit_status.hpp>
#include <coproc/process.hpp>

#include "support/co_test.hpp"
#include "support/processes.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <vector>

using namespace std::chrono_literals;
using coproc::connection;
using coproc::exit_status;
using coproc::process;
using coproc::process_options;
using coproc::task;
using coproc::testing::each_method;
using coproc::testing::run_to_end;

TEST_CASE("exit_status: a code, or minus the signal", "[process]") {
    const exit_status zero;
    CHECK(zero.success());
    CHECK(zero.code() == 0);
    CHECK(zero.signal() == 0);
    CHECK(zero.to_string() == "exitcode 0");

    const exit_status three(3);
    CHECK_FALSE(three.success());
    CHECK(three.signal() == 0);
    CHECK(three.to_string() == "exitcode 3");

    const exit_status killed(-SIGSEGV, true);
    CHECK_FALSE(killed.success());
    CHECK(killed.signal() == SIGSEGV);
    CHECK(killed.core_dumped());
    CHECK(killed.to_string() == "signal SIGSEGV");
    CHECK(exit_status(-40).to_string() == "signal 40");
}

namespace {

/// Ends by SIGABRT, with as much of a core as the system allows, in a directory of its own.
void abort_with_core(const std::string& directory) {
    ::rlimit limit{};
    ::getrlimit(RLIMIT_CORE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_CORE, &limit);
    if (::chdir(directory.c_str()) != 0) return;
    ::signal(SIGABRT, SIG_DFL);
    std::abort();
}

/// What waitpid says of a forked child that does the same.
bool dumps_core_when_forked(const std::string& directory) {
    const ::pid_t pid = ::fork();
    if (pid == 0) {
        abort_with_core(directory);
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WCOREDUMP(status);
}

void compute(std::chrono::milliseconds cpu_time) {
    const auto limit = static_cast<std::clock_t>(cpu_time.count()) * CLOCKS_PER_SEC / 1000;
    while (std::clock() < limit) continue;
}

int touch(std::size_t bytes) {
    std::vector<char> memory(bytes, 1);
    return memory[bytes / 2] - 1;
}

}  // namespace

CO_TEST_CASE("exit_status: says whether there was a core dump, as the kernel does", "[process]") {
    const auto directory =
        std::filesystem::temp_directory_path() / ("coproc-core-" + std::to_string(::getpid()));
    std::filesystem::create_directory(directory);
    const bool expected = dumps_core_when_forked(directory);
    const process_options options{.method = GENERATE(each_method())};
    process p(options, abort_with_core, directory.string());
    const auto status = (co_await run_to_end(p)).value();
    std::filesystem::remove_all(directory);
    CHECK(status.signal() == SIGABRT);
    CHECK(status.core_dumped() == expected);

    process killed(options, [] { ::kill(::getpid(), SIGKILL); });
    const auto no_core = (co_await run_to_end(killed)).value();
    CHECK_FALSE(no_core.core_dumped());
}

CO_TEST_CASE("exit_status: what the process has used", "[process]") {
    const process_options options{.method = GENERATE(each_method())};
    process busy(options, compute, 50ms);
    const auto worked = (co_await run_to_end(busy)).value();
    CHECK(worked.usage().user_time + worked.usage().system_time >= 50ms);
    CHECK(worked.usage().user_time + worked.usage().system_time < 60s);

    constexpr std::size_t size = std::size_t{200} << 20;
    process large(options, touch, size);
    const auto grown = (co_await run_to_end(large)).value();
    CHECK(grown.usage().max_rss >= size);

    process killed(options, [] {
        compute(20ms);
        ::kill(::getpid(), SIGKILL);
    });
    const auto dead = (co_await run_to_end(killed)).value();
    CHECK(dead.usage().user_time + dead.usage().system_time >= 20ms);
}

namespace {

/// What the kernel says while one lives.
struct own_usage {
    std::chrono::microseconds cpu_time;
    std::uint64_t max_rss;
};

own_usage usage_here() {
    ::rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto duration = [](const ::timeval& time) {
        return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
    };
    return {duration(used.ru_utime) + duration(used.ru_stime),
            static_cast<std::uint64_t>(used.ru_maxrss) * 1024};
}

task<void> work_and_tell(std::chrono::milliseconds cpu_time, std::size_t bytes, connection to) {
    compute(cpu_time);
    (void)touch(bytes);
    const own_usage mine = usage_here();
    (co_await to.send(mine)).value();
}

}  // namespace

CO_TEST_CASE("exit_status: the usage is what the process itself has seen, and its end",
             "[process]") {
    // No exit handlers: they may take anything.
    const process_options options{.quick_exit = true, .method = GENERATE(each_method())};
    // The small one last: it has nothing of the others'.
    for (const std::size_t megabytes : {200U, 50U, 1U}) {
        auto [ours, theirs] = coproc::pipe().value();
        process p(options, work_and_tell, std::chrono::milliseconds(megabytes / 2),
                  megabytes << 20U, std::move(theirs));
        (co_await p.start()).value();
        const auto own = (co_await ours.recv<own_usage>()).value();
        const auto status = (co_await p.join()).value();
        CAPTURE(megabytes);
        const auto cpu_time = status.usage().user_time + status.usage().system_time;
        CHECK(cpu_time >= own.cpu_time);
        CHECK(cpu_time < own.cpu_time + 1s);
        CHECK(status.usage().max_rss >= own.max_rss);
        CHECK(status.usage().max_rss < own.max_rss + (16U << 20U));
    }
}
