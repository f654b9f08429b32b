#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/runtime.hpp>
#include <coproc/shared_value.hpp>
#include <coproc/sleep.hpp>

#include "shared/transaction.hpp"
#include "support/co_test.hpp"
#include "support/contract.hpp"
#include "support/stepped.hpp"
#include "words/system.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::process;
using coproc::result;
using coproc::shared_value;
using coproc::task;

namespace {

template <class T>
coproc::detail::unique_fd file_of(const shared_value<T>& value) {
    coproc::encoder into;
    into.put(value);
    return coproc::system::duplicate(into.fds()[0]).value();
}

/// Keeps everybody from writing, as a process does that has been stopped in the middle of it.
class stopped_writer {
 public:
    explicit stopped_writer(const shared_value<int>& of)
        : memory_(coproc::detail::region::open<coproc::detail::object_head>(
                      file_of(of), coproc::detail::region_kind::value)
                      .value()),
          writing_(memory_.as<coproc::detail::object_head>(), experience_) {
        REQUIRE(writing_);
    }

 private:
    coproc::detail::region memory_;
    coproc::detail::lock_experience experience_;
    coproc::detail::transaction writing_;
};

class writing : public coproc::testing::operation_under_contract {
    task<void> set_up() override {
        value_.emplace(shared_value<int>::create().value());
        writer_.emplace(*value_);
        co_return;
    }
    task<void> release() override {
        writer_.reset();
        co_return;
    }
    task<void> tear_down() override {
        writer_.reset();
        value_.reset();
        co_return;
    }

 protected:
    std::optional<shared_value<int>> value_;

 private:
    std::optional<stopped_writer> writer_;
};

class storing : public writing {
    task<result<void>> attempt() override { co_return co_await value_->store(1); }
};
const coproc::testing::contract_row<storing> store_row("shared_value::store");

class updating : public writing {
    task<result<void>> attempt() override {
        COPROC_CO_TRY(const int now, co_await value_->update([](int n) { return n + 1; }));
        // What was canceled has not been done.
        CHECK(now == ++successes_);
        co_return coproc::success();
    }
    int successes_ = 0;
};
const coproc::testing::contract_row<updating> update_row("shared_value::update");

/// 256 bytes, all of which say the same.
struct picture {
    std::array<std::uint64_t, 32> words;
};
picture picture_of(std::uint64_t number) {
    picture made{};
    made.words.fill(number);
    return made;
}
bool is_whole(const picture& one) {
    return std::ranges::count(one.words, one.words[0]) == std::ssize(one.words);
}

/// Of a size that is no multiple of a word's.
struct fraction {
    short numerator;
    short denominator;
    bool exact;
};
static_assert(sizeof(fraction) == 6);

}  // namespace

CO_TEST_CASE("shared_value: it is what was stored last", "[shared_value]") {
    const auto number = shared_value<int>::create(5).value();
    CHECK(number.load() == 5);
    (co_await number.store(6)).value();
    CHECK(number.load() == 6);
    number.try_store(7).value();
    const auto before = co_await number.exchange(8);
    CHECK(before.value() == 7);
    const auto doubled = co_await number.update([](int n) { return 2 * n; });
    CHECK(doubled.value() == 16);
    CHECK(number.load() == 16);
    CHECK(shared_value<double>::create().value().load() == 0);
    const auto half = shared_value<fraction>::create({1, 2, true}).value();
    for (short i = 1; i < 100; ++i) {
        CHECK(half.load().numerator == i);
        CHECK(half.load().exact);
        (co_await half.store({static_cast<short>(i + 1), 2, true})).value();
    }
}

CO_TEST_CASE("shared_value: update begins again if somebody has written in between",
             "[shared_value]") {
    const auto number = shared_value<int>::create(0).value();
    std::vector<int> seen;
    const auto change = [&](int n) {
        seen.push_back(n);
        // User's code runs without the lock.
        if (n < 20) number.try_store(n + 10).value();
        return n + 1;
    };
    const auto changed = co_await number.update(change);
    CHECK(changed.value() == 21);
    CHECK(seen == std::vector{0, 10, 20});
    CHECK(number.load() == 21);
}

CO_TEST_CASE("shared_value: an update whose function throws changes nothing", "[shared_value]") {
    const auto number = shared_value<int>::create(3).value();
    std::string caught;
    try {
        (void)co_await number.update([](int n) -> int { throw std::to_string(n); });
    } catch (const std::string& what) {
        caught = what;
    }
    CHECK(caught == "3");
    (co_await number.store(4)).value();
    CHECK(number.load() == 4);
}

