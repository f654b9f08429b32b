#include "support/scene.hpp"

#include <coproc/lock.hpp>
#include <coproc/sleep.hpp>

#include "shared/shared_object.hpp"
#include "support/co_test.hpp"
#include "support/stepped.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdlib>

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
constexpr detail::participant repairer = 4713;

constexpr long points = 250;

/// The loop's bell is hung up before the stepping begins: it is the same for everything.
task<void> live(const std::function<task<void>()>& work) {
    const auto warm = lock::create().value();
    (co_await warm.acquire()).value();
    mark();
    co_await work();
    ::_exit(0);
}

}  // namespace

void live_as_victim(const std::function<task<void>()>& work) {
    detail::become(victim);
    auto own = runtime::create().value();
    own.run(live(work));
    std::abort();
}

void kill_in(const std::string& name,
             const std::function<std::unique_ptr<scene>(runtime& home)>& make) {
    const leak_check leaks;
    {
        auto home = runtime::create().value();
        std::unique_ptr<scene> one;
        const int kills = kill_everywhere(
            points, {
                        .before = [&] { one = make(home); },
                        .work = [&] { live_as_victim([&] { return one->work(); }); },
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

void kill_repairers_in(const std::string& name,
                       const std::function<std::unique_ptr<scene>(runtime& home)>& make) {
    const leak_check leaks;
    {
        auto home = runtime::create().value();
        auto one = make(home);
        bool killed = false;
        const auto work = [&] { live_as_victim([&] { return one->work(); }); };
        const auto asleep = [&] {
            one->enter_other();
            one->happen();
        };
        const auto before = [&](const moment& there) {
            one = make(home);
            {
                stepped child(work);
                child.run_to_mark();
                child.before_sleep(asleep);
                killed = child.run_to(there);
            }
            // Undoes what was not committed.
            detail::repair_for(nobody, detail::ending::failed, nullptr);
            one->look();
        };
        const auto repair = [] {
            detail::become(repairer);
            detail::repair_for(victim, detail::ending::failed, nullptr);
        };
        const auto after = [&] {
            detail::repair_for(repairer, detail::ending::failed, nullptr);
            detail::repair_for(victim, detail::ending::failed, nullptr);
            one->enter_other();
            home.run(one->check(killed));
        };
        const auto firsts = moments_from_mark(8, work, asleep);
        const int both = kill_repairers(firsts, 31 * kill_grid(5), before, repair, after);
        CHECK(both > 0);
        WARN(name << ": " << both << " double kills survived");
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
        const auto work = [&] { live_as_victim([&] { return one->work(); }); };
        surprise_everywhere(points, [&] { one = make(home); }, work, [&] { return one->happen(); });
        one.reset();
        home.run(home.shutdown()).value();
    }
    leaks.done();
}

}  // namespace coproc::testing
