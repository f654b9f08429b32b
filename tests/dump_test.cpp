// What a runtime says of itself.

#include <coproc/barrier.hpp>
#include <coproc/condition.hpp>
#include <coproc/event.hpp>
#include <coproc/generator.hpp>
#include <coproc/joinable_queue.hpp>
#include <coproc/lock.hpp>
#include <coproc/offload.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/runtime.hpp>
#include <coproc/semaphore.hpp>
#include <coproc/shared_value.hpp>
#include <coproc/shield.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_all.hpp>

#include "support/co_test.hpp"
#include "words/system.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <regex>
#include <semaphore>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using Catch::Contains;
using Catch::Matches;
using coproc::process;
using coproc::queue;
using coproc::result;
using coproc::runtime_ref;
using coproc::task;

namespace {

task<result<void>> innermost(queue<int> jobs) {
    COPROC_CO_TRY(co_await jobs.get());
    co_return coproc::success();
}
task<result<void>> outermost(queue<int> jobs) { co_return co_await innermost(std::move(jobs)); }
task<result<void>> for_ever() { co_return co_await coproc::sleep_for(24h); }
task<result<void>> descend(int levels) {
    if (levels == 0) co_return co_await for_ever();
    co_return co_await descend(levels - 1);
}
task<result<void>> shielded(coproc::event until) {
    co_return co_await coproc::shield(until.wait());
}
task<void> spin(const bool& until) {
    while (!until) (co_await coproc::yield()).value();
}
coproc::generator<int> slow_numbers() {
    const auto slept = co_await coproc::sleep_for(24h);
    if (slept) co_yield 1;
}
task<result<void>> read_numbers() {
    auto all = slow_numbers();
    (void)co_await all.next();
    co_return coproc::success();
}
task<result<void>> two_sleeps() {
    const auto both = co_await coproc::when_all(for_ever(), coproc::sleep_for(23h));
    co_return std::get<0>(both);
}

/// When everything has happened that could at once.
task<std::string> settled_dump() {
    for (int i = 0; i < 8; ++i) (co_await coproc::detail::loop_turn()).value();
    co_return (co_await coproc::current_runtime()).dump();
}

task<void> end(std::vector<coproc::spawned<result<void>>> all) {
    for (auto& one : all) one.cancel();
    for (auto& one : all) (void)co_await one;
}

/// Also somewhere in the middle.
bool says(const std::string& text, const std::string& pattern) {
    UNSCOPED_INFO(text << "is to say\n" << pattern);
    return std::regex_search(text, std::regex(pattern));
}

task<result<int>> get_one(queue<int> jobs) { co_return co_await jobs.get(); }
int seven() { return 7; }

}  // namespace

TEST_CASE("dump: of a runtime that does nothing", "[dump]") {
    const auto rt = coproc::runtime::create().value();
    CHECK_THAT(rt.dump(), Matches("coproc [0-9.]+, process MainProcess, pid [0-9]+\n"
                                  "tasks of this runtime:\n"
                                  "children of this runtime:\n"
                                  "shared objects of this process:\n"));
}

CO_TEST_CASE("dump: a task is told with what it waits for and in which coroutines", "[dump]") {
    const auto rt = co_await coproc::current_runtime();
    const auto jobs = queue<int>::create({.max_size = 5}).value();
    std::vector<coproc::spawned<result<void>>> all;
    all.push_back(rt.spawn(outermost(jobs)));
    const std::string said = co_await settled_dump();
    CHECK(says(said,
               "  task [0-9]+\n"
               "    waits for queue ([0-9]+): 0 of at most 5 messages(.|\n)*"
               "innermost \\(dump_test.cpp:[0-9]+\\)\n"
               "      [^\n]*outermost \\(dump_test.cpp:[0-9]+\\)\n(.|\n)*"
               "shared objects of this process:\n"
               "  queue \\1: 0 of at most 5 messages, 0 of at most [0-9]+ bytes; "
               "1 loop waiting for a message\n"));
    co_await end(std::move(all));
    const std::string afterwards = (co_await coproc::current_runtime()).dump();
    CHECK_THAT(afterwards, !Contains("innermost") && !Contains("waiting for a message"));
}

