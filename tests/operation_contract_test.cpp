// One row per operation, the same five checks for all. Rows of other parts are beside their tests.

#include <coproc/detail/wait_list.hpp>
#include <coproc/offload.hpp>
#include <coproc/readiness.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>

#include "support/co_test.hpp"
#include "support/contract.hpp"
#include "words/system.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <semaphore>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::result;
using coproc::runtime_ref;
using coproc::task;
using coproc::detail::cancel_scope;
using coproc::detail::current_scope;
using coproc::detail::enter_scope;
using coproc::testing::contract_entries;
using coproc::testing::contract_row;
using coproc::testing::operation_under_contract;

namespace {

// -- the rows of the engine

class sleeping : public operation_under_contract {
    task<result<void>> attempt() override { co_return co_await coproc::sleep_for(10ms); }
};
const contract_row<sleeping> sleep_row("sleep_for");

class yielding : public operation_under_contract {
    task<result<void>> attempt() override { co_return co_await coproc::yield(); }
};
const contract_row<yielding> yield_row("yield");

class waiting_in_list : public operation_under_contract {
    task<result<void>> attempt() override { co_return co_await list_.wait(); }
    task<void> release() override {
        if (!list_.wake_one()) list_.open();
        co_return;
    }
    coproc::detail::wait_list list_;
};
const contract_row<waiting_in_list> wait_list_row("wait_list");

class polling : public operation_under_contract {
 protected:
    task<void> set_up() override {
        ends_ = coproc::system::socket_pair().value();
        co_return;
    }
    const char* start_call() const override { return "uv_poll_init"; }
    std::array<coproc::detail::unique_fd, 2> ends_;
};

class reading : public polling {
    task<result<void>> attempt() override {
        COPROC_CO_TRY(co_await coproc::wait_readable(ends_[0].get()));
        std::array<std::byte, 1> byte{};
        COPROC_CO_TRY(coproc::system::read(ends_[0].get(), byte));
        co_return coproc::success();
    }
    task<void> release() override {
        const std::array<std::byte, 1> byte{};
        coproc::system::write(ends_[1].get(), byte).value();
        co_return;
    }
};
const contract_row<reading> reading_row("wait_readable");

class writing : public polling {
    task<void> set_up() override {
        co_await polling::set_up();
        fill();
    }
    task<result<void>> attempt() override {
        COPROC_CO_TRY(co_await coproc::wait_writable(ends_[0].get()));
        fill();
        co_return coproc::success();
    }
    task<void> release() override {
        while (coproc::system::read(ends_[1].get(), buffer_)) continue;
        co_return;
    }
    void fill() {
        while (coproc::system::write(ends_[0].get(), buffer_)) continue;
    }
    std::array<std::byte, 65536> buffer_{};
};
const contract_row<writing> writing_row("wait_writable");

class offloading : public operation_under_contract {
    task<result<void>> attempt() override {
        co_return co_await coproc::offload([this] { gate_.acquire(); });
    }
    task<void> release() override {
        gate_.release();
        co_return;
    }
    const char* start_call() const override { return "uv_queue_work"; }
    bool can_be_stopped() const override { return false; }
    std::counting_semaphore<> gate_{0};
};
const contract_row<offloading> offload_row("offload");

class joining : public operation_under_contract {
    task<void> set_up() override { child_ = (co_await coproc::current_runtime()).spawn(wait()); }
    task<result<void>> attempt() override { co_return co_await child_; }
    task<void> release() override {
        end_.open();
        co_return;
    }
    task<void> tear_down() override {
        end_.open();
        if (!child_.done()) (co_await child_).value();
    }
    task<void> wait() { (co_await end_.wait()).value(); }

