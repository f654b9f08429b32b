#pragma once
// shared_value: one value that any number of processes read and replace, always as a whole.
//
//   auto total = coproc::shared_value<int>::create(0).value();
//   (co_await total.update([](int n) { return n + 1; })).value();    // in any process
//   std::cout << total.load();
//
// Copies are the same value; it travels as an argument or in a message on a connection. Reading
// needs no lock and never waits, whoever was killed or stopped in the middle of writing. Meant for
// values up to some pages; larger ones are better off in a shared_array.

#include <coproc/detail/in_place.hpp>
#include <coproc/task.hpp>

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

namespace coproc {

namespace detail {

class value_object;
using value_ref = std::shared_ptr<value_object>;

result<value_ref> make_shared_value(std::uint64_t type, std::span<const std::byte> initial);
void encode_shared_value(encoder& into, const value_ref& from);
result<value_ref> decode_shared_value(decoder& from, std::uint64_t type, std::size_t size);

/// A copy of the value; its version.
std::uint64_t read_value(const value_object& from, std::span<std::byte> into) noexcept;
/// Lifetime: `value` until the await ends.
task<result<void>> write_value(value_ref to, std::span<const std::byte> value);
result<void> try_write_value(value_object& to, std::span<const std::byte> value);
/// False if the value was not of that version any more.
/// Lifetime: `value` until the await ends.
task<result<bool>> replace_value(value_ref to, std::uint64_t version,
                                 std::span<const std::byte> value);

}  // namespace detail

template <class T>
class shared_value {
 public:
    using value_type = T;

    /// Errors: std::errc::too_many_files_open, std::errc::not_enough_memory.
    static result<shared_value> create(const T& initial) {
        detail::check_in_place<T>();
        COPROC_TRY(auto made, detail::make_shared_value(type(), bytes_of(initial)));
        return shared_value(std::move(made));
    }
    static result<shared_value> create() { return create(T{}); }

    /// Thread-safe.
    T load() const noexcept {
        std::uint64_t version = 0;
        return read(*object_, version);
    }
    /// Suspends while a process that has been stopped is in the middle of writing.
    /// Cancellation: it is not stored.
    [[nodiscard]] task<result<void>> store(const T& value) const {
        return store_in(object_, value);
    }
    /// errc::would_block instead.
    result<void> try_store(const T& value) const {
        return detail::try_write_value(*object_, bytes_of(value));
    }
    /// Replaces the value by `change(value)`, which is returned. Nobody has written in between: if
    /// somebody has, `change` is called again. Suspends as store does.
    /// Cancellation: nothing is replaced.
    template <class Change>
    [[nodiscard]] task<result<T>> update(Change&& change) const {
        static_assert(std::is_invocable_r_v<T, std::decay_t<Change>&, const T&>,
                      "coproc: update wants a function that takes the value, not to be changed, "
                      "and returns the new one");
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
        static_assert(
            std::is_lvalue_reference_v<Change> || std::is_trivially_destructible_v<Change>,
            "GCC 12 destroys a capturing lambda written inside a co_await expression "
            "twice: name it first, then pass the name");
#endif
        return update_in<std::decay_t<Change>>(object_, std::forward<Change>(change));
    }
    /// Stores `value`; what was there before.
    [[nodiscard]] task<result<T>> exchange(const T& value) const {
        return exchange_in(object_, value);
    }

 private:
    friend struct codec<shared_value>;
    explicit shared_value(detail::value_ref made) noexcept : object_(std::move(made)) {}
    static std::uint64_t type() { return detail::fingerprint<T>(); }
    static std::span<const std::byte> bytes_of(const T& value) noexcept {
        return std::as_bytes(std::span(&value, 1));
    }
    static T read(const detail::value_object& from, std::uint64_t& version) noexcept {
        std::array<std::byte, sizeof(T)> copy;
        version = detail::read_value(from, copy);
        return std::bit_cast<T>(copy);
    }

    // Coroutines that have what they use in their frames.
    static task<result<void>> store_in(detail::value_ref to, T value) {
        const auto stored = bytes_of(value);
        co_return co_await detail::write_value(std::move(to), stored);
    }
    template <class Change>
    static task<result<T>> update_in(detail::value_ref to, Change change) {
        while (true) {
            std::uint64_t version = 0;
            const T before = read(*to, version);
            const T after = std::invoke(change, before);
            const auto changed = bytes_of(after);
            COPROC_CO_TRY(const bool replaced,
                          co_await detail::replace_value(to, version, changed));
            if (replaced) co_return after;
        }
    }
    static task<result<T>> exchange_in(detail::value_ref to, T value) {
        std::optional<T> before;
        const auto change = [&before, &value](const T& now) {
            before.emplace(now);
            return value;
        };
        COPROC_CO_TRY(co_await update_in(std::move(to), change));
        co_return *before;
    }

    detail::value_ref object_;
};

template <class T>
struct codec<shared_value<T>> {
    static void encode(encoder& into, const shared_value<T>& from) {
        detail::encode_shared_value(into, from.object_);
    }
    static result<shared_value<T>> decode(decoder& from) {
        COPROC_TRY(auto opened,
                   detail::decode_shared_value(from, shared_value<T>::type(), sizeof(T)));
        return shared_value<T>(std::move(opened));
    }
};

}  // namespace coproc