namespace {

task<void> count_up(shared_value<long> total, int times) {
    for (int i = 0; i < times; ++i) {
        (co_await total.update([](long n) { return n + 1; })).value();
    }
}
/// Until it is told to stop.
task<void> draw(shared_value<picture> frame, coproc::event stop) {
    for (std::uint64_t i = 1; i % 100 != 0 || !stop.is_set(); ++i) {
        (co_await frame.store(picture_of(i))).value();
    }
}
void return_at_once() {}
task<void> receive_and_store(coproc::connection from) {
    const auto frame = (co_await from.recv<shared_value<picture>>()).value();
    (co_await frame.store(picture_of(frame.load().words[0] + 1))).value();
}

}  // namespace

CO_TEST_CASE("shared_value: a message takes it to a child", "[shared_value][process]") {
    auto [ours, theirs] = coproc::pipe().value();
    process child(receive_and_store, std::move(theirs));
    (co_await child.start()).value();
    const auto frame = shared_value<picture>::create(picture_of(41)).value();
    (co_await ours.send(frame)).value();
    const auto ended = co_await child.join();
    CHECK(ended.value().success());
    CHECK(frame.load().words == picture_of(42).words);
}

CO_TEST_CASE("shared_value: what cannot be repaired at once is an errand of coproc's",
             "[shared_value][process]") {
    const auto value = shared_value<int>::create(0).value();
    const stopped_writer somebody(value);
    process child(return_at_once);
    (co_await child.start()).value();
    CHECK((co_await child.join()).value().success());
    const auto rt = co_await coproc::current_runtime();
    CHECK_THAT(rt.dump(), Catch::Contains("\n  errand "));
    // shutdown() ends it: to leave it behind is not to leave a task.
}

