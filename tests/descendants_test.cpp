// What becomes of shared objects when a child's child dies, with or without its parent.

#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/joinable_queue.hpp>
#include <coproc/lock.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/runtime.hpp>
#include <coproc/semaphore.hpp>
#include <coproc/sleep.hpp>
#include <coproc/this_process.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"

#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using coproc::connection;
using coproc::event;
using coproc::lock;
using coproc::process;
using coproc::semaphore;
using coproc::task;
using jobs = coproc::joinable_queue<std::string>;
using loads = coproc::queue<std::vector<std::byte>>;

namespace {

task<void> for_ever() { (void)co_await coproc::sleep_for(24h); }

task<void> hold(lock l, event holding) {
    const auto mine = (co_await l.acquire()).value();
    holding.set().value();
    co_await for_ever();
}
task<void> hold_permit(semaphore s, event holding) {
    const auto mine = (co_await s.acquire()).value();
    holding.set().value();
    co_await for_ever();
}
task<void> begin_job(jobs all, event holding) {
    const auto job = (co_await all.lease()).value();
    holding.set().value();
    co_await for_ever();
}

/// There is no room for a second one, not even when the first has come one slice (1 MiB) far.
constexpr std::size_t size_of_load = std::size_t{7} * 512 * 1024;
constexpr coproc::queue_options room_for_one{.max_bytes = std::size_t{4} * 1024 * 1024};

task<void> put_load(loads q) {
    const std::vector<std::byte> load(size_of_load);
    (co_await q.put(load)).value();
}
/// Its loop does not turn any more when it has begun.
task<void> begin_to_put(loads q, event holding) {
    const auto rt = co_await coproc::current_runtime();
    const auto putting = rt.spawn(put_load(q));
    (co_await coproc::yield()).value();
    holding.set().value();
    for (;;) ::pause();
}

/// The parent of one who does that.
template <class Shared, task<void> (*target)(Shared, event)>
task<void> start_one(Shared shared, event holding) {
    process holder(target, shared, holding);
    const auto started = co_await holder.start();
    started.value();
    co_await for_ever();
}

/// A child that has started a grandchild, which has what there is to have.
template <class Shared>
task<process> with_grandchild(task<void> (*parent)(Shared, event), const Shared& shared) {
    const auto holding = event::create().value();
    process child(parent, shared, holding);
    const auto started = co_await child.start();
    started.value();
    const auto held = co_await holding.wait();
    held.value();
    co_return child;
}

task<void> hold_what_comes(connection from_root) {
    const auto l = (co_await from_root.recv<lock>()).value();
    const auto mine = (co_await l.acquire()).value();
    (co_await from_root.send(coproc::current_process().pid())).value();
    co_await for_ever();
}

task<void> pass_on(connection from_root) {
    process holder(hold_what_comes, std::move(from_root));
    (co_await holder.start()).value();
    co_await for_ever();
}

}  // namespace

CO_TEST_CASE("descendants: the lock of a grandchild that died with its parent passes on",
             "[process][lock]") {
    const auto l = lock::create().value();
    process child = co_await with_grandchild(&start_one<lock, &hold>, l);
    child.kill().value();
    const auto mine = co_await coproc::timeout(30s, l.acquire());
    CHECK(mine.value().owner_died());
    (co_await child.join()).value();
}

CO_TEST_CASE("descendants: the permit of a grandchild that died with its parent comes back",
             "[process][semaphore]") {
    const auto s = semaphore::create(1).value();
    process child = co_await with_grandchild(&start_one<semaphore, &hold_permit>, s);
    CHECK(s.value() == 0);
    child.kill().value();
    const auto mine = co_await coproc::timeout(30s, s.acquire());
    CHECK(mine.has_value());
    (co_await child.join()).value();
}

CO_TEST_CASE("descendants: the job of a grandchild that died with its parent goes back",
             "[process][queue]") {
    auto all = jobs::create().value();
    all.try_put("the job").value();
    process child = co_await with_grandchild(&start_one<jobs, &begin_job>, all);
    CHECK(all.empty());
    child.kill().value();
    auto again = co_await coproc::timeout(30s, all.lease());
    CHECK(again.value().value() == "the job");
    CHECK(again.value().returns() == 1);
    again.value().done().value();
    (co_await child.join()).value();
}

CO_TEST_CASE("descendants: what a grandchild that died with its parent was putting is gone",
             "[process][queue]") {
    auto q = loads::create(room_for_one).value();
    const std::vector<std::byte> ours(size_of_load, std::byte{7});
    process child = co_await with_grandchild(&start_one<loads, &begin_to_put>, q);
    CHECK(q.try_put(ours).error() == coproc::errc::would_block);
    CHECK(q.empty());
    child.kill().value();
    const auto put = co_await coproc::timeout(30s, q.put(ours));
    CHECK(put.has_value());
    CHECK(q.size() == 1);
    const auto got = co_await q.get();
    CHECK((got.value() == ours));
    (co_await child.join()).value();
}

CO_TEST_CASE("descendants: a lock that only root and grandchild have passes on when that one dies",
             "[process][lock]") {
    const auto l = lock::create().value();
    auto [here, there] = coproc::pipe().value();
    process child(pass_on, std::move(there));
    (co_await child.start()).value();
    (co_await here.send(l)).value();
    const int pid = (co_await here.recv<int>()).value();
    ::kill(pid, SIGKILL);
    const auto mine = co_await coproc::timeout(30s, l.acquire());
    CHECK(mine.value().owner_died());
    child.kill().value();
    (co_await child.join()).value();
}
