#include "support/stepped.hpp"

#include "support/catch.hpp"

#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <utility>

namespace coproc::testing {

stepped::stepped(const std::function<void()>& work) : pid_(::fork()) {
    if (pid_ == 0) {
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        ::raise(SIGSTOP);
        work();
        ::_exit(0);
    }
    REQUIRE(pid_ > 0);
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, 0) == pid_);
    REQUIRE(WIFSTOPPED(status));
}

bool stepped::step(long count) {
    for (std::uint64_t last = 0; count > 0; --count) {
        int status = 0;
        if (::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0) return false;
        ::waitpid(pid_, &status, 0);
        if (!WIFSTOPPED(status)) {
            CHECK(WIFEXITED(status));
            pid_ = 0;
            return false;
        }
        const std::uint64_t now = instruction();
        if (now == last) leave_repetition(now);
        last = now;
    }
    return true;
}

std::uint64_t stepped::instruction() const {
    return static_cast<std::uint64_t>(
        ::ptrace(PTRACE_PEEKUSER, pid_, offsetof(::user_regs_struct, rip), nullptr));
}

/// A copy that is one repeated instruction would stop at each byte: runs it up to its end.
void stepped::leave_repetition(std::uint64_t at) {
    const auto word = static_cast<std::uint64_t>(::ptrace(PTRACE_PEEKTEXT, pid_, at, nullptr));
    if ((word & 0xff) != 0xf3) return;
    const std::uint64_t length = (word >> 8U & 0xf0) == 0x40 ? 3 : 2;  // with a REX prefix or not
    const std::uint64_t shift = 8 * length;
    const std::uint64_t trapped = (word & ~(std::uint64_t{0xff} << shift)) | std::uint64_t{0xcc}
                                                                                 << shift;
    ::ptrace(PTRACE_POKETEXT, pid_, at, trapped);
    ::ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
    ::waitpid(pid_, nullptr, 0);
    ::ptrace(PTRACE_POKETEXT, pid_, at, word);
    ::ptrace(PTRACE_POKEUSER, pid_, offsetof(::user_regs_struct, rip), at + length);
}

void stepped::kill() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, 0), nullptr, 0);
}

bool stepped::finish() {
    int status = 0;
    ::ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int kill_everywhere(long grid, const std::function<void()>& before,
                    const std::function<void()>& work,
                    const std::function<void(bool killed)>& after) {
    for (int kills = 0;; ++kills) {
        before();
        bool alive = true;
        {
            stepped child(work);
            // Not always the same instructions when the grid is coarse: 0, 1, grid + 2, …
            alive = child.step(kills * grid + kills % grid);
        }
        after(alive);
        if (!alive) return kills;
    }
}

// With sanitizers there are some fifty times as many instructions, and few are the program's.
#if defined(__SANITIZE_ADDRESS__)
constexpr long finest = 10007;
#else
constexpr long finest = 1;
#endif

long kill_grid(long coarse) {
    if (std::getenv("COPROC_TEST_LONG") != nullptr) return finest;
    return coarse * (finest > 1 ? 5000 : 1);
}

}  // namespace coproc::testing
