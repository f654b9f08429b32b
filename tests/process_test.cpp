#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/runtime.hpp>
#include <coproc/scope.hpp>
#include <coproc/sleep.hpp>
#include <coproc/this_process.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"
#include "support/contract.hpp"
#include "support/processes.hpp"
#include "words/system.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::exit_status;
using coproc::process;
using coproc::process_options;
using coproc::result;
using coproc::start_method;
using coproc::task;
using coproc::testing::ask;
using coproc::testing::each_method;
using coproc::testing::eventually;
using coproc::testing::is_running;
using coproc::testing::quiet_stderr;
using coproc::testing::run_to_end;

namespace {

// -- targets

void good_job() {}
int seven() noexcept { return 7; }
int fail_job() { return 1; }
task<result<void>> for_ever() { co_return co_await coproc::sleep_for(24h); }
void in_a_loop() {
    for (;;) ::pause();
}

/// Ends when the other side of `peer` does.
task<int> wait_for_peer(coproc::connection peer, int code) {
    (void)co_await peer.recv<int>();
    co_return code;
}

void ignore_terminate(coproc::event ready) {
    ::signal(SIGTERM, SIG_IGN);
    ready.set().value();
    in_a_loop();
}

/// Sets the event from inside the target, then waits until it is canceled and has cleaned up.
task<int> cleans_up(coproc::event ready, coproc::event cleaned) {
    ready.set().value();
    const auto waited = co_await coproc::sleep_for(24h);
    if (waited || waited.error() != errc::canceled) co_return 9;
    cleaned.set().value();
    co_return 5;
}

task<void> say_name(coproc::connection to) {
    (co_await to.send(coproc::current_process().name())).value();
}

int die_by(int signal) {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
    return 99;
}

std::string printed(const process& one) {
    std::ostringstream text;
    text << one;
    return text.str();
}

/// Refuses one call by name, with one errno.
std::atomic<const char*> refused_call = nullptr;
std::atomic<int> refusal = 0;
int refuse(const char* call) noexcept {
    const char* chosen = refused_call;
    return chosen != nullptr && std::strcmp(call, chosen) == 0 ? refusal.load() : 0;
}

class refusing {
 public:
    refusing(const char* call, int error) {
        refused_call = call;
        refusal = error;
        coproc::system::set_fault_hook(&refuse);
    }
    refusing(const refusing&) = delete;
    refusing& operator=(const refusing&) = delete;
    ~refusing() { coproc::system::set_fault_hook(nullptr); }
};

// -- the operation contract

/// Deaf to SIGTERM, up to the event.
int wait_for(coproc::event ready, coproc::event end) {
    ::signal(SIGTERM, SIG_IGN);
    ready.set().value();
    auto home = coproc::runtime::create().value();
    return home.run(end.wait()).has_value() ? 0 : 1;
}

void take(coproc::bytes) {}

class starting : public coproc::testing::operation_under_contract {
    task<result<void>> attempt() override {
        // More than the socket has room for: what is smaller has been started in no time.
        process& made = processes_.emplace_back(take, coproc::bytes(2'000'000));
        co_return co_await made.start();
    }
    task<void> tear_down() override {
        for (process& made : processes_) (void)co_await made.join();
        processes_.clear();
    }
    const char* start_call() const override { return "clone"; }
    bool has_processes() const override { return true; }

    std::list<process> processes_;
};
const coproc::testing::contract_row<starting> start_row("process::start");

class with_child : public coproc::testing::operation_under_contract {
 protected:
    task<void> set_up() override {
        const auto ready = coproc::event::create().value();
        end_ = coproc::event::create().value();
        child_.emplace(wait_for, ready, *end_);
        (co_await child_->start()).value();
        (co_await ready.wait()).value();
    }
    task<void> release() override {
        end_->set().value();
        co_return;
    }
    task<void> tear_down() override {
        child_->kill().value();
        (co_await child_->join()).value();
        child_.reset();
        end_.reset();
    }
    bool has_processes() const override { return true; }

    std::optional<coproc::event> end_;
    std::optional<process> child_;
};

class joining : public with_child {
    task<result<void>> attempt() override {
        COPROC_CO_TRY(co_await child_->join());
        co_return coproc::success();
    }
};
const coproc::testing::contract_row<joining> join_row("process::join");

class stopping : public with_child {
    task<result<void>> attempt() override {
        COPROC_CO_TRY(co_await child_->stop(1h));
        co_return coproc::success();
    }
};
const coproc::testing::contract_row<stopping> stop_row("process::stop");

}  // namespace

// -- names and states

