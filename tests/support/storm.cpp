#include "support/storm.hpp"

#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>

#include "support/catch.hpp"
#include "support/processes.hpp"

#include <csignal>
#include <cstdlib>
#include <utility>

namespace coproc::testing {

namespace {

void do_nothing() {}

}  // namespace

std::chrono::seconds storm::usual_length() {
    return std::chrono::seconds(std::getenv("COPROC_TEST_LONG") != nullptr ? 60 : 2);
}

void storm::add(const std::string& kind, int count, maker make) {
    kills_.emplace(kind, 0);
    for (int i = 0; i < count; ++i) places_.push_back({kind, make, process(do_nothing)});
}

int storm::kills() const {
    int sum = 0;
    for (const auto& [kind, count] : kills_) sum += count;
    return sum;
}

task<void> storm::rage(std::chrono::milliseconds length) {
    const auto home = co_await current_runtime();
    const auto tasks = [home] {
        const runtime_counters now = home.counters();
        return now.tasks_spawned - now.tasks_ended;
    };
    const auto before = tasks();
    for (place& one : places_) co_await start(one);
    const auto until = clock::now() + length;
    while (clock::now() < until) {
        const auto pause = std::chrono::microseconds(random_() % 4000);
        (co_await sleep_for(pause)).value();
        place& victim = places_[random_() % places_.size()];
        // Now and then two at once.
        place& other = places_[random_() % 4 == 0 ? random_() % places_.size() : 0];
        if (random_() % 4 == 0 && &other != &victim) {
            other.worker.kill().value();
            co_await kill(victim);
            co_await kill(other);
            co_await start(other);
        } else {
            co_await kill(victim);
        }
        co_await start(victim);
    }
    for (place& one : places_) one.worker.kill().value();
    for (place& one : places_) co_await kill(one);
    // What one of the dead had locked when another one died is repaired a moment later, by a task.
    const auto is_repaired = [&] { return tasks() <= before; };
    const bool repaired = co_await eventually(is_repaired);
    REQUIRE(repaired);
}

task<void> storm::start(place& here) {
    here.worker = here.make(++last_number_);
    (co_await here.worker.start()).value();
}

task<void> storm::kill(place& here) {
    here.worker.kill().value();
    const auto status = (co_await here.worker.join()).value();
    if (status.signal() == SIGKILL) {
        ++kills_[here.kind];
    } else if (!status.success()) {
        ++failures_;
    }
}

std::uint64_t storm_seed() {
    const char* const given = std::getenv("COPROC_TEST_SEED");
    if (given != nullptr) return std::strtoull(given, nullptr, 10);
    return std::random_device{}();
}

}  // namespace coproc::testing
