// Locks and semaphores when a process that has one, or waits for it, dies at any instruction.

#include <coproc/lock.hpp>
#include <coproc/semaphore.hpp>

#include "support/catch.hpp"
#include "support/scene.hpp"

#include <memory>
#include <optional>
#include <string>

using coproc::bounded_semaphore;
using coproc::lock;
using coproc::result;
using coproc::runtime;
using coproc::semaphore;
using coproc::task;
using coproc::testing::scene;

namespace {

enum class at_first { free, taken };

class locking : public scene {
 public:
    locking(runtime& home, at_first state) : scene(home), others_(opened_again(lock_)) {
        if (state == at_first::taken) mine_.emplace(others_.try_acquire().value());
    }
    task<void> work() override {
        auto held = (co_await lock_.acquire()).value();
        held.release().value();
    }
    bool happen() override {
        if (mine_ && !mine_->release()) return false;
        mine_.reset();
        return true;
    }
    void look() override { victim_had_it_ = !mine_ && lock_.is_locked(); }
    task<void> check(bool killed) override {
        CHECK((killed || !victim_had_it_));
        mine_.reset();
        const std::string told = co_await outcome_of_other();
        CHECK(told == (victim_had_it_ ? "owner died" : ""));
        CHECK_FALSE(lock_.is_locked());
        CHECK_FALSE(lock_.try_acquire().value().owner_died());
    }

 private:
    task<result<std::string>> other() override {
        COPROC_CO_TRY(const auto held, co_await others_.acquire());
        co_return held.owner_died() ? std::string("owner died") : std::string();
    }
    lock lock_ = lock::create().value();
    lock others_;
    std::optional<lock::guard> mine_;
    bool victim_had_it_ = false;
};

/// The other one acquires a permit.
template <class Semaphore>
class with_semaphore : public scene {
 protected:
    with_semaphore(runtime& home, std::size_t permits)
        : scene(home),
          semaphore_(Semaphore::create(permits).value()),
          others_(opened_again(semaphore_)) {}

    Semaphore semaphore_;
    Semaphore others_;

 private:
    task<result<std::string>> other() override {
        COPROC_CO_TRY(co_await others_.acquire());
        co_return std::string();
    }
};

template <class Semaphore>
class counting : public with_semaphore<Semaphore> {
    using with_semaphore<Semaphore>::semaphore_;
    using with_semaphore<Semaphore>::others_;

 public:
    counting(runtime& home, at_first state) : with_semaphore<Semaphore>(home, 1) {
        if (state == at_first::taken) mine_.emplace(others_.try_acquire().value());
    }
    task<void> work() override {
        auto held = co_await semaphore_.acquire();
        held.value().release().value();
    }
    bool happen() override {
        if (mine_ && !mine_->release()) return false;
        mine_.reset();
        return true;
    }
    task<void> check(bool) override {
        mine_.reset();
        co_await this->outcome_of_other();
        CHECK(semaphore_.value() == 1);
        CHECK(semaphore_.try_acquire().has_value());
    }

 private:
    std::optional<semaphore::permit> mine_;
};

/// The other one waits for a permit, and the victim, which has none, makes one more.
class giving : public with_semaphore<semaphore> {
 public:
    explicit giving(runtime& home) : with_semaphore(home, 0) { enter_other(); }
    task<void> work() override {
        semaphore_.release().value();
        co_return;
    }
    void look() override { given_ = semaphore_.value() == 1; }
    task<void> check(bool killed) override {
        CHECK((killed || given_));
        if (!given_) co_await work();
        co_await outcome_of_other();
        CHECK(semaphore_.value() == 1);
    }

 private:
    bool given_ = false;
};

/// The victim releases a permit that it has not got, and that another one is asleep for; after that
/// the one who has it has one too many.
class releasing : public with_semaphore<bounded_semaphore> {
 public:
    explicit releasing(runtime& home) : with_semaphore(home, 1) {
        mine_.emplace(others_.try_acquire().value());
        enter_other();
    }
    task<void> work() override {
        semaphore_.release().value();
        co_return;
    }
    void look() override { is_released_ = semaphore_.value() == 1; }
    task<void> check(bool killed) override {
        CHECK((killed || is_released_));
        if (!is_released_) mine_->release().value();
        co_await outcome_of_other();
        CHECK(semaphore_.value() == 1);
        if (is_released_) CHECK(mine_->release().error() == coproc::errc::too_many_releases);
        CHECK(semaphore_.release().error() == coproc::errc::too_many_releases);
        CHECK(semaphore_.value() == 1);
    }

 private:
    std::optional<semaphore::permit> mine_;
    bool is_released_ = false;
};

template <class Scene, class Setting>
void kill_in(const char* name, Setting setting) {
    coproc::testing::kill_in(name,
                             [&](runtime& home) { return std::make_unique<Scene>(home, setting); });
}

template <class Scene, class Setting>
void kill_repairers_in(const char* name, Setting setting) {
    coproc::testing::kill_repairers_in(
        name, [&](runtime& home) { return std::make_unique<Scene>(home, setting); });
}

}  // namespace

TEST_CASE("lock: its owner, or one who waits for it, is killed at any instruction",
          "[lock][process][long]") {
    kill_in<locking>("free", at_first::free);
    kill_in<locking>("waited for", at_first::taken);
}

TEST_CASE("semaphore: one who has a permit, or waits for it, is killed at any instruction",
          "[semaphore][process][long]") {
    kill_in<counting<semaphore>>("free", at_first::free);
    kill_in<counting<semaphore>>("waited for", at_first::taken);
    kill_in<counting<bounded_semaphore>>("bounded, free", at_first::free);
    kill_in<counting<bounded_semaphore>>("bounded, waited for", at_first::taken);
}

TEST_CASE("semaphore: one who releases a bounded one is killed at any instruction",
          "[semaphore][process][long]") {
    coproc::testing::kill_in("another one's permit",
                             [](runtime& home) { return std::make_unique<releasing>(home); });
}

TEST_CASE("semaphore: one who releases what he never had is killed at any instruction",
          "[semaphore][process][long]") {
    coproc::testing::kill_in("released",
                             [](runtime& home) { return std::make_unique<giving>(home); });
}

TEST_CASE("lock: killed in the middle of repairing after somebody who was killed",
          "[lock][process][long]") {
    kill_repairers_in<locking>("free", at_first::free);
    kill_repairers_in<locking>("waited for", at_first::taken);
}

TEST_CASE("semaphore: killed in the middle of repairing after somebody who was killed",
          "[semaphore][process][long]") {
    kill_repairers_in<counting<semaphore>>("free", at_first::free);
    kill_repairers_in<counting<semaphore>>("waited for", at_first::taken);
    kill_repairers_in<counting<bounded_semaphore>>("bounded", at_first::taken);
}

TEST_CASE("lock: what is released while one is about to sleep is not slept through",
          "[lock][semaphore][process][long]") {
    coproc::testing::surprise_in(
        [](runtime& home) { return std::make_unique<locking>(home, at_first::taken); });
    coproc::testing::surprise_in(
        [](runtime& home) { return std::make_unique<counting<semaphore>>(home, at_first::taken); });
}