CO_TEST_CASE("process: a name of its own, or Python's, in order of construction", "[process]") {
    const process named({.name = "resizer"}, good_job);
    const process first(good_job);
    const process second(good_job);
    CHECK(named.name() == "resizer");
    REQUIRE(first.name().starts_with("Process-"));
    const int number = std::stoi(first.name().substr(8));
    CHECK(second.name() == "Process-" + std::to_string(number + 1));
    const auto inside = co_await ask<std::string>({.name = "by name"}, say_name);
    CHECK(inside.value() == "by name");
}

namespace {
/// Tells the names of the first two children of this child, constructed and in the child itself.
task<void> names_of_children(coproc::connection to) {
    process first(good_job);
    std::vector<std::string> names{coproc::current_process().name(), first.name()};
    auto [ours, theirs] = coproc::pipe().value();
    process second(say_name, std::move(theirs));
    (co_await second.start()).value();
    names.push_back((co_await ours.recv<std::string>()).value());
    (co_await second.join()).value();
    (co_await to.send(names)).value();
}
}  // namespace

CO_TEST_CASE("process: a child's children are numbered behind its own number", "[process]") {
    auto [ours, theirs] = coproc::pipe().value();
    process parent(names_of_children, std::move(theirs));
    (co_await parent.start()).value();
    const auto names = (co_await ours.recv<std::vector<std::string>>()).value();
    (co_await parent.join()).value();
    CHECK(names ==
          std::vector<std::string>{parent.name(), parent.name() + ":1", parent.name() + ":2"});
}

CO_TEST_CASE("process: prints itself as Python does, in every state", "[process]") {
    auto [ours, theirs] = coproc::pipe().value();
    process good({.name = "good_job"}, wait_for_peer, std::move(theirs), 0);
    CHECK(printed(good) == "<process(good_job, initial)>");
    (co_await good.start()).value();
    CHECK(printed(good) == "<process(good_job, started)>");
    ours.close();
    (co_await good.join()).value();
    CHECK(printed(good) == "<process(good_job, stopped)>");
    good.close().value();
    CHECK(printed(good) == "<process(good_job, closed)>");

    process failing({.name = "fail_job"}, fail_job);
    (co_await run_to_end(failing)).value();
    CHECK(printed(failing) == "<process(fail_job, stopped[1])>");

    process killed({.name = "kill_job"}, in_a_loop);
    (co_await killed.start()).value();
    killed.terminate().value();
    (co_await killed.join()).value();
    CHECK(printed(killed) == "<process(kill_job, stopped[SIGTERM])>");

    process real_time({.name = "rt"}, die_by, SIGRTMIN + 6);
    (co_await run_to_end(real_time)).value();
    CHECK(printed(real_time) ==
          "<process(rt, stopped[signal " + std::to_string(SIGRTMIN + 6) + "])>");
}

CO_TEST_CASE("process: before the start there is nothing to ask, and every question says so",
             "[process]") {
    process p(good_job);
    CHECK(p.pid() == 0);
    CHECK(p.parent_pid() == ::getpid());
    CHECK(p.sentinel() == -1);
    CHECK_FALSE(p.is_alive());
    CHECK_FALSE(p.exit_code().has_value());
    CHECK(p.interrupt().error() == errc::not_started);
    CHECK(p.terminate().error() == errc::not_started);
    CHECK(p.kill().error() == errc::not_started);
    CHECK(p.send_signal(0).error() == errc::not_started);
    const auto joined = co_await p.join();
    CHECK(joined.error() == errc::not_started);
    const auto stopped = co_await p.stop(1s);
    CHECK(stopped.error() == errc::not_started);
    (co_await run_to_end(p)).value();
    CHECK(p.exit_code() == 0);
}

CO_TEST_CASE("process: is started once, also after its end", "[process]") {
    process p(for_ever);
    (co_await p.start()).value();
    const auto again = co_await p.start();
    CHECK(again.error() == errc::already_started);
    CHECK(p.close().error() == errc::still_running);
    p.kill().value();
    (co_await p.join()).value();
    const auto after = co_await p.start();
    CHECK(after.error() == errc::already_started);
    CHECK(p.kill().has_value());
    CHECK(p.send_signal(SIGTERM).has_value());
    CHECK(p.exit_code() == -SIGKILL);
}

CO_TEST_CASE("process: close frees what is left, started or not", "[process]") {
    process never(good_job);
    never.close().value();
    CHECK(never.close().has_value());
    const auto started = co_await never.start();
    CHECK(started.error() == errc::closed);
    const auto joined = co_await never.join();
    CHECK(joined.error() == errc::closed);
    CHECK(never.kill().error() == errc::closed);

    process ended(good_job);
    (co_await run_to_end(ended)).value();
    CHECK(ended.sentinel() >= 0);
    ended.close().value();
    CHECK(ended.sentinel() == -1);
}

