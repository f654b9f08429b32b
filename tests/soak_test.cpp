// Everything at once, for long: the example http_server under load, beside a pool of workers that
// share a queue, while children of both are killed at random. Nothing is lost unaccounted for, and
// memory, fds and processes do not grow.
//
//   COPROC_SOAK=1800 build/release/tests/coproc_tests '[soak]'        # seconds; otherwise 5

#include <coproc/joinable_queue.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>

#include "support/co_test.hpp"
#include "support/command.hpp"
#include "support/http_crowd.hpp"
#include "support/http_peers.hpp"
#include "support/processes.hpp"
#include "support/storm.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using coproc::joinable_queue;
using coproc::process;
using coproc::queue;
using coproc::task;
using coproc::testing::children_of;
using coproc::testing::http_crowd;
using coproc::testing::http_server;
using coproc::testing::http_tally;
using coproc::testing::storm;
using coproc::testing::wait_until;

namespace {

std::chrono::seconds length() {
    const char* const given = std::getenv("COPROC_SOAK");
    return std::chrono::seconds(given != nullptr ? std::strtol(given, nullptr, 10) : 5);
}

// -- what must not grow

#if defined(__SANITIZE_ADDRESS__)
constexpr bool memory_counts = false;  // what has been freed is kept for a while
#else
constexpr bool memory_counts = true;
#endif

/// In pages.
long resident_memory(::pid_t of) {
    std::ifstream file("/proc/" + std::to_string(of) + "/statm");
    long size = 0;
    long resident = 0;
    file >> size >> resident;
    return resident;
}

/// Samples of a process's memory, taken all the time.
class memory_watch {
 public:
    explicit memory_watch(::pid_t of) : of_(of) {}
    void look() { seen_.push_back(resident_memory(of_)); }
    /// Of the second quarter, when everything has been used once, and of the last.
    long before() const { return median(seen_.size() / 4); }
    long after() const { return median(seen_.size() / 4 * 3); }
    /// By more than a twentieth and half a megabyte?
    bool has_grown() const { return after() > before() + before() / 20 + 128; }

 private:
    long median(std::size_t from) const {
        std::vector<long> quarter(
            seen_.begin() + static_cast<std::ptrdiff_t>(from),
            seen_.begin() +
                static_cast<std::ptrdiff_t>(from + std::max<std::size_t>(seen_.size() / 4, 1)));
        std::sort(quarter.begin(), quarter.end());
        return quarter[quarter.size() / 2];
    }

    ::pid_t of_;
    std::vector<long> seen_;
};

std::size_t own_fds() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// -- the server's clients, in a thread of their own

struct requests_made {
    http_tally all;
    long killed = 0;  ///< children
};

/// Clients, until the time has come, and a killer of the server's children.
requests_made attack(const http_server& server, const std::stop_token& enough) {
    http_crowd crowd(server.port(), 8, coproc::testing::questions_for_children());
    long killed = 0;
    std::minstd_rand random(4711);
    while (!enough.stop_requested()) {
        killed += server.kill_one(random) ? 1 : 0;
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
    }
    crowd.stop();
    return {crowd.finish(), killed};
}

// -- the pool

using jobs = joinable_queue<long>;
using answers = queue<long>;

task<coproc::result<void>> work(jobs from, answers to) {
    for (;;) {
        COPROC_CO_TRY(auto job, co_await from.lease());
        COPROC_CO_TRY(co_await to.put(job.value()));
        COPROC_CO_TRY(job.done());
    }
}

/// Puts numbers until the time has come; answers how many.
task<long> put_jobs(jobs to, const std::atomic<bool>& enough) {
    long number = 0;
    for (; !enough; ++number) {
        const auto put = co_await to.put(number);
        put.value();
        // The machine is for the kills, too.
        if (number % 64 == 0) (co_await coproc::sleep_for(1ms)).value();
    }
    (co_await to.join()).value();
    co_return number;
}

/// Which numbers have been answered: all below one, and a few above it.
class tally {
 public:
    void add(long number) {
        if (number < all_below_ || !above_.insert(number).second) ++twice_;
        while (above_.erase(all_below_) != 0) ++all_below_;
    }
    bool is_all(long count) const { return all_below_ == count && above_.empty(); }
    long twice() const noexcept { return twice_; }

