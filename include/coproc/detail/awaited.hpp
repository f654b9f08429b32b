#pragma once
// What a thing gives when it is awaited as an rvalue: tasks, operations, spawned handles alike.

#include <coproc/result.hpp>

#include <exception>
#include <functional>
#include <type_traits>
#include <utility>
#include <variant>

namespace coproc::detail {

template <class T>
decltype(auto) awaiter_of(T&& awaitable) {
    if constexpr (requires { std::forward<T>(awaitable).operator co_await(); }) {
        return std::forward<T>(awaitable).operator co_await();
    } else if constexpr (requires { operator co_await(std::forward<T>(awaitable)); }) {
        return operator co_await(std::forward<T>(awaitable));
    } else {
        return std::forward<T>(awaitable);
    }
}

template <class T>
concept awaitable = requires(T&& object) { awaiter_of(std::forward<T>(object)).await_resume(); };

template <awaitable T>
using awaited_t = decltype(awaiter_of(std::declval<T>()).await_resume());

template <class T>
struct kept {
    using type = T;
};
template <>
struct kept<void> {
    using type = std::monostate;
};
template <class T>
struct kept<T&> {
    using type = std::reference_wrapper<T>;
};

/// awaited_t as something that can be kept: monostate for void, reference_wrapper for references.
template <awaitable T>
using kept_t = typename kept<awaited_t<T>>::type;

/// Is it the std::system_error that value() throws for errc::canceled? Cancellation is
/// cancellation, whether it travels as a result or as an exception.
bool is_cancellation(const std::exception_ptr& exception) noexcept;

}  // namespace coproc::detail
