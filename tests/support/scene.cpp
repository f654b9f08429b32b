#include "support/scene.hpp"

#include <coproc/lock.hpp>
#include <coproc/sleep.hpp>

#include "shared/shared_object.hpp"
#include "support/co_test.hpp"
#include "support/stepped.hpp"

#include <unistd.h>

#include <chrono>

namespace coproc::testing {

using namespace std::chrono_literals;

void scene::enter_other() {
    if (other_) return;
    const auto enter = [this]() -> task<void> {
        other_ = (co_await current_runtime()).spawn(other());
        for (int i = 0; i < 5; ++i) (co_await sleep_for(0s)).value();
    };
    home_->run(enter());
}

task<std::string> scene::outcome_of_other() {
    const auto outcome = co_await timeout(10s, std::move(*other_));
    REQUIRE(outcome.has_value());
    co_return outcome.value();
}

namespace {

constexpr detail::participant nobody = 4712;

constexpr long points = 250;

/// The loop's bell is hung up before the stepping begins: it is the same for everything.
task<void> live(scene& one) {
    const auto warm = lock::create().value();
    (co_await warm.acquire()).value();
    mark();
    co_await one.work();
    ::_exit(0);
}

void become_victim(scene& one) {
    detail::become(victim);
    auto own = runtime::create().value();
    own.run(live(one));
}

}  // namespace

void kill_in(const std::string& name,
             const std::function<std::unique_ptr<scene>(runtime& home)>& make) {
    const leak_check leaks;
    {
        auto home = runtime::create().value();
        std::unique_ptr<scene> one;
        const int kills = kill_everywhere(
            points, {
                        .before = [&] { one = make(home); },
                        .work = [&] { become_victim(*one); },
                        .asleep =
                            [&] {
                                one->enter_other();
                                one->happen();
                            },
                        .after =
                            [&](bool killed) {
                                // Undoes what was not committed.
                                detail::repair_for(nobody, detail::ending::failed, nullptr);
                                one->look();
                                detail::repair_for(victim, detail::ending::failed, nullptr);
                                one->enter_other();
                                home.run(one->check(killed));
                            },
                    });
        CHECK(kills > 0);
        WARN(name << ": " << kills << " kills survived");
        one.reset();
        home.run(home.shutdown()).value();
    }
    leaks.done();
}

void surprise_in(const std::function<std::unique_ptr<scene>(runtime& home)>& make) {
    const leak_check leaks;
    {
        auto home = runtime::create().value();
        std::unique_ptr<scene> one;
        const auto work = [&] { become_victim(*one); };
        surprise_everywhere(points, [&] { one = make(home); }, work, [&] { return one->happen(); });
        one.reset();
        home.run(home.shutdown()).value();
    }
    leaks.done();
}

}  // namespace coproc::testing
