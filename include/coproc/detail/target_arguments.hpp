#pragma once
// The arguments of a target: what is kept of each, and how it is handed to the parameter.

#include <concepts>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace coproc::detail {

/// How an argument or parameter of type T is kept: by value; texts as std::string.
template <class T>
struct carried {
    using type = std::decay_t<T>;
};
template <class T>
    requires std::same_as<std::decay_t<T>, std::string_view> ||
             std::same_as<std::decay_t<T>, const char*> || std::same_as<std::decay_t<T>, char*>
struct carried<T> {
    using type = std::string;
};
template <class T>
using carried_t = typename carried<T>::type;

/// The parameter types of a function, or of a class with one operator().
template <class T>
struct parameters_of {
    static constexpr bool known = false;
};
template <class R, class... P>
struct parameters_of<R (*)(P...)> {
    static constexpr bool known = true;
    static constexpr std::size_t count = sizeof...(P);
    template <std::size_t I>
    using at = std::tuple_element_t<I, std::tuple<P...>>;
};
template <class R, class... P>
struct parameters_of<R (*)(P...) noexcept> : parameters_of<R (*)(P...)> {};
template <class C, class R, class... P>
struct parameters_of<R (C::*)(P...)> : parameters_of<R (*)(P...)> {};
template <class C, class R, class... P>
struct parameters_of<R (C::*)(P...) const> : parameters_of<R (*)(P...)> {};
template <class C, class R, class... P>
struct parameters_of<R (C::*)(P...) noexcept> : parameters_of<R (*)(P...)> {};
template <class C, class R, class... P>
struct parameters_of<R (C::*)(P...) const noexcept> : parameters_of<R (*)(P...)> {};
template <class T>
    requires requires { &T::operator(); }
struct parameters_of<T> : parameters_of<decltype(&T::operator())> {};

/// What is carried for each argument: its parameter's type, or its own for a generic target.
template <class Target, class Arguments, class Indices>
struct stored_arguments;
template <class Target, class... Args, std::size_t... I>
struct stored_arguments<Target, std::tuple<Args...>, std::index_sequence<I...>> {
    template <std::size_t Index, class Arg>
    static auto one() {
        using parameters = parameters_of<Target>;
        if constexpr (parameters::known) {
            if constexpr (Index < parameters::count) {
                return std::type_identity<carried_t<typename parameters::template at<Index>>>();
            } else {
                return std::type_identity<carried_t<Arg>>();
            }
        } else {
            return std::type_identity<carried_t<Arg>>();
        }
    }
    using type = std::tuple<typename decltype(one<I, Args>())::type...>;
};
template <class Target, class... Args>
using stored_t =
    typename stored_arguments<Target, std::tuple<Args...>, std::index_sequence_for<Args...>>::type;

/// Hands a kept argument over as an rvalue; to a parameter that is a C string, its characters.
template <class Target, std::size_t I, class Carried>
decltype(auto) pass(Carried& value) {
    if constexpr (std::same_as<Carried, std::string> && parameters_of<Target>::known) {
        using parameter = typename parameters_of<Target>::template at<I>;
        if constexpr (std::is_pointer_v<std::decay_t<parameter>>) {
            return value.c_str();
        } else {
            return std::move(value);
        }
    } else {
        return std::move(value);
    }
}

template <class Target, class Stored, std::size_t... I>
constexpr bool can_call(std::index_sequence<I...>) {
    return std::is_invocable_v<Target&, decltype(pass<Target, I>(
                                            std::declval<std::tuple_element_t<I, Stored>&>()))...>;
}
template <class Target, class Stored, std::size_t... I>
decltype(auto) call_target(Target& target, Stored& stored, std::index_sequence<I...>) {
    return std::invoke(target, pass<Target, I>(std::get<I>(stored))...);
}

}  // namespace coproc::detail