// -- targets of every kind

namespace {

template <class T>
T doubled(T value) {
    return value + value;
}
inline int inline_sum(int a, int b) { return a + b; }
task<int> later(int code) {
    (co_await coproc::yield()).value();
    co_return code;
}
task<result<int>> later_result(int code) {
    COPROC_CO_TRY(co_await coproc::yield());
    co_return code;
}
result<int> plain_result(int code) { return code; }
result<void> plain_void_result() { return coproc::success(); }

struct stateless {
    int operator()(int code) const { return code; }
};
struct with_state {
    int base;
    std::vector<int> more;
    int operator()(int code) const {
        int sum = base + code;
        for (const int one : more) sum += one;
        return sum;
    }
};
struct changes_itself {
    int count;
    int operator()() { return ++count; }
};
struct coroutine_object {
    std::string text;
    task<int> operator()() const {
        (co_await coproc::yield()).value();
        co_return static_cast<int>(text.size());
    }
};
struct with_methods {
    static int answer() { return 42; }
};

template <class... Args>
task<int> code_of(Args... args) {
    process p(std::move(args)...);
    const result<exit_status> status = co_await run_to_end(p);
    co_return status.value().code();
}

/// Checked one by one: GCC 12 has no co_await in CHECK.
#define CHECK_CODE(expected, ...)                        \
    do {                                                 \
        const int code_ = co_await code_of(__VA_ARGS__); \
        CHECK(code_ == (expected));                      \
    } while (false)

}  // namespace

CO_TEST_CASE("process: functions of every kind are targets", "[process]") {
    CHECK_CODE(0, good_job);
    CHECK_CODE(7, seven);
    CHECK_CODE(7, &seven);
    CHECK_CODE(5, inline_sum, 2, 3);
    CHECK_CODE(8, doubled<int>, 4);
    CHECK_CODE(42, with_methods::answer);
    CHECK_CODE('A', ::toupper, 'a');  // of the C library
    CHECK_CODE(3, ::exit, 3);
    CHECK_CODE(4, ::_exit, 4);
}

CO_TEST_CASE("process: lambdas without captures are targets", "[process]") {
    CHECK_CODE(0, [] {});
    CHECK_CODE(6, [](int code) noexcept { return code; }, 6);
    CHECK_CODE(9, [](auto code) { return code; }, 9);
    CHECK_CODE(5, [](const auto& text) { return static_cast<int>(text.size()); }, "hello");
    CHECK_CODE(11, +[](int code) { return code; }, 11);
    CHECK_CODE(
        12,
        [](int code) -> task<int> {
            (co_await coproc::yield()).value();
            co_return code;
        },
        12);
    CHECK_CODE(13, [](auto code) -> task<int> { co_return code; }, 13);
}

CO_TEST_CASE("process: coroutines and results are targets", "[process]") {
    CHECK_CODE(21, later, 21);
    CHECK_CODE(22, later_result, 22);
    CHECK_CODE(23, plain_result, 23);
    CHECK_CODE(0, plain_void_result);
    CHECK_CODE(0, [](int) -> task<void> { co_return; }, 1);
}

CO_TEST_CASE("process: function objects are targets, and take their state along", "[process]") {
    CHECK_CODE(31, stateless(), 31);
    const with_state sum{1, {2, 3}};
    CHECK_CODE(10, sum, 4);
    const changes_itself counter{6};
    CHECK_CODE(7, counter);
    const coroutine_object object{"four"};
    CHECK_CODE(4, object);
    // The coroutine's own object lives as long as the coroutine: a long text would be gone.
    const coroutine_object longer{std::string(200, 'x')};
    CHECK_CODE(200, longer);
}

CO_TEST_CASE("process: a returned code is taken modulo 256, like exit's", "[process]") {
    CHECK_CODE(0, doubled<int>, 128);
    CHECK_CODE(44, later, 300);
    CHECK_CODE(255, later, -1);
    CHECK_CODE(1, ::exit, 257);
    CHECK_CODE(1, [] { return true; });
    CHECK_CODE(65, [] { return 'A'; });
    CHECK_CODE(5, []() -> unsigned long { return 5; });
}

// -- arguments of every kind

