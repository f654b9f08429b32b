#pragma once
// shared_array: a fixed number of elements that any number of processes see and change, and a lock
// to take turns with.
//
//   auto totals = coproc::shared_array<int>::create(10).value();    // zeros
//   auto mine = (co_await totals.acquire()).value();
//   totals[3] += 1;                                                 // seen by all
//
// Copies are the same array; it travels as an argument or in a message on a connection. An element
// is where it is: nobody is kept from touching it without the lock, and a process that dies with
// the lock leaves the elements as they are (the guard's owner_died() says so to the next one). For
// a single value that is always whole see shared_value.

#include <coproc/detail/in_place.hpp>
#include <coproc/lock.hpp>
#include <coproc/shared_memory.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace coproc {

template <class T>
class shared_array {
 public:
    using value_type = T;

    /// `count` elements whose bytes are zeros.
    /// Errors: those of shared_memory and lock.
    static result<shared_array> create(std::size_t count) {
        detail::check_in_place<T>();
        static_assert(alignof(T) <= 4096, "coproc: shared memory begins with a page");
        if (count > SIZE_MAX / sizeof(T)) return std::errc::not_enough_memory;
        COPROC_TRY(auto memory, detail::make_memory(type(), count * sizeof(T)));
        COPROC_TRY(auto beside, lock::create());
        return shared_array(std::move(memory), std::move(beside));
    }

    /// Lifetime: as long as a copy of this object is there.
    std::span<T> elements() const noexcept {
        return {reinterpret_cast<T*>(block_.bytes.data()), size()};
    }
    T& operator[](std::size_t index) const noexcept {
        assert(index < size());
        return elements()[index];
    }
    std::size_t size() const noexcept { return block_.bytes.size() / sizeof(T); }
    T* begin() const noexcept { return elements().data(); }
    T* end() const noexcept { return begin() + size(); }

    /// The lock beside the elements, see lock.
    [[nodiscard]] task<result<lock::guard>> acquire() const { return lock_.acquire(); }
    result<lock::guard> try_acquire() const { return lock_.try_acquire(); }
    bool is_locked() const noexcept { return lock_.is_locked(); }

 private:
    friend struct codec<shared_array>;
    shared_array(detail::memory_block memory, lock beside) noexcept
        : block_(std::move(memory)), lock_(std::move(beside)) {}
    static std::uint64_t type() { return detail::fingerprint<shared_array>(); }

    detail::memory_block block_;
    lock lock_;
};

template <class T>
struct codec<shared_array<T>> {
    static void encode(encoder& into, const shared_array<T>& from) {
        detail::encode_memory(into, from.block_);
        codec<lock>::encode(into, from.lock_);
    }
    static result<shared_array<T>> decode(decoder& from) {
        COPROC_TRY(auto memory, detail::decode_memory(from, shared_array<T>::type()));
        COPROC_TRY(auto beside, codec<lock>::decode(from));
        return shared_array<T>(std::move(memory), std::move(beside));
    }
};

}  // namespace coproc
