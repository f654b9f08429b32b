// What becomes of shared objects when a child's child dies, with or without its parent.

#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/lock.hpp>
#include <coproc/process.hpp>
#include <coproc/sleep.hpp>
#include <coproc/this_process.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"

#include <csignal>

using namespace std::chrono_literals;
using coproc::connection;
using coproc::event;
using coproc::lock;
using coproc::process;
using coproc::task;

namespace {

task<void> for_ever() { (void)co_await coproc::sleep_for(24h); }

task<void> hold(lock l, event holding) {
    const auto mine = (co_await l.acquire()).value();
    holding.set().value();
    co_await for_ever();
}

task<void> start_holder(lock l, event holding) {
    process holder(hold, l, holding);
    (co_await holder.start()).value();
    co_await for_ever();
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
    const auto holding = event::create().value();
    process child(start_holder, l, holding);
    (co_await child.start()).value();
    (co_await holding.wait()).value();
    child.kill().value();
    const auto mine = co_await coproc::timeout(30s, l.acquire());
    CHECK(mine.value().owner_died());
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