namespace {

struct job {
    int id;
    std::string text;
    std::vector<std::optional<double>> numbers;
    std::map<std::string, std::vector<int>> table;
    std::variant<int, std::string> either;
    std::filesystem::path where;
    std::chrono::milliseconds when;
    bool operator==(const job&) const = default;
};
job sample_job() {
    return {1,
            std::string("nul \0 inside", 12),
            {1.5, std::nullopt},
            {{"a", {1, 2}}, {"", {}}},
            "or",
            "/tmp/x y",
            250ms};
}

int is_sample(job received) { return received == sample_job() ? 0 : 1; }
int is_sample_by_reference(const job& received) { return received == sample_job() ? 0 : 1; }
int is_sample_in_box(std::unique_ptr<job> received) { return *received == sample_job() ? 0 : 1; }
task<int> is_sample_later(job received) {
    (co_await coproc::yield()).value();
    co_return received == sample_job() ? 0 : 1;
}

/// Parameters that look at a kept text, in a coroutine that goes on after its first wait.
task<int> texts_stay(std::string_view view, const char* c_string, const std::string& reference) {
    (co_await coproc::sleep_for(1ms)).value();
    const std::string expected(100, 'x');
    co_return view == expected&& c_string == expected&& reference == expected ? 0 : 1;
}
int converted(double wide, long number, std::string text, std::optional<int> maybe) {
    return wide == 2.0 && number == 3 && text == "four" && maybe == 5 ? 0 : 1;
}
int sum_of(std::vector<int> numbers, std::array<int, 2> two) {
    int sum = two[0] + two[1];
    for (const int one : numbers) sum += one;
    return sum;
}
int count_bytes(const std::vector<std::byte>& bytes) {
    for (const std::byte one : bytes) {
        if (one != std::byte{0x5a}) return 1;
    }
    return static_cast<int>(bytes.size() / 1000000);
}

}  // namespace

CO_TEST_CASE("process: values of every kind are arguments", "[process]") {
    const job sample = sample_job();
    CHECK_CODE(0, is_sample, sample);
    CHECK_CODE(0, is_sample_by_reference, sample);
    CHECK_CODE(0, is_sample_in_box, std::make_unique<job>(sample));
    CHECK_CODE(0, is_sample_later, sample);
    const std::vector<int> numbers{1, 2, 3};
    const std::array two{4, 5};
    CHECK_CODE(15, sum_of, numbers, two);
}

CO_TEST_CASE("process: arguments are converted to the parameters, texts are kept", "[process]") {
    CHECK_CODE(0, converted, 2, short{3}, "four", 5);
    const std::string text(100, 'x');
    CHECK_CODE(0, texts_stay, text, text, text);
    CHECK_CODE(0, texts_stay, std::string_view(text), text.c_str(), text.c_str());
    std::string gone(100, 'x');
    process p(texts_stay, std::string_view(gone), gone.c_str(), gone);
    gone.assign(100, 'y');  // not looked at again
    const auto status = (co_await run_to_end(p)).value();
    CHECK(status.code() == 0);
}

CO_TEST_CASE("process: arguments of 100 MB arrive", "[process]") {
    process p(count_bytes, std::vector<std::byte>(100000000, std::byte{0x5a}));
    const auto status = (co_await run_to_end(p)).value();
    CHECK(status.code() == 100);
}

namespace {
task<void> echo(coproc::connection line) {
    while (auto text = co_await line.recv<std::string>()) {
        (co_await line.send("<" + text.value() + ">")).value();
    }
}
}  // namespace

CO_TEST_CASE("process: a connection is moved, so that both sides see the other's end",
             "[process]") {
    auto [ours, theirs] = coproc::pipe().value();
    process p(echo, std::move(theirs));
    CHECK_FALSE(theirs.is_open());
    (co_await p.start()).value();
    (co_await ours.send("hello")).value();
    const auto text = co_await ours.recv<std::string>();
    CHECK(text.value() == "<hello>");
    p.kill().value();
    const auto end = co_await ours.recv<std::string>();  // would hang if we still had `theirs`
    CHECK(end.error() == errc::end_of_stream);
    (co_await p.join()).value();

    auto [mine, yours] = coproc::pipe().value();
    process q(echo, std::move(yours));
    (co_await q.start()).value();
    mine.close();
    const auto status = (co_await q.join()).value();
    CHECK(status.success());
}

CO_TEST_CASE("process: an event is shared, both ways", "[process]") {
    const auto ready = coproc::event::create().value();
    const auto go_on = coproc::event::create().value();
    process p(
        [](coproc::event up, coproc::event wait) -> task<int> {
            up.set().value();
            (co_await wait.wait()).value();
            co_return 17;
        },
        ready, go_on);
    (co_await p.start()).value();
    (co_await ready.wait()).value();
    CHECK(p.is_alive());
    go_on.set().value();
    const auto status = (co_await p.join()).value();
    CHECK(status.code() == 17);
}

CO_TEST_CASE("process: a closed handle among the arguments fails the start by name", "[process]") {
    auto [ours, theirs] = coproc::pipe().value();
    theirs.close();
    process p(echo, std::move(theirs));
    const auto started = co_await p.start();
    REQUIRE_FALSE(started.has_value());
    CHECK(started.error() == errc::closed);
    CHECK(printed(p) == "<process(" + p.name() + ", initial)>");
}

