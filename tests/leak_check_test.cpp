// What nearly every test relies on: that its last check notices what has been left behind.

#include "support/catch.hpp"
#include "support/co_test.hpp"

#include <fcntl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>

using namespace std::chrono_literals;
using Catch::Matchers::StartsWith;
using coproc::testing::leak_check;

TEST_CASE("leak_check: an fd more and an fd less") {
    const int before = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    const leak_check leaks;
    CHECK(leaks.left() == "");
    const int more = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    CHECK_THAT(leaks.left(), StartsWith("fd " + std::to_string(more) + " -> "));
    ::close(more);
    CHECK(leaks.left() == "");
    ::close(before);
    CHECK_THAT(leaks.left(), StartsWith("fd " + std::to_string(before) + " -> "));
}

TEST_CASE("leak_check: a child that runs, and one that nobody has reaped", "[process]") {
    const leak_check leaks;
    const ::pid_t child = ::fork();
    if (child == 0) {
        for (;;) ::pause();
    }
    const std::string name = std::to_string(child);
    CHECK_THAT(leaks.left(0ns), StartsWith("child " + name + ": " + name));
    ::kill(child, SIGKILL);
    ::siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<::id_t>(child), &info, WEXITED | WNOWAIT) == 0);
    CHECK_THAT(leaks.left(0ns), StartsWith("zombie " + name));
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    CHECK(leaks.left() == "");
}
