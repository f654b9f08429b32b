// Every way to start, every kind of target and argument, every way to end: each with its exact
// status, and nothing left.

#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/scope.hpp>
#include <coproc/sleep.hpp>
#include <coproc/this_process.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"
#include "support/processes.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using coproc::errc;
using coproc::exit_status;
using coproc::process;
using coproc::process_options;
using coproc::result;
using coproc::start_method;
using coproc::task;
using coproc::testing::each_method;
using coproc::testing::eventually;
using coproc::testing::quiet_stderr;
using coproc::testing::run_to_end;

namespace {

// -- ways of ending

enum class ending : int { code, nothing, exit, quick, failure, exception, odd, kill, abort, term };

struct expected {
    ending how;
    int code;
    const char* exception_type = "";
};

const std::vector<expected> endings{{ending::code, 200},
                                    {ending::nothing, 0},
                                    {ending::exit, 3},
                                    {ending::quick, 4},
                                    {ending::failure, 1, "coproc::error"},
                                    {ending::exception, 1, "std::runtime_error"},
                                    {ending::odd, 1, "int"},
                                    {ending::kill, -SIGKILL},
                                    {ending::abort, -SIGABRT},
                                    {ending::term, -SIGTERM}};

result<int> end_as(ending how) {
    switch (how) {
        case ending::code:
            return 200;
        case ending::nothing:
            return 0;
        case ending::exit:
            std::exit(3);
        case ending::quick:
            ::_exit(4);
        case ending::failure:
            return errc::bad_message;
        case ending::exception:
            throw std::runtime_error("torn");
        case ending::odd:
            throw 5;
        case ending::kill:
            ::raise(SIGKILL);
            break;
        case ending::abort:
            ::prctl(PR_SET_DUMPABLE, 0);  // no core file
            std::abort();
        case ending::term:
            ::raise(SIGTERM);
            break;
    }
    return 99;
}

// -- arguments

struct record {
    int number;
    std::string text;
    std::optional<std::vector<double>> values;
    bool operator==(const record&) const = default;
};

bool is_right(int argument) { return argument == -5; }
bool is_right(const std::string& argument) { return argument == std::string(100000, 'x'); }
bool is_right(const record& argument) {
    return argument == record{7, "seven", std::vector<double>{0.5, 7}};
}
bool is_right(const std::unique_ptr<std::map<std::string, int>>& argument) {
    return argument && argument->at("one") == 1;
}
bool is_right(const coproc::event& argument) { return argument.set().has_value(); }
bool is_right(const coproc::queue<std::string>& argument) {
    auto mine = argument;
    return mine.try_put("from a child").has_value();
}

// -- targets

template <class Argument>
result<int> function(ending how, const Argument& argument) {
    return is_right(argument) ? end_as(how) : result<int>(98);
}

template <class Argument>
task<result<int>> coroutine(ending how, Argument argument) {
    const auto turned = co_await coproc::yield();
    turned.value();
    co_return function(how, argument);
}

template <class Argument>
struct object {
    Argument kept;
    result<int> operator()(ending how) const { return function(how, kept); }
};

// -- the check of one

std::size_t open_fds() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& fd : std::filesystem::directory_iterator("/proc/self/fd")) {
        ++count;
    }
    return count;
}

task<void> check_end(process one, expected wanted) {
    const auto ended = co_await run_to_end(one);
    const exit_status& status = ended.value();
    CAPTURE(static_cast<int>(wanted.how));
    CHECK(status.code() == wanted.code);
    CHECK(status.signal() == (wanted.code < 0 ? -wanted.code : 0));
    CHECK(status.exception_type() == wanted.exception_type);
    CHECK(status.usage().max_rss > 0);
    CHECK_FALSE(one.is_alive());
    CHECK(coproc::active_children().empty());
    one.close().value();
}

template <class Argument>
task<void> check_all(start_method method, Argument argument) {
    const process_options options{.method = method};
    for (const expected& wanted : endings) {
        co_await check_end(process(options, function<Argument>, wanted.how, argument), wanted);
        co_await check_end(process(options, coroutine<Argument>, wanted.how, argument), wanted);
        const auto lambda = [](ending how, const Argument& given) { return function(how, given); };
        co_await check_end(process(options, lambda, wanted.how, argument), wanted);
        object<Argument> target{argument};
        co_await check_end(process(options, target, wanted.how), wanted);
    }
}

