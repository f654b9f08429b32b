#include "support/stepped.hpp"

#include "shared/sleepers.hpp"
#include "shared/transaction.hpp"
#include "support/catch.hpp"
#include "support/processes.hpp"

#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <unordered_map>
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

void mark() { ::raise(SIGSTOP); }

void stepped::run_to_mark() {
    int status = 0;
    REQUIRE(::ptrace(PTRACE_CONT, pid_, nullptr, nullptr) == 0);
    REQUIRE(::waitpid(pid_, &status, 0) == pid_);
    REQUIRE(WIFSTOPPED(status));
    REQUIRE(WSTOPSIG(status) == SIGSTOP);
}

/// False if it has ended.
bool stepped::wait_for_stop() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    if (WIFSTOPPED(status)) return true;
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    pid_ = 0;
    return false;
}

std::vector<std::uint64_t> stepped::trace() {
    std::vector<std::uint64_t> path;
    do {
        path.push_back(instruction());
        if (path.size() > 1 && path.back() == path[path.size() - 2]) leave_repetition(path.back());
        call_before_sleep(path.back());
        ::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
    } while (wait_for_stop());
    return path;
}

bool stepped::run_to(const moment& there) {
    long left = there.time;
    const std::array<std::uint64_t, 3> stops{there.instruction,
                                             reinterpret_cast<std::uint64_t>(&::epoll_wait),
                                             reinterpret_cast<std::uint64_t>(&::epoll_pwait)};
    const std::span all(stops.begin(), before_sleep_ ? stops.size() : 1);
    for (;;) {
        const std::uint64_t now = instruction();
        if (std::ranges::find(all, now) == all.end()) {
            if (!run_to_any(all)) return false;
            continue;
        }
        call_before_sleep(now);
        if (now == there.instruction && --left == 0) return true;
        ::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
        if (!wait_for_stop()) return false;
    }
}

/// To the next of some instructions; false if it has ended.
bool stepped::run_to_any(std::span<const std::uint64_t> stops) {
    std::vector<std::uint64_t> words;
    for (const std::uint64_t at : stops) {
        words.push_back(static_cast<std::uint64_t>(::ptrace(PTRACE_PEEKTEXT, pid_, at, nullptr)));
        ::ptrace(PTRACE_POKETEXT, pid_, at, (words.back() & ~std::uint64_t{0xff}) | 0xcc);
    }
    ::ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
    if (!wait_for_stop()) return false;
    for (std::size_t i = stops.size(); i > 0; --i) {  // two may be in one word
        ::ptrace(PTRACE_POKETEXT, pid_, stops[i - 1], words[i - 1]);
    }
    ::ptrace(PTRACE_POKEUSER, pid_, offsetof(::user_regs_struct, rip), instruction() - 1);
    return true;
}

/// If it is at the beginning of a call that is going to wait: the fourth argument is the timeout.
void stepped::call_before_sleep(std::uint64_t at) {
    if (!before_sleep_) return;
    if (at != reinterpret_cast<std::uint64_t>(&::epoll_wait) &&
        at != reinterpret_cast<std::uint64_t>(&::epoll_pwait)) {
        return;
    }
    const long timeout =
        ::ptrace(PTRACE_PEEKUSER, pid_, offsetof(::user_regs_struct, rcx), nullptr);
    if (static_cast<int>(timeout) != 0) std::exchange(before_sleep_, nullptr)();
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

bool stepped::step() {
    ::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
    return wait_for_stop();
}

void stepped::kill() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, 0), nullptr, 0);
}

void stepped::go_on() { ::ptrace(PTRACE_CONT, pid_, nullptr, nullptr); }

std::optional<int> stepped::ended() {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == 0) return std::nullopt;
    pid_ = 0;
    return status;
}

bool stepped::finish() {
    go_on();
    for (int left = 10'000; left > 0; --left) {
        if (const auto status = ended()) return WIFEXITED(*status) && WEXITSTATUS(*status) == 0;
        ::usleep(1000);
    }
    return false;
}