CO_TEST_CASE("dump: of a long stack the innermost coroutines are told", "[dump]") {
    const auto rt = co_await coproc::current_runtime();
    std::vector<coproc::spawned<result<void>>> all;
    all.push_back(rt.spawn(descend(120)));
    const std::string said = co_await settled_dump();
    CHECK(says(said,
               "waits for a sleep of [0-9]+ ms more\n"
               "( +[^\n]*for_ever \\(dump_test.cpp:[0-9]+\\)\n)"
               "( +[^\n]*descend \\(dump_test.cpp:[0-9]+\\)\n){99}"
               " +and 22 more coroutines\n"));
    co_await end(std::move(all));
}

CO_TEST_CASE("dump: branches and generators and shielded waits are told", "[dump]") {
    const auto rt = co_await coproc::current_runtime();
    const auto open = coproc::event::create().value();
    std::vector<coproc::spawned<result<void>>> all;
    all.push_back(rt.spawn(two_sleeps()));
    all.push_back(rt.spawn(read_numbers()));
    all.push_back(rt.spawn(shielded(open)));
    all.push_back(rt.spawn(coproc::timeout(25h, for_ever())));
    const std::string said = co_await settled_dump();
    CHECK_THAT(said, Contains("waits for its branches\n"));
    CHECK_THAT(said,
               Contains("waits for a sleep of 8639") || Contains("waits for a sleep of 8640"));
    CHECK_THAT(said, Contains("for_ever (dump_test.cpp:"));
    CHECK(says(said,
               "slow_numbers \\(dump_test.cpp:[0-9]+\\)\n"
               "      [^\n]*read_numbers"));
    CHECK(says(said,
               "waits for fd [0-9]+ to be readable\n"
               "([^\n]*\n){1,6}      [^\n]*shielded \\(dump_test.cpp"));
    open.set().value();
    co_await end(std::move(all));
}

CO_TEST_CASE("dump: the task that asks is told to run", "[dump]") {
    const auto rt = co_await coproc::current_runtime();
    CHECK_THAT(rt.dump(), Contains("\n    runs, or waits for what is not coproc's\n"));
}

CO_TEST_CASE("dump: a coroutine that is ready is told with its task", "[dump]") {
    const auto rt = co_await coproc::current_runtime();
    bool enough = false;
    const auto spinning = rt.spawn(spin(enough));
    (co_await coproc::yield()).value();
    const std::string said = rt.dump();
    CHECK(says(said, "  task [0-9]+\n    ready\n      [^\n]*spin "));
    enough = true;
    (co_await spinning).value();
}

CO_TEST_CASE("dump: a canceled task that goes on is told to be canceled", "[dump]") {
    const auto rt = co_await coproc::current_runtime();
    const auto open = coproc::event::create().value();
    auto stubborn = rt.spawn(shielded(open));
    (void)co_await settled_dump();
    stubborn.cancel();
    const std::string said = co_await settled_dump();
    CHECK(says(said, "  task [0-9]+, canceled\n    waits for fd"));
    open.set().value();
    (co_await stubborn).value();
}

CO_TEST_CASE("dump: what is done in threads is told", "[dump]") {
    const auto rt = co_await coproc::current_runtime();
    std::binary_semaphore begun{0};
    std::binary_semaphore enough{0};
    const auto work = [](std::binary_semaphore* begins,
                         std::binary_semaphore* until) -> task<result<void>> {
        const auto block = [=] {
            begins->release();
            until->acquire();
        };
        co_return co_await coproc::offload(block);
    };
    auto blocked = rt.spawn(work(&begun, &enough));
    (co_await coproc::yield()).value();
    begun.acquire();
    std::string said = co_await settled_dump();
    CHECK_THAT(said, Contains("waits for its work in the thread pool\n"));
    blocked.cancel();  // which it cannot be any more
    said = co_await settled_dump();
    CHECK(says(said, ", canceled\n    waits for its work in the thread pool\n"));
    enough.release();
    (void)co_await blocked;
}