CO_TEST_CASE("process: more handles than a message takes are an error, not a loss", "[process]") {
    const auto one = coproc::event::create().value();
    process p([](std::vector<coproc::event> all) { return static_cast<int>(all.size() % 251); },
              std::vector<coproc::event>(300, one));
    const auto started = co_await p.start();
    REQUIRE_FALSE(started.has_value());
    CHECK(started.error() == errc::message_too_large);
    CHECK(printed(p) == "<process(" + p.name() + ", initial)>");
    CHECK(p.pid() == 0);

    process fits([](std::vector<coproc::event> all) { return static_cast<int>(all.size() % 251); },
                 std::vector<coproc::event>(252, one));  // and the lifeline is the 253rd
    const auto status = (co_await run_to_end(fits)).value();
    CHECK(status.code() == 1);
}

// -- ways to end

namespace {

struct my_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};
void throws() { throw my_error("out of paper"); }
task<int> throws_later() {
    (co_await coproc::yield()).value();
    throw my_error("out of ink");
}
void throws_int() { throw 3; }
void throws_long() { throw std::runtime_error(std::string(1000000, 'x')); }
result<void> fails() { return coproc::error(errc::truncated, "reading the book"); }
task<result<int>> fails_later() {
    co_return coproc::error(std::make_error_code(std::errc::no_space_on_device));
}

task<exit_status> status_of(process one) { co_return (co_await run_to_end(one)).value(); }

}  // namespace

CO_TEST_CASE("process: an exception is code 1, and comes back with its type and message",
             "[process]") {
    const quiet_stderr quiet;
    const auto plain = co_await status_of(process(throws));
    CHECK(plain.code() == 1);
    CHECK(plain.exception_type() == "(anonymous namespace)::my_error");
    CHECK(plain.exception_message() == "out of paper");
    const auto later_on = co_await status_of(process(throws_later));
    CHECK(later_on.code() == 1);
    CHECK(later_on.exception_message() == "out of ink");
    const auto number = co_await status_of(process(throws_int));
    CHECK(number.code() == 1);
    CHECK(number.exception_type() == "int");
    const auto long_text = co_await status_of(process(throws_long));
    CHECK(long_text.exception_message() == std::string(16 * 1024, 'x'));
    const auto fast = co_await status_of(process({.quick_exit = true}, throws));
    CHECK(fast.code() == 1);
    CHECK(fast.exception_message() == "out of paper");
}

CO_TEST_CASE("process: a failed result is code 1, and comes back with its code", "[process]") {
    const quiet_stderr quiet;
    const auto plain = co_await status_of(process(fails));
    CHECK(plain.code() == 1);
    CHECK(plain.failure() == errc::truncated);
    CHECK(plain.exception_message().find("reading the book") != std::string::npos);
    const auto later_on = co_await status_of(process(fails_later));
    CHECK(later_on.code() == 1);
    CHECK(later_on.failure() == std::errc::no_space_on_device);
}

CO_TEST_CASE("process: every signal that ends a process is its exit code", "[process]") {
    const process_options options{.method = GENERATE(each_method())};
    for (int number = 1; number < 32; ++number) {
        if (number == SIGCHLD || number == SIGCONT || number == SIGURG || number == SIGWINCH ||
            number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU) {
            continue;  // these do not
        }
        CAPTURE(number);
        if (number == SIGKILL) {
            process one(options, [] { ::kill(::getpid(), SIGKILL); });
            const auto killed = co_await status_of(std::move(one));
            CHECK(killed.code() == -SIGKILL);
            continue;
        }
        const auto status = co_await status_of(process(options, die_by, number));
        CHECK(status.code() == -number);
        CHECK(status.signal() == number);
        CHECK_FALSE(status.success());
        CHECK(status.exception_type().empty());
    }
}

CO_TEST_CASE("process: signals that are ignored by default leave it as it is", "[process]") {
    const auto ready = coproc::event::create().value();
    process p(
        [](coproc::event up) -> task<result<void>> {
            up.set().value();
            co_return co_await for_ever();
        },
        ready);
    (co_await p.start()).value();
    (co_await ready.wait()).value();
    for (const int number : {SIGCHLD, SIGCONT, SIGURG, SIGWINCH, 0}) {
        CHECK(p.send_signal(number).has_value());
    }
    CHECK(p.send_signal(1000).error() == std::errc::invalid_argument);
    CHECK(p.is_alive());
    p.interrupt().value();  // from a process: it acts, unlike a terminal's
    const auto status = (co_await p.join()).value();
    CHECK(status.code() == -SIGINT);
}