namespace {

// With sanitizers there are some fifty times as many instructions, and few are the program's.
#if defined(__SANITIZE_ADDRESS__)
constexpr long finest = 10007;
#else
constexpr long finest = 1;
#endif

/// Number 0, grid + 1, … of what a child has done. A late round of a loop would cost as many stops
/// as there were rounds, so that few of these are taken.
std::vector<moment> moments_of(const std::vector<std::uint64_t>& path, long grid) {
    constexpr long all_rounds = 64;
    std::vector<moment> chosen;
    std::unordered_map<std::uint64_t, long> times;
    long next = 0;
    for (long i = 0; i < std::ssize(path); ++i) {
        const std::uint64_t at = path[static_cast<std::size_t>(i)];
        const long time = ++times[at];
        if (i < next || (time > all_rounds && time % all_rounds != 0)) continue;
        chosen.push_back({at, time});
        // Not always the same instructions when the grid is coarse.
        next = i + grid + std::ssize(chosen) % std::min(grid, 7L);
    }
    return chosen;
}

template <class Member>
std::uint64_t address_of(Member function) {
    std::uint64_t address = 0;
    static_assert(sizeof function >= sizeof address);  // of one that is not virtual it comes first
    std::memcpy(&address, &function, sizeof address);
    return address;
}

const moment the_end{address_of(&detail::transaction::commit), LONG_MAX};

/// Before some of the stores to shared words, and before ringing.
std::vector<moment> landmarks() {
    using detail::sleepers;
    using detail::transaction;
    std::vector<moment> all;
    for (const long time : {1, 2, 3, 5, 8, 12, 18, 27, 40}) {
        all.push_back({address_of(&detail::publish), time});
    }
    for (const long time : {1, 2}) {
        all.push_back({address_of(&detail::release_lock), time});
        all.push_back({address_of(&transaction::commit), time});
        all.push_back({address_of(&sleepers::wake_one), time});
        all.push_back({address_of(&sleepers::wake_all), time});
    }
    all.push_back({address_of(&sleepers::announce), 1});
    all.push_back({address_of(&sleepers::withdraw), 1});
    return all;
}

/// Of the whole life of a child: about every `grid(number of its instructions)`th one.
std::vector<moment> moments_in(stepped& child, const std::function<long(long)>& grid) {
    if (finest > 1 && !is_long()) {
        child.run_to(the_end);
        return landmarks();
    }
    const auto path = child.trace();
    return moments_of(path, grid(std::ssize(path)));
}

enum class beginning { at_once, at_mark };

/// One life, then a death at each of its moments.
int live_and_die(beginning from, const deaths& around, const std::function<long(long)>& grid) {
    const auto live = [&](auto use) {
        around.before();
        bool alive = false;
        {
            stepped child(around.work);
            if (from == beginning::at_mark) child.run_to_mark();
            if (around.asleep) child.before_sleep(around.asleep);
            alive = use(child);
        }
        around.after(alive);
        return alive;
    };
    std::vector<moment> all;
    live([&](stepped& child) {
        all = moments_in(child, grid);
        return false;
    });
    int kills = 0;
    for (const moment& one : all) {
        kills += live([&](stepped& child) { return child.run_to(one); });
    }
    return kills;
}

}  // namespace

std::vector<moment> moments(long grid, const std::function<void()>& work) {
    stepped child(work);
    const auto all = moments_in(child, [grid](long) { return grid; });
    if (finest == 1 || is_long()) return all;
    // Each is the beginning of a whole series of deaths, and costs as many forks.
    return {all[all.size() / 4], all[all.size() / 2]};
}

std::vector<moment> moments_from_mark(long count, const std::function<void()>& work,
                                      const std::function<void()>& asleep) {
    stepped child(work);
    child.run_to_mark();
    if (asleep) child.before_sleep(asleep);
    return moments_in(child, [count](long length) { return length / count + 1; });
}

int kill_everywhere(long grid, const std::function<void()>& before,
                    const std::function<void()>& work,
                    const std::function<void(bool killed)>& after) {
    return live_and_die(beginning::at_once, {before, work, nullptr, after},
                        [grid](long) { return grid; });
}

void surprise_everywhere(long points, const std::function<void()>& before,
                         const std::function<void()>& work, const std::function<bool()>& happen) {
    const auto grid = [points](long count) { return is_long() ? finest : count / points + 1; };
    const auto live = [&](auto use) {
        before();
        bool happened = false;
        stepped child(work);
        child.run_to_mark();
        child.before_sleep([&] { happened = happened || happen(); });
        return use(child, happened);
    };
    const auto all = live([&](stepped& child, bool&) { return moments_in(child, grid); });
    for (const moment& one : all) {
        live([&](stepped& child, bool& happened) {
            if (!child.run_to(one)) return;
            happened = happened || happen();
            // With the lock in its hands nothing could: then when it is about to sleep.
            if (happened) {
                REQUIRE(child.finish());
            } else {
                child.run_to(the_end);
                CHECK(happened);
            }
        });
    }
}

int kill_everywhere(long points, const deaths& around) {
    const auto grid = [points](long count) { return is_long() ? finest : count / points + 1; };
    return live_and_die(beginning::at_mark, around, grid);
}

int kill_repairers(const std::vector<moment>& first_deaths, long grid,
                   const std::function<void(const moment& there)>& before,
                   const std::function<void()>& repair, const std::function<void()>& after) {
    const auto kill_after = [&](const moment& there, long every) {
        return kill_everywhere(every, [&] { before(there); }, repair, [&](bool) { after(); });
    };
    int kills = 0;
    for (const moment& there : first_deaths) kills += kill_after(there, grid);
    constexpr std::size_t thoroughly = 8;
    const std::size_t count = is_long() ? std::min(thoroughly, first_deaths.size()) : 0;
    for (std::size_t i = 0; i < count; ++i) {
        kills += kill_after(first_deaths[(2 * i + 1) * first_deaths.size() / (2 * count)], finest);
    }
    return kills;
}

long kill_grid(long coarse) { return is_long() ? finest : coarse; }

}  // namespace coproc::testing
