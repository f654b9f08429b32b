// What a parent has given to children, and dropped: it repairs it for them all the same.

#include <coproc/connection.hpp>
#include <coproc/joinable_queue.hpp>
#include <coproc/lock.hpp>
#include <coproc/process.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"

#include <csignal>
#include <optional>
#include <string>
#include <utility>

using namespace std::chrono_literals;
using coproc::connection;
using coproc::lock;
using coproc::process;
using coproc::task;
using jobs = coproc::joinable_queue<std::string>;

namespace {

task<void> for_ever() { (void)co_await coproc::sleep_for(24h); }
task<void> tell(connection& parent) { (co_await parent.send(true)).value(); }

task<void> hold(lock l, connection parent) {
    const auto held = (co_await l.acquire()).value();
    co_await tell(parent);
    co_await for_ever();
}
/// Says whether it has been told of a death.
task<void> inherit(lock l, connection parent) {
    const auto held = (co_await l.acquire()).value();
    (co_await parent.send(held.owner_died())).value();
}

task<void> begin_job(jobs all, connection parent) {
    const auto job = (co_await all.lease()).value();
    co_await tell(parent);
    co_await for_ever();
}
/// Says whether it is a job that somebody has begun.
task<void> finish_job(jobs all, connection parent) {
    auto job = (co_await all.lease()).value();
    (co_await parent.send(job.value() == "the job" && job.returns() == 1)).value();
    job.done().value();
}

task<void> hold_and_share(lock l, connection parent, connection heir) {
    const auto held = (co_await l.acquire()).value();
    (co_await heir.send(l)).value();
    co_await tell(parent);
    co_await for_ever();
}
task<void> inherit_share(connection holder, connection parent) {
    const auto l = (co_await holder.recv<lock>()).value();
    co_await inherit(l, std::move(parent));
}

/// A process, and what it says.
struct child {
    template <class Target, class... Args>
    static child of(Target target, Args... args) {
        auto [ours, theirs] = coproc::pipe().value();
        return {process(target, std::move(args)..., std::move(theirs)), std::move(ours)};
    }

    process running;
    connection words;
};

/// One who is killed, and one who waits for what that one has.
struct family {
    child holder;
    child heir;
};

task<void> start(family& both) {
    (co_await both.holder.running.start()).value();
    (co_await both.holder.words.recv<bool>()).value();
    (co_await both.heir.running.start()).value();
}

/// Nothing of what they share is in this process any more, but what is kept for them.
task<void> check_inherits(family& both) {
    both.holder.running.kill().value();
    const auto inherited = co_await coproc::timeout(10s, both.heir.words.recv<bool>());
    REQUIRE(inherited.has_value());
    CHECK(inherited.value());
    const auto killed = co_await both.holder.running.join();
    CHECK(killed.value().signal() == SIGKILL);
    const auto ended = co_await both.heir.running.join();
    CHECK(ended.value().success());
}

}  // namespace

CO_TEST_CASE("process: a lock that the parent has dropped passes on when a child dies with it",
             "[process][lock]") {
    std::optional<lock> l = lock::create().value();
    family both{child::of(hold, *l), child::of(inherit, *l)};
    co_await start(both);
    l.reset();
    co_await check_inherits(both);
}

CO_TEST_CASE("process: a job of a queue that the parent has dropped is done by another child",
             "[process][queue]") {
    std::optional<jobs> all = jobs::create().value();
    all->try_put("the job").value();
    family both{child::of(begin_job, *all), child::of(finish_job, *all)};
    co_await start(both);
    all.reset();
    co_await check_inherits(both);
}

CO_TEST_CASE("process: what only the dead child was given is repaired before it is dropped",
             "[process][lock]") {
    std::optional<lock> l = lock::create().value();
    auto [to_heir, from_holder] = coproc::pipe().value();
    auto [ours, theirs] = coproc::pipe().value();
    child holder{process(hold_and_share, *l, std::move(theirs), std::move(to_heir)),
                 std::move(ours)};
    family both{std::move(holder), child::of(inherit_share, std::move(from_holder))};
    co_await start(both);
    l.reset();
    co_await check_inherits(both);
}
