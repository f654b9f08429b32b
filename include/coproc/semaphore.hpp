#pragma once
// semaphore: a number of permits for tasks in any number of processes.
//
//   auto s = coproc::semaphore::create(3).value();
//   auto permit = (co_await s.acquire()).value();      // given back when it is dropped
//
// Copies are the same semaphore; it travels as an argument or in a message on a connection. The
// permits of a process that dies come back.

#include <coproc/codec.hpp>
#include <coproc/task.hpp>

#include <cstddef>
#include <memory>
#include <utility>

namespace coproc {

namespace detail {
class semaphore_object;
using semaphore_ref = std::shared_ptr<semaphore_object>;
}  // namespace detail

class semaphore {
 public:
    class permit;

    /// Errors: std::errc::too_many_files_open.
    static result<semaphore> create(std::size_t permits = 1);

    /// Suspends until there is a permit.
    /// Cancellation: none is taken.
    [[nodiscard]] task<result<permit>> acquire() const;
    /// errc::would_block if there is none.
    result<permit> try_acquire() const;
    /// One permit more, also by a process that has none.
    /// Errors: errc::too_many_releases of a bounded_semaphore that has all it was created with.
    result<void> release() const;
    /// How many permits there are, at some moment.
    std::size_t value() const noexcept;

 protected:
    explicit semaphore(detail::semaphore_ref made) noexcept : object_(std::move(made)) {}
    static result<detail::semaphore_ref> make(std::size_t permits, bool bounded);

 private:
    friend struct codec<semaphore>;
    friend struct codec<class bounded_semaphore>;
    detail::semaphore_ref object_;
};

/// One that never has more permits than at first: a release too many is an error.
class bounded_semaphore : public semaphore {
 public:
    static result<bounded_semaphore> create(std::size_t permits = 1);

 private:
    friend struct codec<bounded_semaphore>;
    explicit bounded_semaphore(detail::semaphore_ref made) noexcept : semaphore(std::move(made)) {}
};

/// Held until it is released, dropped, or its process ends.
class semaphore::permit {
 public:
    permit(permit&& other) noexcept = default;
    permit& operator=(permit&& other) noexcept {
        if (this == &other) return *this;
        drop();
        object_ = std::move(other.object_);
        return *this;
    }
    ~permit() { drop(); }

    /// Errors: errc::too_many_releases if it was released already.
    result<void> release();

 private:
    friend class semaphore;
    explicit permit(detail::semaphore_ref of) noexcept : object_(std::move(of)) {}
    void drop() noexcept;

    detail::semaphore_ref object_;
};

template <>
struct codec<semaphore> {
    static void encode(encoder& into, const semaphore& from);
    static result<semaphore> decode(decoder& from);
};
template <>
struct codec<bounded_semaphore> {
    static void encode(encoder& into, const bounded_semaphore& from);
    static result<bounded_semaphore> decode(decoder& from);
};

}  // namespace coproc