// -- joining and looking

CO_TEST_CASE("process: any number of tasks join, before and after the end", "[process]") {
    process p(for_ever);
    (co_await p.start()).value();
    int joined = 0;
    const auto join_it = [&]() -> task<result<void>> {
        COPROC_CO_TRY(const auto status, co_await p.join());
        if (status.code() == -SIGTERM) ++joined;
        co_return coproc::success();
    };
    const auto all = [&](coproc::scope& s) -> task<result<void>> {
        for (int i = 0; i < 20; ++i) s.spawn(join_it);
        COPROC_CO_TRY(co_await coproc::yield());
        COPROC_CO_TRY(p.terminate());
        co_return coproc::success();
    };
    (co_await coproc::with_scope(all)).value();
    CHECK(joined == 20);
    (co_await join_it()).value();
    CHECK(joined == 21);
}

CO_TEST_CASE("process: a join that is given up leaves the process and the other joins alone",
             "[process]") {
    process p(for_ever);
    (co_await p.start()).value();
    const auto given_up = co_await coproc::timeout(1ms, p.join());
    CHECK(given_up.error() == errc::timed_out);
    CHECK(p.is_alive());
    p.kill().value();
    const auto status = (co_await p.join()).value();
    CHECK(status.code() == -SIGKILL);
}

CO_TEST_CASE("process: is_alive and exit_code see the end without a turn of the loop",
             "[process]") {
    auto [ours, theirs] = coproc::pipe().value();
    process p(wait_for_peer, std::move(theirs), 33);
    (co_await p.start()).value();
    CHECK(p.is_alive());
    CHECK_FALSE(p.exit_code().has_value());
    ours.close();
    ::siginfo_t info{};  // waits for the end without reaping, while the loop stands still
    REQUIRE(::waitid(P_PID, static_cast<::id_t>(p.pid()), &info, WEXITED | WNOWAIT) == 0);
    CHECK_FALSE(p.is_alive());
    CHECK(p.exit_code() == 33);
    CHECK(printed(p) == "<process(" + p.name() + ", stopped[33])>");
    const auto status = (co_await p.join()).value();
    CHECK(status.code() == 33);
}

CO_TEST_CASE("process: the sentinel is readable at the end, and stays so", "[process]") {
    process p(for_ever);
    (co_await p.start()).value();
    CHECK_FALSE(coproc::system::is_readable(p.sentinel()));
    p.kill().value();
    (co_await p.join()).value();
    CHECK(coproc::system::is_readable(p.sentinel()));
}

// -- process objects that come and go

CO_TEST_CASE("process: is moved at any time, also while it is started and joined", "[process]") {
    std::vector<process> all;
    for (int i = 0; i < 8; ++i) {
        auto& added = all.emplace_back(later, i);
        (co_await added.start()).value();
    }
    for (int i = 0; i < 8; ++i) {
        const auto status = (co_await all[static_cast<std::size_t>(i)].join()).value();
        CHECK(status.code() == i);
    }
    process a(later, 1);
    process b(later, 2);
    auto joining = a.start();
    std::swap(a, b);
    (co_await std::move(joining)).value();  // of what is now b
    CHECK(a.pid() == 0);
    CHECK(b.pid() != 0);
    const auto status = (co_await b.join()).value();
    CHECK(status.code() == 1);
}

CO_TEST_CASE("process: a dropped one lives on, and is reaped", "[process]") {
    const auto stop = coproc::event::create().value();
    ::pid_t pid = 0;
    {
        process dropped(
            [](coproc::event until) -> task<int> {
                (co_await until.wait()).value();
                co_return 3;
            },
            stop);
        (co_await dropped.start()).value();
        pid = dropped.pid();
    }
    CHECK(is_running(pid));
    REQUIRE(coproc::active_children().size() == 1);
    CHECK(coproc::active_children().front().pid == pid);
    stop.set().value();
    const bool reaped = co_await eventually([&] { return ::kill(pid, 0) != 0 && errno == ESRCH; });
    CHECK(reaped);
    CHECK(coproc::active_children().empty());
}

CO_TEST_CASE("process: kill_on_drop ends it with its object", "[process]") {
    ::pid_t pid = 0;
    {
        process dropped({.kill_on_drop = true}, in_a_loop);
        (co_await dropped.start()).value();
        pid = dropped.pid();
        process moved = std::move(dropped);
        CHECK(is_running(pid));
    }
    const bool reaped = co_await eventually([&] { return ::kill(pid, 0) != 0 && errno == ESRCH; });
    CHECK(reaped);
    process never({.kill_on_drop = true}, in_a_loop);  // nothing to kill
    CHECK(never.pid() == 0);
}

