#pragma once
// condition: tasks in any number of processes wait, under a lock, for what others are going to do.
//
//   auto c = coproc::condition::create().value();
//   auto held = (co_await c.acquire()).value();
//   (co_await c.wait_for(held, [&] { return jobs > 0; })).value();    // here, and in another task
//   auto held = (co_await c.acquire()).value();  ++jobs;  c.notify().value();
//
// Copies are the same condition with the same lock; it travels, with its lock, as an argument or in
// a message on a connection. A notification is never lost with the one it was for: if he dies or is
// canceled before he has the lock again, the next one gets it. Who dies between his change and
// notify() has not notified: whoever takes the lock next is told by owner_died(), and may do it.

#include <coproc/codec.hpp>
#include <coproc/lock.hpp>
#include <coproc/task.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace coproc {

namespace detail {
class condition_object;
using condition_ref = std::shared_ptr<condition_object>;
}  // namespace detail

class condition {
 public:
    /// With a lock of its own. Errors: std::errc::too_many_files_open.
    static result<condition> create();
    /// With one that exists; several conditions may have the same.
    static result<condition> create(lock with);

    /// The lock's.
    [[nodiscard]] task<result<lock::guard>> acquire() const { return lock_.acquire(); }
    result<lock::guard> try_acquire() const { return lock_.try_acquire(); }

    /// Releases the lock, suspends until it is notified, and acquires the lock again: then
    /// held.owner_died() tells whether the one who had it last died with it.
    /// If it fails the lock is not held: `held` is as if it had been released.
    /// Requires: `held` has this condition's lock.
    /// Lifetime: `held` until the await ends.
    /// Cancellation: it does not wait for the lock, either.
    /// Errors: std::errc::operation_not_permitted if the lock is not held.
    [[nodiscard]] task<result<void>> wait(lock::guard& held) const;
    /// wait() for as long as `predicate()`, which is called with the lock held, is false.
    template <class Predicate>
        requires std::predicate<std::decay_t<Predicate>&>
    [[nodiscard]] task<result<void>> wait_for(lock::guard& held, Predicate&& predicate) const {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
        static_assert(
            std::is_lvalue_reference_v<Predicate> || std::is_trivially_destructible_v<Predicate>,
            "GCC 12 destroys a capturing lambda written inside a co_await expression twice: "
            "name it first, then pass the name");
#endif
        return wait_until<std::decay_t<Predicate>>(*this, held, std::forward<Predicate>(predicate));
    }

    /// Wakes the `count` that have waited longest, or as many as there are. Nobody else is woken.
    /// Errors: std::errc::operation_not_permitted if this process does not have the lock.
    result<void> notify(std::size_t count = 1) const;
    /// Wakes all who wait.
    result<void> notify_all() const;

 private:
    friend struct codec<condition>;
    condition(lock with, detail::condition_ref made) noexcept
        : lock_(std::move(with)), object_(std::move(made)) {}

    template <class Predicate>
    static task<result<void>> wait_until(condition self, lock::guard& held, Predicate predicate) {
        while (!predicate()) {
            COPROC_CO_TRY(co_await self.wait(held));
        }
        co_return success();
    }

    lock lock_;
    detail::condition_ref object_;
};

template <>
struct codec<condition> {
    static void encode(encoder& into, const condition& from);
    static result<condition> decode(decoder& from);
};

}  // namespace coproc
