#pragma once
// barrier: so many parties, tasks in any number of processes, wait until all of them have come.
//
//   auto b = coproc::barrier::create(4).value();
//   (co_await b.wait()).value();                       // goes on with the other three, again and
//   again
//
// Copies are the same barrier; it travels as an argument or in a message on a connection. Nobody
// waits in vain: when a party gives up or dies the barrier is broken, and all are told.

#include <coproc/codec.hpp>
#include <coproc/task.hpp>

#include <cstddef>
#include <memory>
#include <utility>

namespace coproc {

namespace detail {
class barrier_object;
using barrier_ref = std::shared_ptr<barrier_object>;
}  // namespace detail

class barrier {
 public:
    /// Errors: std::errc::invalid_argument for no parties; std::errc::too_many_files_open.
    static result<barrier> create(std::size_t parties);

    /// Suspends until as many wait as there are parties; then all go on, each with another number
    /// below parties(), and the next round begins.
    /// Cancellation: breaks the barrier, like a timeout; a wait whose round is complete succeeds.
    /// Errors: errc::broken_barrier if it is broken, or is broken or reset before all have come.
    [[nodiscard]] task<result<std::size_t>> wait() const;
    /// Breaks it: those who wait, and those who will, get errc::broken_barrier.
    result<void> abort() const;
    /// Makes it whole. Those who wait get errc::broken_barrier.
    result<void> reset() const;

    std::size_t parties() const noexcept;
    /// How many wait, at some moment.
    std::size_t waiting() const noexcept;
    bool broken() const noexcept;

 private:
    friend struct codec<barrier>;
    explicit barrier(detail::barrier_ref made) noexcept : object_(std::move(made)) {}

    detail::barrier_ref object_;
};

template <>
struct codec<barrier> {
    static void encode(encoder& into, const barrier& from);
    static result<barrier> decode(decoder& from);
};

}  // namespace coproc
