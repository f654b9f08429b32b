#pragma once
// recursive_lock: a lock that whoever has it may take again.
//
//   auto l = coproc::recursive_lock::create().value();
//   auto mine = (co_await l.acquire()).value();
//   co_await append(mine.again(), line);               // has it, too, without waiting
//
// The owner is the guard: no thread and no task, which coroutines of one loop could not be told
// apart by. So a function that needs the lock takes a guard, and one that has a guard makes
// another of it. Copies are the same lock; it travels as an argument or in a message on a
// connection.

#include <coproc/codec.hpp>
#include <coproc/lock.hpp>
#include <coproc/task.hpp>

#include <cassert>
#include <memory>
#include <utility>

namespace coproc {

class recursive_lock {
 public:
    class guard;

    /// Errors: std::errc::too_many_files_open.
    static result<recursive_lock> create();

    /// Suspends until nobody has it, in this process or another; also if the caller has a guard.
    /// Cancellation: it is not acquired.
    [[nodiscard]] task<result<guard>> acquire() const;
    /// errc::would_block if somebody has it.
    result<guard> try_acquire() const;
    /// Whether somebody has it, at some moment.
    bool is_locked() const noexcept { return lock_.is_locked(); }

 private:
    friend struct codec<recursive_lock>;
    explicit recursive_lock(lock made) noexcept : lock_(std::move(made)) {}

    lock lock_;
};

/// Has the lock together with those that were made from it, in any order: it is released when the
/// last of them is released or dropped, or when their process ends.
class recursive_lock::guard {
 public:
    guard(guard&& other) noexcept = default;
    guard& operator=(guard&& other) noexcept = default;
    ~guard() = default;

    /// Another one.
    /// Requires: this one has not been released.
    guard again() const {
        assert(held_);
        return guard(held_);
    }
    /// The one who had it before died with it; the same for all that were made from one.
    bool owner_died() const noexcept { return held_ && held_->owner_died(); }
    /// Errors: errc::too_many_releases if this one was released already.
    result<void> release();

 private:
    friend class recursive_lock;
    explicit guard(std::shared_ptr<lock::guard> held) noexcept : held_(std::move(held)) {}

    std::shared_ptr<lock::guard> held_;
};

template <>
struct codec<recursive_lock> {
    static void encode(encoder& into, const recursive_lock& from);
    static result<recursive_lock> decode(decoder& from);
};

}  // namespace coproc
