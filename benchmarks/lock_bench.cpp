// What does a lock between processes cost, alone and from hand to hand, beside a bare robust mutex?
//
// alone/CONTENDER: one process acquires and releases. both/CONTENDER: two processes do, as often as
// they can, and count under it: time per acquire and release. relay/CONTENDER: one process follows
// the other around three locks, each holding the one it has until it has the next, so that each
// waits for the other all the time: time per hand-over. `bare` is a robust pthread mutex; the
// peers block in the kernel, without any loop. The count, and the order, must be right.

#include <coproc/event.hpp>
#include <coproc/lock.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/run.hpp>
#include <coproc/runtime.hpp>

#include "ratios.hpp"
#include "robust_mutex.hpp"
#include "workers.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <boost/interprocess/sync/interprocess_mutex.hpp>

#include <fcntl.h>

#include <array>
#include <atomic>
#include <optional>

namespace {

using coproc::bench::must;
using coproc::bench::outcome;
using coproc::bench::robust_mutex;

/// What is protected, in memory of its own.
struct protected_words {
    std::uint64_t count = 0;
    std::array<std::atomic<std::uint64_t>, 2> steps{};  ///< of leader and follower
    std::atomic<bool> has_follower{false};

    // The follower has the last lock before the leader begins, and follows when he has the first.
    void wait_for_leader() const {
        while (steps[0] == 0) ::sched_yield();
    }
    void wait_for_follower() const {
        while (!has_follower) ::sched_yield();
    }
    /// The follower is behind, but never by more than two.
    void step(std::uint64_t who) {
        ++steps[who];
        const std::uint64_t ahead = steps[0] - steps[1];
        must(ahead <= 2);
    }
};

struct work {
    std::uint64_t processes;
    std::uint64_t count;  ///< of all
    bool is_relay;
};

outcome per_turn(const work& what, outcome whole) {
    whole.seconds /= static_cast<double>(what.count);
    return whole;
}

template <class Mutex>
void relay(std::array<Mutex, 3>& mutexes, protected_words& words, std::uint64_t who,
           std::uint64_t steps) {
    if (who == 0) {
        words.wait_for_follower();
    } else {
        mutexes[2].lock();
        words.has_follower = true;
        words.wait_for_leader();
    }
    for (std::uint64_t i = 0; i < steps; ++i) {
        mutexes[i % 3].lock();
        words.step(who);
        if (who != 0 || i != 0) mutexes[(i + 2) % 3].unlock();
    }
    mutexes[(steps - 1) % 3].unlock();
}

template <class Mutex>
outcome forked(const work& what) {
    struct all {
        std::array<Mutex, 3> mutexes;
        protected_words words;
    };
    const coproc::bench::forked_memory<all> shared;
    const std::uint64_t each = what.count / what.processes;
    outcome whole = coproc::bench::run_forked(what.processes, [&](std::uint64_t who) {
        if (what.is_relay) return relay(shared->mutexes, shared->words, who, each);
        for (std::uint64_t i = 0; i < each; ++i) {
            shared->mutexes[0].lock();
            ++shared->words.count;
            shared->mutexes[0].unlock();
        }
    });
    if (!what.is_relay && shared->words.count != what.count) whole.failure = "a wrong count";
    return per_turn(what, whole);
}

/// Words that a started program can map, too.
class words_in_file {
 public:
    words_in_file() : fd_(::memfd_create("coproc_bench", MFD_CLOEXEC)) {
        must(fd_ >= 0 && ::ftruncate(fd_, sizeof(protected_words)) == 0);
        map();
    }
    explicit words_in_file(const std::string& path)
        : fd_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {
        must(fd_ >= 0);
        map();
    }
    words_in_file(const words_in_file&) = delete;
    words_in_file& operator=(const words_in_file&) = delete;
    ~words_in_file() {
        ::munmap(place_, sizeof(protected_words));
        ::close(fd_);
    }
    std::string path() const {
        return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_);
    }
    protected_words* operator->() const noexcept { return static_cast<protected_words*>(place_); }

 private:
    void map() {
        const int access = PROT_READ | PROT_WRITE;
        place_ = ::mmap(nullptr, sizeof(protected_words), access, MAP_SHARED, fd_, 0);
        must(place_ != MAP_FAILED);
    }

