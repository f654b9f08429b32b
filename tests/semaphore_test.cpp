#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/runtime.hpp>
#include <coproc/semaphore.hpp>
#include <coproc/sleep.hpp>

#include "support/acquiring.hpp"
#include "support/co_test.hpp"

#include <algorithm>
#include <csignal>
#include <optional>
#include <vector>

using namespace std::chrono_literals;
using coproc::bounded_semaphore;
using coproc::errc;
using coproc::process;
using coproc::result;
using coproc::semaphore;
using coproc::task;

namespace {

auto made_to_be_acquired() { return coproc::semaphore::create(1).value(); }
using acquiring =
    coproc::testing::acquiring_under_contract<&made_to_be_acquired, coproc::semaphore::permit>;
const coproc::testing::contract_row<acquiring> acquire_row("semaphore::acquire");

}  // namespace

CO_TEST_CASE("semaphore: so many have permits at a time, the others wait", "[semaphore]") {
    const auto s = semaphore::create(3).value();
    int inside = 0;
    int most = 0;
    const auto enter = [&]() -> task<void> {
        const auto permit = (co_await s.acquire()).value();
        most = std::max(most, ++inside);
        (co_await coproc::sleep_for(0s)).value();
        --inside;
    };
    const auto rt = co_await coproc::current_runtime();
    std::vector<coproc::spawned<void>> tasks;
    for (int i = 0; i < 20; ++i) tasks.push_back(rt.spawn(enter()));
    for (const auto& one : tasks) (co_await one).value();
    CHECK(most >= 1);
    CHECK(most <= 3);
    CHECK(s.value() == 3);
}

CO_TEST_CASE("semaphore: anybody may release, and only a bounded one has too many", "[semaphore]") {
    const auto open = semaphore::create(0).value();
    const auto none = open.try_acquire();
    REQUIRE_FALSE(none.has_value());
    CHECK(none.error() == errc::would_block);
    open.release().value();
    open.release().value();
    CHECK(open.value() == 2);
    const auto bounded = bounded_semaphore::create(1).value();
    CHECK(bounded.release().error() == errc::too_many_releases);
    auto permit = bounded.try_acquire();
    CHECK(bounded.value() == 0);
    permit.value().release().value();
    CHECK(permit.value().release().error() == errc::too_many_releases);
    CHECK(bounded.value() == 1);
    co_return;
}

namespace {

task<void> hold_two(semaphore s, coproc::event held) {
    const auto one = (co_await s.acquire()).value();
    const auto other = (co_await s.acquire()).value();
    held.set().value();
    (co_await coproc::sleep_for(24h)).value();
}
task<void> pass(bounded_semaphore s, coproc::queue<int> count, int times) {
    for (int i = 0; i < times; ++i) {
        const auto permit = (co_await s.acquire()).value();
        (co_await count.put(1)).value();
        if (count.size() > 2) ::raise(SIGABRT);
        (co_await count.get()).value();
    }
}

}  // namespace

CO_TEST_CASE("semaphore: a dead holder's permits come back", "[semaphore][process]") {
    const auto s = semaphore::create(2).value();
    const auto held = coproc::event::create().value();
    process victim(hold_two, s, held);
    (co_await victim.start()).value();
    (co_await held.wait()).value();
    CHECK(s.value() == 0);
    const auto rt = co_await coproc::current_runtime();
    const auto first = rt.spawn(s.acquire());
    const auto second = rt.spawn(s.acquire());
    victim.kill().value();
    const auto one = co_await first;
    const auto other = co_await second;
    CHECK(one.has_value());
    CHECK(other.has_value());
    CHECK(s.value() == 0);
    (co_await victim.join()).value();
}

CO_TEST_CASE("semaphore: processes share the permits", "[semaphore][process]") {
    const auto s = bounded_semaphore::create(2).value();
    const auto count = coproc::queue<int>::create().value();
    std::vector<process> all;
    for (int i = 0; i < 4; ++i) (co_await all.emplace_back(pass, s, count, 300).start()).value();
    for (process& one : all) CHECK((co_await one.join()).value().success());
    CHECK(s.value() == 2);
}