task<void> check_method(start_method method) {
    const quiet_stderr quiet;
    process first({.method = method}, [] {});
    (co_await run_to_end(first)).value();
    first.close().value();
    const std::size_t before = open_fds();
    co_await check_all(method, -5);
    co_await check_all(method, std::string(100000, 'x'));
    const record one{7, "seven", std::vector<double>{0.5, 7}};
    co_await check_all(method, one);
    CHECK(open_fds() == before);
    const auto flag = coproc::event::create().value();
    co_await check_all(method, flag);
    CHECK(flag.is_set());
    const auto texts = coproc::queue<std::string>::create().value();
    co_await check_all(method, texts);
    CHECK(texts.size() == 4 * endings.size());
}

}  // namespace

CO_TEST_CASE("process: each kind of target, argument and end, by the fork server",
             "[process][forkserver]") {
    co_await check_method(start_method::forkserver);
}

CO_TEST_CASE("process: each kind of target, argument and end, by spawn", "[process]") {
    co_await check_method(start_method::spawn);
}

CO_TEST_CASE("process: what cannot be copied travels to each kind of target",
             "[process][forkserver]") {
    for (const start_method method : {start_method::forkserver, start_method::spawn}) {
        const process_options options{.method = method};
        const expected seven{ending::code, 200};
        using map = std::unique_ptr<std::map<std::string, int>>;
        auto argument = std::make_unique<std::map<std::string, int>>();
        argument->emplace("one", 1);
        process one(options, function<map>, ending::code, std::move(argument));
        co_await check_end(std::move(one), seven);
        object<map> target{std::make_unique<std::map<std::string, int>>()};
        target.kept->emplace("one", 1);
        process other(options, std::move(target), ending::code);
        co_await check_end(std::move(other), seven);
    }
}

CO_TEST_CASE("process: each exit code is told as it is", "[process][forkserver]") {
    const process_options options{.method = GENERATE(each_method())};
    const auto end_with = [&options](int code) -> task<result<void>> {
        const auto leave = [](int with) { std::exit(with); };
        process one(options, leave, code);
        COPROC_CO_TRY(const auto status, co_await run_to_end(one));
        CHECK(status.code() == code);
        CHECK(status.signal() == 0);
        co_return coproc::success();
    };
    // Spawned ones have memory of their own, with sanitizers much of it.
    const int together = options.method == start_method::spawn ? 8 : 256;
    for (int first = 0; first < 256; first += together) {
        const auto some = [&](coproc::scope& s) -> task<result<void>> {
            for (int code = first; code < first + together; ++code) s.spawn(end_with(code));
            co_return coproc::success();
        };
        (co_await coproc::with_scope(some)).value();
    }
}

namespace {

char state_of(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const auto name_end = text.rfind(')');
    return name_end == std::string::npos ? '?' : text.at(name_end + 2);
}

}  // namespace

CO_TEST_CASE("process: to be stopped and to go on is no end", "[process][forkserver]") {
    for (const start_method method : {start_method::forkserver, start_method::spawn}) {
        const auto go = coproc::event::create().value();
        process one(
            {.method = method},
            [](coproc::event on) -> task<int> {
                (co_await on.wait()).value();
                co_return 9;
            },
            go);
        (co_await one.start()).value();
        for (int times = 0; times < 3; ++times) {
            one.send_signal(SIGSTOP).value();
            const bool has_stopped =
                co_await eventually([&] { return state_of(one.pid()) == 'T'; });
            CHECK(has_stopped);
            const auto joined = co_await coproc::timeout(std::chrono::milliseconds(10), one.join());
            CHECK(joined.error() == errc::timed_out);
            CHECK(one.is_alive());
            one.send_signal(SIGCONT).value();
            const bool goes_on = co_await eventually([&] { return state_of(one.pid()) != 'T'; });
            CHECK(goes_on);
        }
        go.set().value();
        const auto status = (co_await one.join()).value();
        CHECK(status.code() == 9);
    }
}
