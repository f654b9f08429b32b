#pragma once
// What a thing gives when it is awaited as an rvalue: tasks, operations, spawned handles alike.

#include <coproc/result.hpp>

#include <algorithm>
#include <exception>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

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

/// Has nothing but cancellation come of it? So that a limit of time can say so of what several
/// waits have given: of the one that has ended first, and of several if no single one has given
/// more.
template <class T>
struct cut_short {
    static bool is(const T& /*value*/) noexcept { return false; }
};
template <class T>
struct cut_short<result<T>> {
    static bool is(const result<T>& value) noexcept {
        if (!value) return value.error() == errc::canceled;
        if constexpr (std::is_void_v<T>) {
            return false;
        } else {
            return cut_short<T>::is(value.value());
        }
    }
};
template <class... T>
struct cut_short<std::variant<T...>> {
    static bool is(const std::variant<T...>& first) noexcept {
        return std::visit([]<class Value>(const Value& it) { return cut_short<Value>::is(it); },
                          first);
    }
};
template <class... T>
    requires(sizeof...(T) > 0)
struct cut_short<std::tuple<T...>> {
    static bool is(const std::tuple<T...>& all) noexcept {
        return std::apply([](const T&... each) { return (cut_short<T>::is(each) && ...); }, all);
    }
};
template <class T>
struct cut_short<std::vector<T>> {
    static bool is(const std::vector<T>& all) noexcept {
        return !all.empty() && std::all_of(all.begin(), all.end(), &cut_short<T>::is);
    }
};

/// Is it the std::system_error that value() throws for errc::canceled? Cancellation is
/// cancellation, whether it travels as a result or as an exception.
bool is_cancellation(const std::exception_ptr& exception) noexcept;

}  // namespace coproc::detail