    int fd_;
    void* place_ = nullptr;
};

using locks = std::vector<coproc::lock>;
using times = coproc::queue<std::int64_t>;

coproc::task<void> count_under(coproc::lock one, std::string path, std::uint64_t each) {
    const words_in_file words(path);
    for (std::uint64_t i = 0; i < each; ++i) {
        const auto mine = (co_await one.acquire()).value();
        ++words->count;
    }
}

coproc::task<void> relay_of(locks all, std::string path, std::uint64_t who, std::uint64_t steps) {
    const words_in_file words(path);
    std::optional<coproc::lock::guard> held;
    if (who == 0) {
        words->wait_for_follower();
    } else {
        held.emplace((co_await all[2].acquire()).value());
        words->has_follower = true;
        words->wait_for_leader();
    }
    for (std::uint64_t i = 0; i < steps; ++i) {
        auto next = (co_await all[i % 3].acquire()).value();
        words->step(who);
        held.emplace(std::move(next));
    }
}

/// One worker; says when it is ready, and when it has ended.
coproc::task<void> worker(locks all, std::string path, std::uint64_t who, work what,
                          coproc::event start, times ready, times ends) {
    ::alarm(coproc::bench::long_enough);
    (co_await ready.put(0)).value();
    (co_await start.wait()).value();
    const std::uint64_t each = what.count / what.processes;
    if (what.is_relay) {
        co_await relay_of(all, path, who, each);
    } else {
        co_await count_under(all[0], path, each);
    }
    (co_await ends.put(coproc::bench::now_ns())).value();
}

coproc::task<outcome> run_workers(work what) {
    const words_in_file words;
    locks all;
    for (int i = 0; i < 3; ++i) all.push_back(coproc::lock::create().value());
    const auto start = coproc::event::create().value();
    auto ready = times::create().value();
    auto ends = times::create().value();
    std::vector<coproc::process> workers;
    for (std::uint64_t who = 0; who < what.processes; ++who) {
        workers.emplace_back(worker, all, words.path(), who, what, start, ready, ends);
        (co_await workers.back().start()).value();
    }
    for (std::uint64_t who = 0; who < what.processes; ++who) (co_await ready.get()).value();
    const std::int64_t begin = coproc::bench::now_ns();
    start.set().value();
    std::int64_t end = 0;
    bool well = true;
    for (auto& one : workers) {
        const auto status = (co_await one.join()).value();
        well = well && status.code() == 0;
    }
    while (const auto one = ends.try_get()) end = std::max(end, one.value());
    if (!well) co_return outcome{0, "a worker failed"};
    if (!what.is_relay && words->count != what.count) co_return outcome{0, "a wrong count"};
    co_return outcome{1e-9 * static_cast<double>(end - begin)};
}

outcome with_coproc(const work& what) {
    auto home = coproc::runtime::create().value();
    return per_turn(what, home.run(run_workers(what)));
}

outcome with_python(const work& what) {
    return coproc::bench::run_python(
        std::string("python_lock.py ") + (what.is_relay ? "relay " : "count ") +
        std::to_string(what.processes) + ' ' + std::to_string(what.count));
}

}  // namespace

int main(int argc, char** argv) {
    if (auto code = coproc::run_if_child()) return *code;
    using namespace coproc::bench;
    const std::uint64_t shortened = is_short_run(argc, argv) ? 100 : 1;
    const auto add = [&](const char* name, outcome (*run)(const work&), std::uint64_t slowness) {
        const std::uint64_t count = 1'000'000 / slowness / shortened;
        const std::string contender = std::string("/") + name;
        add_case("alone" + contender, 1, [=] { return run({1, count, false}); });
        add_case("both" + contender, 2, [=] { return run({2, count, false}); });
        add_case("relay" + contender, 2, [=] { return run({2, count / 20, true}); });
    };
    add("bare", forked<robust_mutex>, 1);
    add("boost", forked<boost::interprocess::interprocess_mutex>, 1);
    add("coproc", with_coproc, 1);
    if (has_python()) add("py_Lock", with_python, 5);
    return run_all(argc, argv);
}
