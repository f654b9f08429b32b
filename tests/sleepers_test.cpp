#include "shared/sleepers.hpp"
#include "shared/word.hpp"
#include "support/catch.hpp"
#include "words/sharing_linux.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

using coproc::detail::known_awake;
using coproc::detail::member_table;
using coproc::detail::sleeper_table;
using coproc::detail::sleepers;

namespace {

/// One member on one side, as the process sees it that has to wake it.
struct side {
    side() {
        members->used = 1;
        members->all[0].bell = coproc::system::name_of_bell(bell.get()).value();
    }
    bool wake(std::uint64_t room) {
        const auto always = [](const void*) { return true; };
        return all.wake_one(bell.get(), room, always, nullptr);
    }

    coproc::detail::unique_fd bell = coproc::system::make_bell().value();
    std::unique_ptr<sleeper_table> table = std::make_unique<sleeper_table>();
    std::unique_ptr<member_table> members = std::make_unique<member_table>();
    known_awake known = 0;
    sleepers all{*table, *members, known};
};

}  // namespace

TEST_CASE("sleepers: who is found awake is not looked for until it falls asleep again") {
    side one;
    CHECK_FALSE(one.all.announced());
    one.all.announce(0, 0);
    CHECK(one.all.announced());
    one.wake(1);
    CHECK(one.all.announced());
    one.wake(1);
    CHECK_FALSE(one.all.announced());
    CHECK(one.all.withdraw(0));
    CHECK_FALSE(one.all.announced());
    one.all.announce(0, 0);
    CHECK(one.all.announced());
    one.wake(1);
    CHECK(one.all.withdraw(0));
}

namespace {

/// Lets two threads begin each round at the same moment.
class start_line {
 public:
    void wait(std::uint64_t round) {
        arrived_.fetch_add(1);
        for (int i = 1; arrived_.load() < 2 * round; ++i) {
            if (i % 1000 == 0) std::this_thread::yield();
        }
    }

 private:
    std::atomic<std::uint64_t> arrived_ = 0;
};

}  // namespace

TEST_CASE("sleepers: who publishes finds the one who sleeps or is seen by his last look") {
    side one;
    start_line line;
    alignas(64) std::uint64_t published = 0;
    alignas(64) std::atomic<std::uint64_t> seen = 0;
    constexpr std::uint64_t rounds = 200'000;
    // What both do in a round; each then waits for the other before the round is judged.
    std::thread sleeper([&] {
        for (std::uint64_t round = 1; round <= rounds; ++round) {
            line.wait(3 * round - 2);
            one.all.announce(0, 0);
            seen = coproc::detail::peek(published);
            line.wait(3 * round - 1);
            line.wait(3 * round);
        }
    });
    std::uint64_t missed = 0;
    for (std::uint64_t round = 1; round <= rounds; ++round) {
        line.wait(3 * round - 2);
        coproc::detail::publish(published, round);
        const bool found = one.all.anybody();
        line.wait(3 * round - 1);
        missed += !found && seen != round ? 1 : 0;
        one.all.withdraw(0);
        one.known = one.table->announcements;
        line.wait(3 * round);
    }
    sleeper.join();
    CHECK(missed == 0);
}

TEST_CASE("sleepers: who sleeps on because there is too little is looked for again") {
    side one;
    one.all.announce(0, 100);
    for (int i = 0; i < 3; ++i) {
        one.wake(99);
        CHECK(one.all.announced());
    }
    one.wake(100);
    CHECK(one.all.withdraw(0));
}
