#include <coproc/supervise.hpp>

#include <coproc/bytes.hpp>
#include <coproc/event.hpp>
#include <coproc/runtime.hpp>
#include <coproc/shared_value.hpp>
#include <coproc/sleep.hpp>
#include <coproc/this_process.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"
#include "support/processes.hpp"
#include "words/system.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::generator;
using coproc::result;
using coproc::supervise;
using coproc::supervised_end;
using coproc::task;
using step = coproc::supervised_end::next_step;

namespace {

// -- targets

int give(int code) { return code; }
void kill_itself() { ::raise(SIGKILL); }
void run_on(coproc::event ready) {
    ready.set().value();
    for (;;) ::pause();
}
void run_on_deaf(coproc::event ready) {
    ::signal(SIGTERM, SIG_IGN);
    run_on(std::move(ready));
}
task<int> run_on_orderly(coproc::event ready) {
    ready.set().value();
    const auto waited = co_await coproc::sleep_for(24h);
    co_return !waited && waited.error() == errc::canceled ? 5 : 9;
}
/// Succeeds at last.
task<int> fail_often(coproc::shared_value<int> starts, int failures) {
    const auto count = [](int before) { return before + 1; };
    (co_await starts.update(count)).value();
    co_return starts.load() > failures ? 0 : 3;
}
std::size_t take(coproc::bytes all) { return all.size() == 2'000'000 ? 0 : 1; }

// -- supervisors

/// All that comes.
task<std::vector<supervised_end>> all_of(generator<supervised_end> ends) {
    std::vector<supervised_end> all;
    while (auto end = co_await ends.next()) all.push_back(*std::move(end));
    co_return all;
}

std::vector<step> steps_of(const std::vector<supervised_end>& ends) {
    std::vector<step> steps;
    for (const auto& end : ends) steps.push_back(end.next);
    return steps;
}

std::vector<std::chrono::nanoseconds> pauses_of(const std::vector<supervised_end>& ends) {
    std::vector<std::chrono::nanoseconds> pauses;
    for (const auto& end : ends) pauses.push_back(end.pause);
    return pauses;
}

bool nobody_left() { return coproc::active_children().empty(); }

constexpr coproc::supervise_options quick{.first_pause = 1ms};

coproc::supervise_options quickly(int max_restarts) {
    return {.first_pause = 1ms, .max_restarts = max_restarts};
}

}  // namespace

// -- restarts

CO_TEST_CASE("supervise: a process that ends well is not restarted", "[supervise][process]") {
    const auto ends = co_await all_of(supervise(quick, give, 0));
    REQUIRE(ends.size() == 1);
    CHECK(ends[0].status.value().success());
    CHECK(ends[0].next == step::done);
    CHECK(ends[0].restarts == 0);
    CHECK(ends[0].pid > 0);
    CHECK(nobody_left());
}

CO_TEST_CASE("supervise: one that fails is restarted, so many times", "[supervise][process]") {
    const auto ends = co_await all_of(supervise(quickly(3), give, 7));
    CHECK(steps_of(ends) ==
          std::vector{step::restart, step::restart, step::restart, step::give_up});
    for (std::size_t i = 0; i < ends.size(); ++i) {
        CHECK(ends[i].status.value().code() == 7);
        CHECK(ends[i].restarts == static_cast<int>(i));
    }
    const auto killed = co_await all_of(supervise(quickly(1), kill_itself));
    CHECK(steps_of(killed) == std::vector{step::restart, step::give_up});
    CHECK(killed[1].status.value().signal() == SIGKILL);
    const auto never = co_await all_of(supervise(quickly(0), give, 1));
    CHECK(steps_of(never) == std::vector{step::give_up});
    CHECK(nobody_left());
}

CO_TEST_CASE("supervise: until it succeeds, with the same arguments each time",
             "[supervise][process]") {
    const auto starts = coproc::shared_value<int>::create(0).value();
    const auto ends = co_await all_of(supervise(quick, fail_often, starts, 2));
    CHECK(steps_of(ends) == std::vector{step::restart, step::restart, step::done});
    CHECK(starts.load() == 3);
}

CO_TEST_CASE("supervise: always means after a success, too", "[supervise][process]") {
    coproc::supervise_options always = quickly(2);
    always.when = coproc::restart::always;
    const auto ends = co_await all_of(supervise(always, give, 0));
    CHECK(steps_of(ends) == std::vector{step::restart, step::restart, step::give_up});
}

CO_TEST_CASE("supervise: only restarts within a period count", "[supervise][process]") {
    const auto starts = coproc::shared_value<int>::create(0).value();
    const coproc::supervise_options options{.first_pause = 1ms, .max_restarts = 1, .period = 1ns};
    const auto ends = co_await all_of(supervise(options, fail_often, starts, 5));
    CHECK(ends.size() == 6);
    CHECK(ends.back().next == step::done);
}

