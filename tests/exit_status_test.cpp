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
using coproc::exit_status;
using coproc::process;
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
    process p(abort_with_core, directory.string());
    const auto status = (co_await run_to_end(p)).value();
    std::filesystem::remove_all(directory);
    CHECK(status.signal() == SIGABRT);
    CHECK(status.core_dumped() == expected);

    process killed([] { ::kill(::getpid(), SIGKILL); });
    const auto no_core = (co_await run_to_end(killed)).value();
    CHECK_FALSE(no_core.core_dumped());
}

CO_TEST_CASE("exit_status: what the process has used", "[process]") {
    process busy(compute, 50ms);
    const auto worked = (co_await run_to_end(busy)).value();
    CHECK(worked.usage().user_time + worked.usage().system_time >= 50ms);
    CHECK(worked.usage().user_time + worked.usage().system_time < 60s);

    constexpr std::size_t size = std::size_t{200} << 20;
    process large(touch, size);
    const auto grown = (co_await run_to_end(large)).value();
    CHECK(grown.usage().max_rss >= size);

    process killed([] {
        compute(20ms);
        ::kill(::getpid(), SIGKILL);
    });
    const auto dead = (co_await run_to_end(killed)).value();
    CHECK(dead.usage().user_time + dead.usage().system_time >= 20ms);
}