 private:
    long all_below_ = 0;
    std::set<long> above_;
    long twice_ = 0;
};

constexpr long the_last = -1;

task<tally> count_answers(answers from) {
    tally counted;
    for (;;) {
        const auto got = co_await from.get_some(256);
        for (const long number : got.value()) {
            if (number == the_last) co_return std::move(counted);
            counted.add(number);
        }
    }
}

task<void> watch_memory(memory_watch& server, memory_watch& here, const std::atomic<bool>& enough) {
    while (!enough) {
        server.look();
        here.look();
        (co_await coproc::sleep_for(length() / 200.0)).value();
    }
}

/// Workers that live to do the rest.
task<long> finish(jobs left, answers to, coproc::spawned<long>& putting) {
    std::vector<process> workers;
    for (int i = 0; i < 2; ++i) workers.emplace_back(work, left, to);
    for (process& one : workers) (co_await one.start()).value();
    const long put = (co_await putting).value();
    (co_await to.put(the_last)).value();
    for (process& one : workers) one.kill().value();
    for (process& one : workers) (void)co_await one.join();
    co_return put;
}

}  // namespace

CO_TEST_CASE("soak: a server and a pool lose nothing and do not grow while children are killed",
             "[process][serial][soak]") {
    http_server server({"--queue", "100"}, http_server::log::dropped);
    server.warm_up();
    const std::size_t server_fds = server.open_fds();
    const auto rt = co_await coproc::current_runtime();
    const auto to_do = jobs::create({.max_size = 1000}).value();
    const auto done = answers::create({.max_size = 1000}).value();
    const std::uint64_t seed = coproc::testing::storm_seed();
    INFO("COPROC_TEST_SEED=" << seed);
    storm pool(seed);
    pool.add("worker", 4, [&](long) { return process(work, to_do, done); });

    std::atomic<bool> enough = false;
    memory_watch server_memory(server.pid());
    memory_watch own_memory(::getpid());
    requests_made requests;
    std::jthread clients([&](const std::stop_token& stop) { requests = attack(server, stop); });
    auto watching = rt.spawn(watch_memory(server_memory, own_memory, enough));
    auto putting = rt.spawn(put_jobs(to_do, enough));
    auto counting = rt.spawn(count_answers(done));
    co_await pool.rage(length());
    const std::size_t fds = own_fds();
    enough = true;
    clients.request_stop();
    (co_await watching).value();
    const long put = co_await finish(to_do, done, putting);
    const tally answered = (co_await counting).value();
    clients.join();

    CHECK(answered.is_all(put));
    CHECK(answered.twice() <= pool.kills());
    CHECK(pool.failures() == 0);
    coproc::testing::check_accounts(requests.all, requests.killed);
    WARN(length().count() << " s: " << requests.all << "; " << requests.killed
                          << " of the server's children killed; " << put << " jobs done, "
                          << answered.twice() << " twice, " << pool.kills()
                          << " workers killed; memory of the server " << server_memory.before()
                          << " -> " << server_memory.after() << " pages, here "
                          << own_memory.before() << " -> " << own_memory.after());
    wait_until("the clients' fds are closed", [&] { return server.open_fds() <= server_fds; });
    wait_until("the children have ended",
               [&] { return children_of(server.pid()).size() <= 1; });  // the fork server
    CHECK(own_fds() <= fds);
    if (memory_counts) {
        CHECK_FALSE(server_memory.has_grown());
        CHECK_FALSE(own_memory.has_grown());
    }
    CHECK(requests.killed > 0);
    CHECK(pool.kills() > 0);
    server.send_signal(SIGTERM);
    server.finish();
}