    coproc::detail::wait_list end_;
    coproc::spawned<void> child_;
};
const contract_row<joining> join_row("join of a spawned task");

// -- the checks

/// What became of one attempt.
struct record {
    int ends = 0;
    result<void> outcome = errc::still_running;
};

task<void> attempt_into(operation_under_contract& row, record& what) {
    auto outcome = co_await row.attempt();
    what.outcome = std::move(outcome);
    ++what.ends;
}

task<record> attempt(operation_under_contract& row) {
    record what;
    co_await attempt_into(row, what);
    co_return what;
}

/// An attempt in a scope that is canceled already.
task<record> attempt_canceled(operation_under_contract& row) {
    cancel_scope& outer = co_await current_scope();
    cancel_scope canceled(outer);
    canceled.cancel();
    co_await enter_scope(canceled);
    record what;
    co_await attempt_into(row, what);
    co_return what;
}

task<void> turns(int count) {
    for (int i = 0; i < count; ++i) (co_await coproc::sleep_for(1us)).value();
}

// What the fault hook looks for, and how often it was asked.
constinit const char* watched_call = nullptr;
constinit int watched_calls = 0;

int watch(const char* call) noexcept {
    if (watched_call != nullptr && std::strcmp(call, watched_call) == 0) ++watched_calls;
    return 0;
}

int refuse(const char* call) noexcept {
    return watched_call != nullptr && std::strcmp(call, watched_call) == 0 ? ENOMEM : 0;
}

/// Switches the hook on for a while.
class hooked {
 public:
    hooked(const operation_under_contract& row, coproc::system::fault_hook hook) {
        watched_call = row.start_call();
        watched_calls = 0;
        coproc::system::set_fault_hook(hook);
    }
    hooked(const hooked&) = delete;
    hooked& operator=(const hooked&) = delete;
    ~hooked() { coproc::system::set_fault_hook(nullptr); }
};

task<void> finishes(operation_under_contract& row) {
    record pending;
    const auto rt = co_await coproc::current_runtime();
    const auto trying = rt.spawn(attempt_into(row, pending));
    (co_await coproc::yield()).value();
    co_await row.release();
    (co_await trying).value();
    CHECK(pending.outcome.has_value());
    CHECK(pending.ends == 1);
}

task<void> reports_a_failed_start(operation_under_contract& row) {
    if (row.start_call() == nullptr) co_return;
    std::optional<hooked> hook(std::in_place, row, &refuse);
    const auto refused = co_await attempt(row);
    hook.reset();
    REQUIRE_FALSE(refused.outcome.has_value());
    CHECK(refused.outcome.error() == std::errc::not_enough_memory);

    co_await row.release();
    const auto repeated = co_await attempt(row);
    CHECK(repeated.outcome.has_value());
}

task<void> does_not_start_when_canceled(operation_under_contract& row) {
    // Even if it could finish at once.
    co_await row.release();
    std::optional<hooked> hook(std::in_place, row, &watch);
    const auto canceled = co_await attempt_canceled(row);
    hook.reset();
    CHECK(watched_calls == 0);
    REQUIRE_FALSE(canceled.outcome.has_value());
    CHECK(canceled.outcome.error() == errc::canceled);
    // It has consumed nothing.
    const auto repeated = co_await attempt(row);
    CHECK(repeated.outcome.has_value());
}

task<void> finishes_once_when_canceled(operation_under_contract& row) {
    record pending;
    const auto rt = co_await coproc::current_runtime();
    auto trying = rt.spawn(attempt_into(row, pending));
    (co_await coproc::yield()).value();
    REQUIRE(pending.ends == 0);
    trying.cancel();
    trying.cancel();
    if (!row.can_be_stopped()) co_await row.release();
    (co_await trying).value();
    CHECK(pending.ends == 1);
    if (row.can_be_stopped()) {
        REQUIRE_FALSE(pending.outcome.has_value());
        CHECK(pending.outcome.error() == errc::canceled);
    }
    co_await row.release();
    co_await turns(2);
    CHECK(pending.ends == 1);
    // What would have finished it has not been consumed.
    const auto repeated = co_await attempt(row);
    CHECK(repeated.outcome.has_value());
}

task<void> stays_finished_when_canceled(operation_under_contract& row) {
    record done;
    const auto rt = co_await coproc::current_runtime();
    auto trying = rt.spawn(attempt_into(row, done));
    (co_await coproc::yield()).value();
    co_await row.release();
    (co_await trying).value();
    trying.cancel();
    co_await turns(2);
    CHECK(done.outcome.has_value());
    CHECK(done.ends == 1);
}

using check_function = task<void>(operation_under_contract&);

task<void> with_row(std::unique_ptr<operation_under_contract> row, check_function* check) {
    co_await row->set_up();
    co_await check(*row);
    co_await row->tear_down();
}

void check_all(check_function* check, bool with_processes) {
    for (const auto& entry : contract_entries()) {
        auto row = entry.make();
        if (row->has_processes() != with_processes) continue;
        DYNAMIC_SECTION(entry.name) {
            coproc::testing::run_and_check(with_row(std::move(row), check));
        }
    }
}

}  // namespace

TEST_CASE("operation contract: it finishes", "[contract]") { check_all(&finishes, false); }

TEST_CASE("operation contract: a failed start is a result, and can be repeated", "[contract]") {
    check_all(&reports_a_failed_start, false);
}

TEST_CASE("operation contract: canceled before it starts, it never starts", "[contract]") {
    check_all(&does_not_start_when_canceled, false);
}

TEST_CASE("operation contract: canceled while pending, it finishes once and has consumed nothing",
          "[contract]") {
    check_all(&finishes_once_when_canceled, false);
}

TEST_CASE("operation contract: canceled after it has finished, nothing changes", "[contract]") {
    check_all(&stays_finished_when_canceled, false);
}

TEST_CASE("operation contract: the same five with processes", "[contract][process]") {
    SECTION("it finishes") { check_all(&finishes, true); }
    SECTION("a failed start") { check_all(&reports_a_failed_start, true); }
    SECTION("canceled before it starts") { check_all(&does_not_start_when_canceled, true); }
    SECTION("canceled while pending") { check_all(&finishes_once_when_canceled, true); }
    SECTION("canceled after it has finished") { check_all(&stays_finished_when_canceled, true); }
}
