#include "shared/sleepers.hpp"
#include "support/catch.hpp"
#include "words/sharing_linux.hpp"

#include <cstdint>
#include <memory>

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
