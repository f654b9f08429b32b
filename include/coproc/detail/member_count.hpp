#pragma once
// How many members an aggregate has. Counted here and not by PFR, which stops the compiler where
// we want to say one sentence (base classes), and takes the elements of built-in arrays for
// members.

#include <cstddef>
#include <type_traits>
#include <utility>

namespace coproc::detail {

// NOLINTBEGIN(google-explicit-constructor): probes convert by themselves

/// An initializer that becomes whatever a member wants, but does not bind to a reference member.
struct any_value {
    template <class U>
        requires(!std::is_const_v<U>)
    operator U&&() const&& noexcept;
};

template <class T>
struct any_base_of {
    template <class U>
        requires(std::is_base_of_v<U, T> && !std::is_same_v<U, T>)
    operator U() const noexcept;
};
// NOLINTEND(google-explicit-constructor)

template <class T>
concept has_base = requires { T{any_base_of<T>{}}; } || requires { T{{}, any_base_of<T>{}}; };

template <class T>
concept plain_aggregate = std::is_class_v<T> && std::is_aggregate_v<T> && !has_base<T>;

template <std::size_t>
using any_value_at = any_value;

template <class T, std::size_t... I>
constexpr bool takes(std::index_sequence<I...>) {
    return requires { T{any_value_at<I>{}...}; };
}
/// Can T be made from N initializers, a built-in array counting as its elements?
template <class T, std::size_t N>
inline constexpr bool takes_n = takes<T>(std::make_index_sequence<N>{});

template <class T, std::size_t... I, std::size_t... K, std::size_t... R>
constexpr bool takes_nested(std::index_sequence<I...>, std::index_sequence<K...>,
                            std::index_sequence<R...>) {
    return requires { T{any_value_at<I>{}..., {any_value_at<K>{}...}, any_value_at<R>{}...}; };
}
/// The same with K of the initializers in braces of their own, and Rest behind them.
template <class T, std::size_t Before, std::size_t K, std::size_t Rest>
inline constexpr bool takes_braced =
    takes_nested<T>(std::make_index_sequence<Before>{}, std::make_index_sequence<K>{},
                    std::make_index_sequence<Rest>{});

inline constexpr std::size_t unknown = static_cast<std::size_t>(-1);

/// The largest number that Takes accepts. The accepted numbers must be one interval, and Good one
/// of them; found by doubled steps, then by bisection.
template <template <std::size_t> class Takes, std::size_t Good, std::size_t Bad>
consteval std::size_t bisect() {
    if constexpr (Good + 1 == Bad)
        return Good;
    else if constexpr (Takes<Good + (Bad - Good) / 2>::value) {
        return bisect<Takes, Good + (Bad - Good) / 2, Bad>();
    } else {
        return bisect<Takes, Good, Good + (Bad - Good) / 2>();
    }
}
template <template <std::size_t> class Takes, std::size_t Good, std::size_t Step = 1>
consteval std::size_t largest() {
    if constexpr (Takes<Good + Step>::value)
        return largest<Takes, Good + Step, 2 * Step>();
    else
        return bisect<Takes, Good, Good + Step>();
}

/// Too few initializers are refused only while a member that must have one has none, so the
/// numbers that T takes are one interval.
template <class T>
struct initializer_count {
    template <std::size_t N>
    using takes = std::bool_constant<takes_n<T, N>>;

    template <std::size_t N>
    static consteval std::size_t from() {
        if constexpr (takes_n<T, N>)
            return largest<takes, N>();
        else if constexpr (N > sizeof(T))
            return unknown;
        else
            return from<N + 1>();
    }
};
template <class T>
inline constexpr std::size_t initializers = initializer_count<T>::template from<0>();

/// How many initializers the member swallows that begins at the First: one, but a built-in array
/// one for each element. An array of K takes K in braces, and not more than the rest behind them.
template <class T, std::size_t First>
struct swallowed_initializers {
    static constexpr std::size_t left = initializers<T> - First;
    template <std::size_t K>
    using takes = std::bool_constant<(K <= left && takes_braced<T, First, K, 0>)>;

    static consteval std::size_t count() {
        if constexpr (left < 2 || !takes<2>::value || takes_braced<T, First, 2, left - 1>) {
            return 1;
        } else {
            constexpr std::size_t most = largest<takes, 2>();
            return takes_braced<T, First, most, left - most + 1> ? 1 : most;
        }
    }
};
template <class T, std::size_t First>
inline constexpr std::size_t swallows = swallowed_initializers<T, First>::count();

template <class T, std::size_t First = 0>
consteval std::size_t count_members() {
    if constexpr (First == initializers<T>)
        return 0;
    else
        return 1 + count_members<T, First + swallows<T, First>>();
}

// Only braces let the elements of a built-in array stand in for it: where parentheses do as
// well, which is nearly always, nothing has to be searched.
template <class T, std::size_t... I>
constexpr bool takes_in_parentheses(std::index_sequence<I...>) {
    return std::is_constructible_v<T, any_value_at<I>...>;
}
template <class T>
inline constexpr std::size_t member_count = [] {
    if constexpr (initializers<T> == unknown)
        return unknown;
    else if constexpr (takes_in_parentheses<T>(std::make_index_sequence<initializers<T>>{})) {
        return initializers<T>;
    } else {
        return count_members<T>();
    }
}();

}  // namespace coproc::detail