CO_TEST_CASE("process: daemon is what the options say, here and in the child", "[process]") {
    process p({.daemon = true}, [] { return coproc::current_process().daemon() ? 1 : 0; });
    CHECK(p.daemon());
    const auto status = (co_await run_to_end(p)).value();
    CHECK(status.code() == 1);
    CHECK_CODE(0, [] { return coproc::current_process().daemon() ? 1 : 0; });
}

// -- stop

CO_TEST_CASE("process: stop cancels a coroutine, which gets to clean up", "[process]") {
    const auto ready = coproc::event::create().value();
    const auto cleaned = coproc::event::create().value();
    process p(cleans_up, ready, cleaned);
    (co_await p.start()).value();
    (co_await ready.wait()).value();
    const auto status = (co_await p.stop(1h)).value();
    CHECK(status.code() == 5);
    CHECK(cleaned.is_set());
    const auto again = (co_await p.stop(1h)).value();
    CHECK(again.code() == 5);
}

CO_TEST_CASE("process: stop before the child has come up is heeded as well", "[process]") {
    const quiet_stderr quiet;
    process p(for_ever);
    (co_await p.start()).value();
    const auto status = (co_await p.stop(1h)).value();
    CHECK(status.code() == 1);
    CHECK(status.failure() == errc::canceled);
}

CO_TEST_CASE("process: stop sends a plain target SIGTERM", "[process]") {
    process p(in_a_loop);
    (co_await p.start()).value();
    const auto status = (co_await p.stop(1h)).value();
    CHECK(status.code() == -SIGTERM);
}

CO_TEST_CASE("process: stop kills what ignores it or has been stopped, after the grace",
             "[process]") {
    const auto ready = coproc::event::create().value();
    process deaf(ignore_terminate, ready);
    (co_await deaf.start()).value();
    (co_await ready.wait()).value();
    const auto killed = (co_await deaf.stop(20ms)).value();
    CHECK(killed.code() == -SIGKILL);

    const auto up = coproc::event::create().value();
    process frozen(cleans_up, up, coproc::event::create().value());
    (co_await frozen.start()).value();
    (co_await up.wait()).value();
    frozen.send_signal(SIGSTOP).value();
    const auto status = (co_await frozen.stop(20ms)).value();
    CHECK(status.code() == -SIGKILL);

    process at_once(in_a_loop);
    (co_await at_once.start()).value();
    const auto none = (co_await at_once.stop(0ms)).value();
    CHECK(none.code() < 0);
}

CO_TEST_CASE("process: a stop that is canceled has asked, and has not killed", "[process]") {
    const auto ready = coproc::event::create().value();
    process deaf(ignore_terminate, ready);
    (co_await deaf.start()).value();
    (co_await ready.wait()).value();
    const auto given_up = co_await coproc::timeout(10ms, deaf.stop(1h));
    CHECK(given_up.error() == errc::timed_out);
    CHECK(deaf.is_alive());
    deaf.kill().value();
    (co_await deaf.join()).value();
}

CO_TEST_CASE("process: a thousand stops of one that does not read are no harm", "[process]") {
    const auto ready = coproc::event::create().value();
    process frozen(cleans_up, ready, coproc::event::create().value());
    (co_await frozen.start()).value();
    (co_await ready.wait()).value();
    frozen.send_signal(SIGSTOP).value();
    const auto all = [&](coproc::scope& s) -> task<result<void>> {
        for (int i = 0; i < 20000; ++i) {
            s.spawn(
                [](process& p) -> task<result<void>> {
                    COPROC_CO_TRY(co_await p.stop(1h));
                    co_return coproc::success();
                },
                std::ref(frozen));
        }
        COPROC_CO_TRY(co_await coproc::sleep_for(1ms));
        COPROC_CO_TRY(frozen.kill());  // while most of them still wait for room in the socket
        co_return coproc::success();
    };
    (co_await coproc::with_scope(all)).value();
    CHECK(frozen.exit_code() == -SIGKILL);
}

// -- a start that fails