CO_TEST_CASE("supervise: the options are its own", "[supervise][process]") {
    std::optional<std::string> name("a name that is too long for the small string optimization");
    auto ends = supervise({.process = {.name = *name}, .first_pause = 1ms}, give, 1);
    name.reset();
    const auto first = co_await ends.next();
    const auto second = co_await ends.next();
    CHECK(first->name == "a name that is too long for the small string optimization");
    CHECK(second->name == first->name);
}

// -- pauses

CO_TEST_CASE("supervise: pauses double, up to the longest, and are made", "[supervise][process]") {
    const coproc::supervise_options options{
        .first_pause = 2ms, .longest_pause = 5ms, .max_restarts = 4};
    const auto began = coproc::clock::now();
    const auto ends = co_await all_of(supervise(options, give, 1));
    const auto took = coproc::clock::now() - began;
    CHECK(pauses_of(ends) == std::vector<std::chrono::nanoseconds>{2ms, 4ms, 5ms, 5ms, 0ms});
    CHECK(took >= 16ms);
}

CO_TEST_CASE("supervise: after a long life the pauses begin anew", "[supervise][process]") {
    const coproc::supervise_options options{
        .first_pause = 1ms, .healthy_after = 0ns, .max_restarts = 3};
    const auto ends = co_await all_of(supervise(options, give, 1));
    CHECK(pauses_of(ends) == std::vector<std::chrono::nanoseconds>{1ms, 1ms, 1ms, 0ms});
}

CO_TEST_CASE("supervise: endless pauses and periods are none too long", "[supervise][process]") {
    const auto longest = std::chrono::nanoseconds::max();
    const coproc::supervise_options options{.first_pause = longest,
                                            .longest_pause = longest,
                                            .healthy_after = longest,
                                            .period = longest};
    auto ends = supervise(options, give, 1);
    const auto end = co_await ends.next();
    CHECK(end->pause == longest);
    const auto none = co_await coproc::timeout(5ms, ends.next());
    CHECK_FALSE(none.value().has_value());
}

// -- starts that fail

namespace {

/// Refuses the calls of a name, so many times; or one call by its number.
struct refusals {
    static inline std::atomic<const char*> name = nullptr;
    static inline std::atomic<int> left = 0;
    static inline std::atomic<int> seen = 0;
    static inline std::atomic<const char*> refused = nullptr;

    static int by_name(const char* call) noexcept {
        if (std::strcmp(call, name) != 0) return 0;
        ++seen;
        return left-- > 0 ? EAGAIN : 0;
    }
    static int by_number(const char* call) noexcept {
        if (--left != 0) return 0;
        refused = call;
        return std::strcmp(call, "waitid") == 0 ? ECHILD : EMFILE;
    }

    refusals(const char* which, int count) {
        name = which;
        left = count;
        seen = 0;
        coproc::system::set_fault_hook(&by_name);
    }
    explicit refusals(int number) {
        left = number;
        refused = nullptr;
        coproc::system::set_fault_hook(&by_number);
    }
    refusals(const refusals&) = delete;
    refusals& operator=(const refusals&) = delete;
    ~refusals() { coproc::system::set_fault_hook(nullptr); }
};

}  // namespace

CO_TEST_CASE("supervise: a start that is refused has failed, and comes again",
             "[supervise][process]") {
    std::optional<refusals> twice(std::in_place, "clone", 2);
    const auto ends = co_await all_of(supervise(quick, give, 0));
    twice.reset();
    REQUIRE(steps_of(ends) == std::vector{step::restart, step::restart, step::done});
    CHECK(ends[0].status.error() == std::errc::resource_unavailable_try_again);
    CHECK(ends[0].pid == 0);
    CHECK(ends[0].pause == 1ms);
    CHECK(ends[1].pause == 2ms);
    CHECK(nobody_left());
}

CO_TEST_CASE("supervise: whichever system call is refused, it goes on and nothing is left",
             "[supervise][process]") {
    const char* refused = "";
    for (int n = 1; refused != nullptr; ++n) {
        std::optional<refusals> one(n);
        const auto ends = co_await all_of(supervise(quick, give, 0));
        one.reset();
        refused = refusals::refused;
        CAPTURE(n, refused == nullptr ? "none" : refused);
        CHECK(ends.back().next == step::done);
        // One that was being born is put away as soon as the fork server has told of it.
        const bool gone = co_await coproc::testing::eventually(nobody_left);
        CHECK(gone);
        REQUIRE(n < 200);
    }
}

// -- cancellation