CO_TEST_CASE("shared_value: no update of any process is lost", "[shared_value][process]") {
    const auto total = shared_value<long>::create(0).value();
    std::vector<process> counters;
    for (int i = 0; i < 4; ++i) {
        (co_await counters.emplace_back(count_up, total, 20'000).start()).value();
    }
    for (process& one : counters) CHECK((co_await one.join()).value().success());
    CHECK(total.load() == 80'000);
}

CO_TEST_CASE("shared_value: who reads while others write sees whole values, none older than before",
             "[shared_value][process]") {
    const auto frame = shared_value<picture>::create(picture_of(0)).value();
    const auto stop = coproc::event::create().value();
    process writer(draw, frame, stop);
    (co_await writer.start()).value();
    const auto rt = co_await coproc::current_runtime();
    const auto ended = rt.spawn(writer.join());
    std::uint64_t seen = 0;
    int torn = 0;
    int older = 0;
    int changes = 0;
    while (changes < 10'000 && !ended.done()) {
        for (int i = 0; i < 100; ++i) {
            const picture now = frame.load();
            torn += is_whole(now) ? 0 : 1;
            older += now.words[0] < seen ? 1 : 0;
            changes += now.words[0] != seen ? 1 : 0;
            seen = now.words[0];
        }
        (co_await coproc::sleep_for(0s)).value();
    }
    stop.set().value();
    const auto status = co_await ended;
    CHECK(status.value().success());
    CHECK(torn == 0);
    CHECK(older == 0);
    CHECK(changes >= 10'000);
}

TEST_CASE("shared_value: other threads may read it", "[shared_value]") {
    const auto frame = shared_value<picture>::create(picture_of(0)).value();
    std::latch begun(1);
    std::atomic<bool> stop = false;
    int torn = 0;
    {
        const std::jthread reader([&] {
            for (bool first = true; !stop; first = false) {
                torn += is_whole(frame.load()) ? 0 : 1;
                if (first) begun.count_down();
            }
        });
        begun.wait();
        for (std::uint64_t i = 1; i <= 20'000; ++i) frame.try_store(picture_of(i)).value();
        stop = true;
    }
    CHECK(torn == 0);
}

// -- a writer that is killed, or stopped, in the middle

TEST_CASE("shared_value: a process killed at any instruction of a store leaves the old or the new",
          "[shared_value][process][long]") {
    const auto frame = shared_value<picture>::create(picture_of(0)).value();
    std::uint64_t number = 0;
    int old_ones = 0;
    int new_ones = 0;
    const auto before = [&] {
        number += 10;
        frame.try_store(picture_of(number)).value();
    };
    const auto work = [&] { frame.try_store(picture_of(number + 1)).value(); };
    const auto after = [&](bool) {
        const picture now = frame.load();
        REQUIRE(is_whole(now));
        const std::uint64_t found = now.words[0];
        REQUIRE((found == number || found == number + 1));
        ++(found == number ? old_ones : new_ones);
        frame.try_store(picture_of(number + 2)).value();
        REQUIRE(frame.load().words == picture_of(number + 2).words);
    };
    const int kills =
        coproc::testing::kill_everywhere(coproc::testing::kill_grid(7), before, work, after);
    CHECK(old_ones > 0);
    CHECK(new_ones > 0);
    WARN(kills << " kills survived");
}

TEST_CASE("shared_value: killed in the middle of a store after one who was killed",
          "[shared_value][process][long]") {
    const auto frame = shared_value<picture>::create(picture_of(0)).value();
    std::uint64_t number = 0;
    int kills = 0;
    const auto first_work = [&] { (void)frame.try_store(picture_of(number + 1)); };
    const long grid = 29 * coproc::testing::kill_grid(5);
    for (const auto& first : coproc::testing::moments(grid, first_work)) {
        const auto before = [&] {
            number += 10;
            frame.try_store(picture_of(number)).value();
            coproc::testing::stepped child(first_work);
            child.run_to(first);
        };
        const auto work = [&] { frame.try_store(picture_of(number + 2)).value(); };
        const auto after = [&](bool) {
            const picture now = frame.load();
            REQUIRE(is_whole(now));
            REQUIRE(now.words[0] - number <= 2);
            frame.try_store(picture_of(number + 3)).value();
            REQUIRE(frame.load().words == picture_of(number + 3).words);
        };
        kills += coproc::testing::kill_everywhere(23 * coproc::testing::kill_grid(2), before, work,
                                                  after);
    }
    CHECK(kills > 0);
    WARN(kills << " double kills survived");
}

CO_TEST_CASE(
    "shared_value: a writer stopped in the middle keeps nobody from reading, and others "
    "from writing",
    "[shared_value][process]") {
    const auto frame = shared_value<picture>::create(picture_of(1)).value();
    // It has the lock when this process cannot have it.
    coproc::testing::stepped writer([&] { (void)frame.try_store(picture_of(2)); });
    result<void> stored = coproc::success();
    while (stored && writer.step()) stored = frame.try_store(picture_of(1));
    REQUIRE_FALSE(stored.has_value());
    REQUIRE(stored.error() == errc::would_block);
    CHECK(frame.load().words == picture_of(1).words);
    const auto rt = co_await coproc::current_runtime();
    const auto waiting = rt.spawn(frame.store(picture_of(3)));
    (co_await coproc::sleep_for(3ms)).value();
    CHECK_FALSE(waiting.done());
    CHECK(frame.load().words == picture_of(1).words);
    CHECK(writer.finish());
    CHECK(frame.load().words == picture_of(2).words);
    (co_await waiting).value();
    CHECK(frame.load().words == picture_of(3).words);
}

// -- what it is opened as

TEST_CASE("shared_value: of another type it is refused, and what is none", "[shared_value]") {
    const coproc::testing::leak_check leaks;
    const auto decoded = [](coproc::detail::unique_fd file) {
        std::vector<coproc::detail::unique_fd> fds;
        fds.push_back(std::move(file));
        coproc::decoder from({}, std::move(fds));
        return coproc::codec<shared_value<int>>::decode(from);
    };
    {
        const auto number = shared_value<unsigned>::create(1).value();
        CHECK(decoded(file_of(number)).error() == errc::type_mismatch);
        const auto large = shared_value<picture>::create(picture_of(1)).value();
        CHECK(decoded(file_of(large)).error() == errc::type_mismatch);
        CHECK(decoded(coproc::system::event_fd().value()).error() == errc::bad_message);
        const auto good = decoded(file_of(shared_value<int>::create(3).value()));
        CHECK(good.value().load() == 3);
    }
    leaks.done();
}

static_assert(coproc::detail::in_place<int>);
static_assert(coproc::detail::in_place<fraction>);
static_assert(coproc::detail::in_place<picture>);
static_assert(coproc::detail::in_place<std::optional<std::chrono::seconds>>);
static_assert(!coproc::detail::in_place<std::string>);
static_assert(!coproc::detail::in_place<const char*>);
static_assert(!coproc::detail::in_place<std::unique_ptr<int>>);
static_assert(!coproc::detail::in_place<shared_value<int>>);
