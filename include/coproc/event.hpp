#pragma once
// event: a flag that any number of tasks in any number of processes wait for.
//
//   auto ready = coproc::event::create().value();
//   (co_await ready.wait()).value();          // here, and ready.set().value() in a child
//
// It is one eventfd: set is readable, everybody wakes, and nothing is shared that a dying process
// could leave half done. Copies are the same event; it travels as an argument or in a message.

#include <coproc/codec.hpp>
#include <coproc/detail/unique_fd.hpp>
#include <coproc/task.hpp>

#include <memory>

namespace coproc {

class event {
 public:
    /// Not set. Errors: std::errc::too_many_files_open.
    static result<event> create();

    /// Wakes everybody who waits, and lets through who comes. Setting it twice is setting it once.
    /// Cleared at once, before the waiters' loops have looked, it wakes nobody.
    result<void> set() const;
    /// Whoever comes from now on waits.
    result<void> clear() const;
    bool is_set() const noexcept;

    /// Suspends until the event is set; it stays set. The event object may be gone meanwhile.
    /// Cancellation: the event is as it was.
    [[nodiscard]] task<result<void>> wait() const;

 private:
    friend struct codec<event>;
    explicit event(detail::unique_fd fd);

    std::shared_ptr<const detail::unique_fd> fd_;
};

template <>
struct codec<event> {
    static void encode(encoder& into, const event& from);
    static result<event> decode(decoder& from);
};

}  // namespace coproc
