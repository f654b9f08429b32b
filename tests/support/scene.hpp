#pragma once
// A process that is killed at any instruction of what it does, while another one sleeps: in this
// process, whose loop stands still until the victim is dead.

#include <coproc/connection.hpp>
#include <coproc/runtime.hpp>
#include <coproc/timeout.hpp>

#include "shared/participant.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace coproc::testing {

inline constexpr detail::participant victim = 4711;

template <class T>
task<T> sent_and_received(const T& one) {
    auto ends = pipe().value();
    auto sent = co_await ends.first.send(one);
    sent.value();
    auto received = co_await ends.second.template recv<T>();
    co_return std::move(received).value();
}

/// In a child: becomes the victim, whose loop does `work()` from a mark on, and leaves with 0.
[[noreturn]] void live_as_victim(const std::function<task<void>()>& work);

/// What the victim does, and what becomes of it afterwards; made anew for each death.
class scene {
 public:
    explicit scene(runtime& home) : home_(&home) {}
    scene(const scene&) = delete;
    scene& operator=(const scene&) = delete;
    virtual ~scene() = default;

    /// In the victim.
    virtual task<void> work() = 0;
    /// Makes what the victim sleeps for happen; false if that is not possible now.
    virtual bool happen() { return true; }
    /// The victim has died, or done its work: nobody has repaired yet.
    virtual void look() {}
    /// Everything goes on, with no help but the repair.
    virtual task<void> check(bool killed) = 0;

    /// The other one comes, and goes to sleep if it has to.
    void enter_other();

 protected:
    /// What came of it.
    virtual task<result<std::string>> other() = 0;
    task<std::string> outcome_of_other();

    /// Opened once more, so that the victim's copy has nothing to do with the other's.
    template <class T>
    T opened_again(const T& one) {
        return home_->run(sent_and_received(one));
    }

 private:
    runtime* home_;
    std::optional<spawned<result<std::string>>> other_;
};

/// Kills the victim of a scene made by `make`, at some instructions or, in the long tests, at every
/// one.
void kill_in(const std::string& name,
             const std::function<std::unique_ptr<scene>(runtime& home)>& make);

/// Kills the victim at some instructions, and then one who repairs after it, at some of his.
void kill_repairers_in(const std::string& name,
                       const std::function<std::unique_ptr<scene>(runtime& home)>& make);

/// Makes what the victim waits for happen at these instructions instead: it has to see it.
void surprise_in(const std::function<std::unique_ptr<scene>(runtime& home)>& make);

}  // namespace coproc::testing