namespace {

/// What a supervisor says that is canceled once its target has set the event.
task<std::vector<supervised_end>> cancel_running(generator<supervised_end> ends,
                                                 coproc::event ready) {
    const auto rt = co_await coproc::current_runtime();
    auto supervising = rt.spawn(all_of(std::move(ends)));
    (co_await ready.wait()).value();
    supervising.cancel();
    auto all = (co_await supervising).value();
    CHECK(nobody_left());
    co_return all;
}

}  // namespace

CO_TEST_CASE("supervise: canceled, it stops the process in order", "[supervise][process]") {
    const auto first = coproc::event::create().value();
    const auto coroutine = co_await cancel_running(supervise(quick, run_on_orderly, first), first);
    REQUIRE(steps_of(coroutine) == std::vector{step::stop});
    CHECK(coroutine[0].status.value().code() == 5);
    const auto second = coproc::event::create().value();
    const auto plain = co_await cancel_running(supervise(quick, run_on, second), second);
    REQUIRE(steps_of(plain) == std::vector{step::stop});
    CHECK(plain[0].status.value().signal() == SIGTERM);
    const auto third = coproc::event::create().value();
    const auto deaf =
        co_await cancel_running(supervise({.grace = 10ms}, run_on_deaf, third), third);
    REQUIRE(steps_of(deaf) == std::vector{step::stop});
    CHECK(deaf[0].status.value().signal() == SIGKILL);
}

CO_TEST_CASE("supervise: canceled between two processes, it starts none", "[supervise][process]") {
    auto ends = supervise({.first_pause = 1h}, give, 1);
    const auto first = co_await ends.next();
    CHECK(first->next == step::restart);
    const auto canceled = co_await coproc::timeout(5ms, ends.next());
    CHECK_FALSE(canceled.value().has_value());
    const auto after = co_await ends.next();
    CHECK_FALSE(after.has_value());
    CHECK(nobody_left());
}

CO_TEST_CASE("supervise: canceled before it begins, it begins nothing", "[supervise][process]") {
    const auto rt = co_await coproc::current_runtime();
    const refusals watched("clone", 0);
    auto supervising = rt.spawn(all_of(supervise(quick, give, 0)));
    supervising.cancel();
    const auto ends = (co_await supervising).value();
    CHECK(ends.empty());
    CHECK(refusals::seen == 0);
}

CO_TEST_CASE("supervise: canceled at any turn of the loop, it leaves nothing",
             "[supervise][process]") {
    const auto rt = co_await coproc::current_runtime();
    const coproc::bytes large(2'000'000);
    bool done = false;
    int tries = 0;
    for (int turns = 0; !done; turns += 1 + turns / 8) {
        auto supervising = rt.spawn(all_of(supervise(quick, take, large)));
        for (int i = 0; i < turns && !supervising.done(); ++i)
            (co_await coproc::detail::loop_turn()).value();
        supervising.cancel();
        const auto ends = (co_await supervising).value();
        CAPTURE(turns, ends.size());
        // One that was being born is put away as soon as the fork server has told of it.
        const bool gone = co_await coproc::testing::eventually(nobody_left);
        CHECK(gone);
        CHECK(ends.size() <= 1);
        done = !ends.empty() && ends[0].next == step::done;
        if (!ends.empty() && !done) CHECK(ends[0].next == step::stop);
        REQUIRE(++tries < 300);
    }
    CHECK(tries > 3);
}

CO_TEST_CASE("supervise: dropped, it leaves nothing", "[supervise][process]") {
    { const auto never_asked = supervise(quick, give, 1); }
    {
        auto asked_once = supervise(quick, give, 1);
        const auto end = co_await asked_once.next();
        CHECK(end->next == step::restart);
    }
    CHECK(nobody_left());
}

// -- words

TEST_CASE("supervise: an end says what it was, and what comes", "[supervise]") {
    supervised_end end{"worker", coproc::exit_status(-SIGSEGV), 4711, 2, step::restart, 400ms};
    CHECK(end.to_string() == "worker (pid 4711) ended with signal SIGSEGV: restart 3 in 400 ms");
    end.next = step::give_up;
    CHECK(end.to_string() ==
          "worker (pid 4711) ended with signal SIGSEGV: given up after 2 restarts");
    end.next = step::stop;
    CHECK(end.to_string() == "worker (pid 4711) ended with signal SIGSEGV: stopped");
    end = {"worker", coproc::exit_status(0), 4711, 0, step::done};
    CHECK(end.to_string() == "worker (pid 4711) ended with exitcode 0");
    end = {"worker", errc::not_bootstrapped, 0, 0, step::give_up};
    CHECK(end.to_string().starts_with("worker: call coproc::run"));
}
