#pragma once
// lock: mutual exclusion of tasks in any number of processes.
//
//   auto l = coproc::lock::create().value();
//   auto mine = (co_await l.acquire()).value();        // a guard: released when it is dropped
//   if (mine.owner_died()) …                           // what it protects is as the dead left it
//
// Copies are the same lock; it travels as an argument or in a message on a connection. Waiting
// tasks of one process come in order; among processes they take turns, but a task that does not
// have to wait may come first.

#include <coproc/codec.hpp>
#include <coproc/task.hpp>

#include <memory>
#include <utility>

namespace coproc {

namespace detail {
class lock_object;
using lock_ref = std::shared_ptr<lock_object>;
}  // namespace detail

class lock {
 public:
    class guard;

    /// Errors: std::errc::too_many_files_open.
    static result<lock> create();

    /// Suspends until nobody else has it, in this process or another.
    /// Cancellation: it is not acquired.
    [[nodiscard]] task<result<guard>> acquire() const;
    /// errc::would_block if somebody has it.
    result<guard> try_acquire() const;
    /// Whether somebody has it, at some moment.
    bool is_locked() const noexcept;

 private:
    friend struct codec<lock>;
    friend class condition;
    explicit lock(detail::lock_ref made) noexcept : object_(std::move(made)) {}
    /// Does this process have it?
    bool is_ours() const noexcept;

    detail::lock_ref object_;
};

/// Has the lock, until it is released, dropped, or its process ends.
class lock::guard {
 public:
    guard(guard&& other) noexcept = default;
    guard& operator=(guard&& other) noexcept {
        if (this == &other) return *this;
        drop();
        object_ = std::move(other.object_);
        owner_died_ = other.owner_died_;
        return *this;
    }
    ~guard() { drop(); }

    /// The one who had it before died with it. Only the first one after that is told.
    bool owner_died() const noexcept { return owner_died_; }
    /// Errors: errc::too_many_releases if it was released already.
    result<void> release();

 private:
    friend class lock;
    friend class condition;
    guard(detail::lock_ref held, bool owner_died) noexcept
        : object_(std::move(held)), owner_died_(owner_died) {}
    void drop() noexcept;

    detail::lock_ref object_;
    bool owner_died_;
};

template <>
struct codec<lock> {
    static void encode(encoder& into, const lock& from);
    static result<lock> decode(decoder& from);
};

}  // namespace coproc