CO_TEST_CASE("dump: objects of every kind are told", "[dump]") {
    const auto rt = co_await coproc::current_runtime();
    auto l = coproc::lock::create().value();
    const auto held = l.try_acquire().value();
    const auto s = coproc::bounded_semaphore::create(3).value();
    const auto permit = s.try_acquire().value();
    const auto b = coproc::barrier::create(2).value();
    const auto v = coproc::shared_value<int>::create(7).value();
    (co_await v.store(8)).value();
    auto j = coproc::joinable_queue<int>::create().value();
    j.close().value();
    const std::string said = rt.dump();
    CHECK(says(said, "lock [0-9]+: ours\n"));
    CHECK(says(said, "semaphore [0-9]+: 2 of 3 permits\n"));
    CHECK(says(said, "barrier [0-9]+: 0 of 2 have arrived\n"));
    CHECK(says(said, "shared value [0-9]+: written 1 times\n"));
    CHECK(says(said,
               "joinable queue [0-9]+: 0 messages, 0 of at most [0-9]+ bytes, "
               "closed\n"));
}

CO_TEST_CASE("dump: children and who waits in other processes are told", "[dump][process]") {
    const auto rt = co_await coproc::current_runtime();
    auto jobs = queue<int>::create().value();
    process worker({.name = "reader"}, get_one, jobs);
    (co_await worker.start()).value();
    const std::string line = "process reader, pid " + std::to_string(worker.pid());
    std::string said = rt.dump();
    CHECK_THAT(said, Contains("children of this runtime:\n  " + line + "\n"));
    while (said.find("; 1 loop waiting for a message") == std::string::npos) {
        (co_await coproc::sleep_for(1ms)).value();
        said = rt.dump();
    }
    const auto joining = [](process* whose) -> task<result<void>> {
        COPROC_CO_TRY(co_await whose->join());
        co_return coproc::success();
    };
    const auto joined = rt.spawn(joining(&worker));
    said = co_await settled_dump();
    CHECK_THAT(said, Contains("waits for " + line + "\n"));
    const auto put = co_await jobs.put(5);
    REQUIRE(put);
    (co_await joined).value();
    const auto ended = co_await worker.join();
    CHECK(ended.value().code() == 5);
    CHECK_THAT(rt.dump(), !Contains(line));
}

TEST_CASE("dump: a signal of one's choice makes one as long as the runtime lives", "[dump]") {
    const coproc::testing::leak_check leaks;
    {
        auto rt = coproc::runtime::create().value();
        std::vector<std::string> got;
        std::size_t second = 0;
        rt.dump_on(SIGUSR2, [&](const std::string& text) { got.push_back(text); }).value();
        rt.dump_on(SIGUSR2, [&](const std::string&) { ++second; }).value();
        for (std::size_t times = 1; times <= 2; ++times) {
            ::raise(SIGUSR2);
            CHECK_THAT(rt.run(settled_dump()), Contains("tasks of this runtime:\n"));
            REQUIRE(got.size() == times);
            CHECK(second == times);
            CHECK_THAT(got.back(), Contains("settled_dump (dump_test.cpp:"));
        }
    }
    struct ::sigaction now{};
    ::sigaction(SIGUSR2, nullptr, &now);
    CHECK(now.sa_handler == SIG_DFL);
    leaks.done();
}

TEST_CASE("dump: a plain fork may have one on the same signal", "[dump][process]") {
    auto rt = coproc::runtime::create().value();
    int got = 0;
    const auto count = [&](const std::string&) { ++got; };
    rt.dump_on(SIGUSR2, count).value();
    const ::pid_t copy = ::fork();
    if (copy == 0) {
        auto own = coproc::runtime::create().value();
        own.dump_on(SIGUSR2, count).value();
        ::raise(SIGUSR2);
        own.run(settled_dump());
        ::_exit(got);
    }
    int status = 0;
    REQUIRE(::waitpid(copy, &status, 0) == copy);
    CHECK(status == 1 << 8);
    rt.run(settled_dump());
    CHECK(got == 0);
    ::raise(SIGUSR2);
    rt.run(settled_dump());
    CHECK(got == 1);
}