CO_TEST_CASE("process: a failed start says which step, leaves it initial, and can be repeated",
             "[process]") {
    process p({.name = "unlucky", .method = start_method::spawn}, is_sample, sample_job());
    struct step {
        const char* call;
        int error;
        const char* named;
    };
    for (const step one :
         {step{"execve", EACCES, "execve"}, step{"clone", EAGAIN, "clone"},
          step{"child close_range", EMFILE, "close_range"}, step{"child dup3", EBADF, "dup3"},
          step{"pipe2", ENFILE, "pipe2"}, step{"socketpair", EMFILE, "socketpair"},
          step{"uv_poll_init", ENOMEM, "uv_poll_init"}, step{"sendmsg", ENOBUFS, "sendmsg"}}) {
        CAPTURE(one.call);
        const refusing hook(one.call, one.error);
        const auto started = co_await p.start();
        REQUIRE_FALSE(started.has_value());
        CHECK(started.error().code().value() == one.error);
        CHECK(started.error().message().find("unlucky") != std::string::npos);
        CHECK(started.error().message().find(one.named) != std::string::npos);
        CHECK(printed(p) == "<process(unlucky, initial)>");
        CHECK(p.pid() == 0);
        CHECK(p.sentinel() == -1);
        CHECK(p.kill().error() == errc::not_started);
        CHECK(coproc::active_children().empty());
    }
    const auto status = (co_await run_to_end(p)).value();  // the arguments are still there
    CHECK(status.code() == 0);
}

CO_TEST_CASE("process: a failed start keeps a connection, too", "[process]") {
    auto [ours, theirs] = coproc::pipe().value();
    process p({.method = start_method::spawn}, echo, std::move(theirs));
    for (const char* call : {"execve", "sendmsg"}) {
        const refusing hook(call, EIO);
        const auto started = co_await p.start();
        CHECK_FALSE(started.has_value());
    }
    (co_await p.start()).value();
    (co_await ours.send("still there")).value();
    const auto text = co_await ours.recv<std::string>();
    CHECK(text.value() == "<still there>");
    ours.close();
    (co_await p.join()).value();
}

CO_TEST_CASE("process: without close_range the fds are closed one by one", "[process]") {
    const refusing hook("probe close_range", ENOSYS);  // asked by the fork server's start, too
    const job sample = sample_job();
    CHECK_CODE(0, is_sample, sample);
    CHECK_CODE(5, [] {
        int open = 0;
        for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
            open += std::stoi(entry.path().filename()) >= 0 ? 1 : 0;
        }
        return open > 12 ? 1 : 5;
    });
}

CO_TEST_CASE("process: a start that is canceled before it begins never begins", "[process]") {
    process p(good_job);
    const auto body = [&](coproc::scope& s) -> task<result<void>> {
        s.cancel();
        const auto started = co_await p.start();
        CHECK(started.error() == errc::canceled);
        co_return coproc::success();
    };
    (co_await coproc::with_scope(body)).value();
    CHECK(p.pid() == 0);
    (co_await run_to_end(p)).value();
}

CO_TEST_CASE("process: a start that is canceled in the middle leaves nothing but what it was",
             "[process]") {
    process p({.method = start_method::spawn}, count_bytes,
              std::vector<std::byte>(100000000, std::byte{0x5a}));
    ::pid_t pid = 0;
    const auto body = [&](coproc::scope& s) -> task<result<void>> {
        s.spawn(
            [](process& one) -> task<result<void>> {
                const auto started = co_await one.start();
                CHECK(started.error() == errc::canceled);
                co_return coproc::success();
            },
            std::ref(p));
        COPROC_CO_TRY(co_await coproc::yield());
        COPROC_CO_TRY(co_await coproc::yield());
        pid = p.pid();
        CHECK(pid != 0);
        CHECK_FALSE(p.is_alive());
        CHECK(p.kill().error() == errc::not_started);
        const auto joined = co_await p.join();
        CHECK(joined.error() == errc::not_started);
        const auto again = co_await p.start();
        CHECK(again.error() == errc::already_started);
        s.cancel();
        co_return coproc::success();
    };
    (co_await coproc::with_scope(body)).value();
    CHECK(p.pid() == 0);
    CHECK(::kill(pid, 0) != 0);
    CHECK(errno == ESRCH);
    CHECK(coproc::active_children().empty());
    const auto status = (co_await run_to_end(p)).value();
    CHECK(status.code() == 100);
}

// -- how it leaves

namespace {
void print_without_newline() { std::printf("printed"); }
}  // namespace

CO_TEST_CASE("process: quick_exit flushes the streams, too", "[process]") {
    for (const bool quick : {false, true}) {
        std::array<int, 2> ends{};
        REQUIRE(::pipe(ends.data()) == 0);
        const int before = ::dup(STDOUT_FILENO);
        std::fflush(stdout);
        ::dup2(ends[1], STDOUT_FILENO);
        ::close(ends[1]);
        process p({.quick_exit = quick}, print_without_newline);
        const auto status = (co_await run_to_end(p)).value();
        ::dup2(before, STDOUT_FILENO);
        ::close(before);
        std::array<char, 16> text{};
        const ssize_t count = ::read(ends[0], text.data(), text.size());
        ::close(ends[0]);
        CHECK(status.success());
        CHECK(count == 7);
        CHECK(std::string_view(text.data()) == "printed");
    }
}
