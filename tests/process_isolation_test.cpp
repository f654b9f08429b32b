// What a child has of its application: what has been passed to it, and nothing else; also where the
// kernel refuses what the fork server needs.

#include <coproc/connection.hpp>
#include <coproc/log.hpp>
#include <coproc/process.hpp>

#include "support/co_test.hpp"
#include "support/command.hpp"
#include "support/processes.hpp"
#include "support/sandbox.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <future>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using coproc::connection;
using coproc::process;
using coproc::process_options;
using coproc::start_method;
using coproc::task;
using coproc::testing::ask;
using coproc::testing::each_method;
using coproc::testing::run_to_end;

namespace {

int of_the_application = 0;
std::vector<std::string> also_of_the_application;

std::size_t threads_here() {
    const std::filesystem::directory_iterator all("/proc/self/task");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

struct seen {
    int number;
    std::size_t texts;
    std::size_t threads;
};

seen seen_here() { return {of_the_application, also_of_the_application.size(), threads_here()}; }

task<void> tell_seen(connection to) {
    const seen mine = seen_here();
    (co_await to.send(mine)).value();
}

/// Is there until it is over.
class other_thread {
 public:
    other_thread() : thread_([this] { over_.get_future().wait(); }) {}
    other_thread(const other_thread&) = delete;
    other_thread& operator=(const other_thread&) = delete;
    ~other_thread() {
        over_.set_value();
        thread_.join();
    }

 private:
    std::promise<void> over_;
    std::thread thread_;
};

}  // namespace

CO_TEST_CASE("process: nothing of the application's memory and threads is in a child",
             "[process][forkserver]") {
    const process_options options{.method = GENERATE(each_method())};
    of_the_application = 7;
    also_of_the_application = {"a secret"};
    const other_thread beside;
    const seen ours = seen_here();
    CHECK(ours.threads >= 2);
    // The first has a server made, where there is one; the next are of a server that there was.
    for (int i = 0; i < 3; ++i) {
        const seen theirs = (co_await ask<seen>(options, tell_seen)).value();
        CHECK(theirs.number == 0);
        CHECK(theirs.texts == 0);
        CHECK(theirs.threads == 1);
        ++of_the_application;
    }
    of_the_application = 0;
    also_of_the_application.clear();
}

// -- a kernel that does not let processes be cloned for somebody else

namespace {

int code_of_whose_parent_is(int parent) { return ::getppid() == parent ? 7 : 8; }

/// How often a log line has said that there is no fork server.
class fallbacks {
 public:
    fallbacks() {
        const auto count = [this](coproc::log_level, std::string_view text) {
            count_ += text.find("no fork server") != std::string_view::npos ? 1 : 0;
        };
        coproc::log_to(count, coproc::log_level::warning);
    }
    fallbacks(const fallbacks&) = delete;
    fallbacks& operator=(const fallbacks&) = delete;
    ~fallbacks() { coproc::log_to({}, coproc::log_level::off); }
    int count() const noexcept { return count_; }

 private:
    int count_ = 0;
};

/// Codes of some children, and the number of fall-backs; -1 where there are no filters.
task<void> start_in_a_sandbox(connection to, int failure) {
    std::vector<int> found;
    const fallbacks said;
    if (!coproc::testing::refuse_call(SYS_clone, failure, CLONE_PARENT)) found.push_back(-1);
    for (int i = 0; i < 3; ++i) {
        process p({.method = start_method::forkserver}, code_of_whose_parent_is, ::getpid());
        const auto status = co_await run_to_end(p);
        found.push_back(status ? status.value().code() : 99);
    }
    found.push_back(said.count());
    found.push_back(static_cast<int>(coproc::testing::children_of(::getpid()).size()));
    (co_await to.send(found)).value();
}

}  // namespace

CO_TEST_CASE("process: where the kernel refuses a fork server's clone it is spawned instead",
             "[process][forkserver]") {
    const int failure = GENERATE(EPERM, ENOSYS);
    CAPTURE(failure);
    const auto found = co_await ask<std::vector<int>>({}, start_in_a_sandbox, failure);
    // Three children of its own, one line, and no server that is left.
    const std::vector<int> expected{7, 7, 7, 1, 0};
    CHECK(found.value() == expected);
}