TEST_CASE("dump: there is none on a signal that cannot be caught", "[dump]") {
    const auto rt = coproc::runtime::create().value();
    const auto refused = rt.dump_on(SIGKILL);
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == std::errc::invalid_argument);
}

CO_TEST_CASE("counters: tasks are counted", "[dump]") {
    const auto rt = co_await coproc::current_runtime();
    const auto before = rt.counters();
    std::vector<coproc::spawned<result<void>>> all;
    for (int i = 0; i < 3; ++i) all.push_back(rt.spawn(for_ever()));
    (co_await coproc::yield()).value();
    const auto meanwhile = rt.counters();
    CHECK(meanwhile.tasks_spawned == before.tasks_spawned + 3);
    CHECK(meanwhile.tasks_ended == before.tasks_ended);
    co_await end(std::move(all));
    const auto afterwards = rt.counters();
    CHECK(afterwards.tasks_spawned == before.tasks_spawned + 3);
    CHECK(afterwards.tasks_ended == before.tasks_ended + 3);
    CHECK(afterwards.resumptions > meanwhile.resumptions);
}

namespace {

/// Of a runtime that joins the child of another one, which has gone, and then one of its own.
std::vector<coproc::runtime_counters> counters_of_the_next() {
    const auto go = coproc::event::create().value();
    process outliving(
        [](coproc::event start) -> task<int> {
            (co_await start.wait()).value();
            co_return 4;
        },
        go);
    std::vector<coproc::runtime_counters> found;
    {
        auto first = coproc::runtime::create().value();
        first.run(outliving.start()).value();
        found.push_back(first.counters());
    }
    go.set().value();
    auto second = coproc::runtime::create().value();
    const auto status = second.run(outliving.join());
    CHECK(status.value().code() == 4);
    found.push_back(second.counters());
    process own(seven);
    second.run(own.start()).value();
    (void)second.run(own.join());
    found.push_back(second.counters());
    second.run(second.shutdown()).value();
    return found;
}

}  // namespace

TEST_CASE("counters: a child that outlives its runtime has not ended in the next one",
          "[dump][process]") {
    const coproc::testing::leak_check leaks;
    const auto found = counters_of_the_next();
    CHECK(found.at(0).children_started == 1);
    CHECK(found.at(0).children_ended == 0);
    CHECK(found.at(1).children_started == 0);
    CHECK(found.at(1).children_ended == 0);
    CHECK(found.at(1).children_failed == 0);
    CHECK(found.at(2).children_started == 1);
    CHECK(found.at(2).children_ended == 1);
    CHECK(found.at(2).children_failed == 1);
    leaks.done();
}

CO_TEST_CASE("counters: children and fork servers and failed starts are counted",
             "[dump][process]") {
    const auto rt = co_await coproc::current_runtime();
    for (int i = 0; i < 2; ++i) {
        process failing(seven);
        (co_await failing.start()).value();
        (void)co_await failing.join();
    }
    process killed(get_one, queue<int>::create().value());
    (co_await killed.start()).value();
    const auto meanwhile = rt.counters();
    CHECK(meanwhile.children_started == 3);
    CHECK(meanwhile.children_ended == 2);
    CHECK(meanwhile.children_failed == 2);
    CHECK(meanwhile.servers_started == 1);
    killed.kill().value();
    (void)co_await killed.join();
    process impossible(seven);
    coproc::system::set_fault_hook([](const char* call) noexcept {
        return std::string_view(call) == "socketpair" ? EMFILE : 0;
    });
    const auto refused = co_await impossible.start();
    coproc::system::set_fault_hook(nullptr);
    CHECK_FALSE(refused);
    const auto afterwards = rt.counters();
    CHECK(afterwards.children_ended == 3);
    CHECK(afterwards.children_failed == 3);
    CHECK(afterwards.starts_failed == 1);
    CHECK(afterwards.children_started == 3);
}
