#pragma once
// Targets: what a process is started with. Both sides run the same executable, so code travels as a
// place in a module: a constant record for the target's type, and the function itself if the target
// is a pointer to one. The arguments travel by their codecs.

#include <coproc/codec.hpp>
#include <coproc/detail/code_place.hpp>
#include <coproc/task.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace coproc::detail {

/// What the child's bootstrap does for a target.
struct target_caller {
    /// The arguments have been decoded: their message is no longer needed.
    void (*arguments_decoded)() noexcept;
    /// Runs a coroutine target to its end.
    result<int> (*run)(task<result<int>> body);
};

/// Decodes the arguments and calls the target. Exceptions of the target come out; a failure is a
/// message that cannot be decoded, or a failed result of the target.
using target_entry = result<int> (*)(decoder& arguments, const target_caller& caller);

/// One constant for each target and argument list; its address is what travels.
struct target_record {
    static constexpr std::uint64_t expected_magic = 0x636f70726f633031;  // "coproc01"
    std::uint64_t magic;
    const std::type_info* type;
    target_entry entry;
    bool is_coroutine;
};

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

/// void, int, and their results, as what they mean: an exit code.
template <class T>
inline constexpr bool is_exit_value =
    std::is_void_v<T> || (std::is_integral_v<T> && std::is_convertible_v<T, int>);
template <class T>
inline constexpr bool is_exit_value<result<T>> = is_exit_value<T>;

template <class T>
result<int> to_exit_code(T&& value) {
    using plain = std::remove_cvref_t<T>;
    if constexpr (is_result_v<plain>) {
        if (!value) return std::forward<T>(value).error();
        if constexpr (std::is_void_v<typename unwrap_result<plain>::type>) {
            return 0;
        } else {
            return static_cast<int>(value.value());
        }
    } else {
        return static_cast<int>(value);
    }
}

template <class T>
task<result<int>> to_exit_task(task<T> body) {
    if constexpr (std::is_void_v<T>) {
        co_await std::move(body);
        co_return 0;
    } else {
        T value = co_await std::move(body);
        co_return to_exit_code(std::move(value));
    }
}

template <class Target>
inline constexpr bool is_function_pointer =
    std::is_pointer_v<Target> && std::is_function_v<std::remove_pointer_t<Target>>;

/// How the child calls a Target with Stored arguments.
template <class Target, class Stored>
struct entry_of {
    static constexpr auto indices = std::make_index_sequence<std::tuple_size_v<Stored>>();
    using result_type =
        decltype(call_target(std::declval<Target&>(), std::declval<Stored&>(), indices));
    static_assert(is_exit_value<result_type> || like_task<result_type>,
                  "a target returns void, an integer (its exit code), a result or a task of these; "
                  "other values come back through a connection");

    static result<int> run(decoder& arguments, const target_caller& caller) {
        COPROC_TRY(auto target, take_target(arguments));
        COPROC_TRY(auto stored, arguments.template get<Stored>());
        COPROC_TRY(arguments.finish());
        caller.arguments_decoded();
        if constexpr (like_task<result_type>) {
            return caller.run(to_exit_task(as_task(call_target(target, stored, indices))));
        } else if constexpr (std::is_void_v<result_type>) {
            call_target(target, stored, indices);
            return 0;
        } else {
            return to_exit_code(call_target(target, stored, indices));
        }
    }

    /// A target's own state travels unless it has none.
    static result<Target> take_target(decoder& arguments) {
        if constexpr (is_function_pointer<Target>) {
            COPROC_TRY(const auto place, arguments.template get<code_place>());
            COPROC_TRY(const void* function, function_at(place));
            return reinterpret_cast<Target>(const_cast<void*>(function));
        } else if constexpr (std::is_empty_v<Target>) {
            return Target{};
        } else {
            return arguments.template get<Target>();
        }
    }

    static void put_target(encoder& into, const Target& target) {
        if constexpr (is_function_pointer<Target>) {
            auto place = place_of(reinterpret_cast<const void*>(target));
            if (place) {
                into.put(place.value());
            } else {
                into.fail(place.error());
            }
        } else if constexpr (!std::is_empty_v<Target>) {
            into.put(target);
        }
    }

    static constexpr target_record record{target_record::expected_magic,
                                          &typeid(std::pair<Target, Stored>), &run,
                                          like_task<result_type>};
};

/// A target with its arguments, kept until a child has them.
class start_request {
 public:
    explicit start_request(const target_record& record) noexcept : record_(&record) {}
    virtual ~start_request() = default;
    const target_record& record() const noexcept { return *record_; }
    virtual void encode(encoder& into) const = 0;

 private:
    const target_record* record_;
};

template <class Target, class Stored>
class start_request_of final : public start_request {
 public:
    template <class... Args>
    explicit start_request_of(Target target, Args&&... args)
        : start_request(entry_of<Target, Stored>::record),
          target_(std::move(target)),
          arguments_(std::forward<Args>(args)...) {}

    void encode(encoder& into) const override {
        entry_of<Target, Stored>::put_target(into, target_);
        into.put(arguments_);
    }

 private:
    Target target_;
    Stored arguments_;
};

/// Where a record is, and that it is the one that the parent means.
struct record_place {
    code_place place;
    std::uint64_t type;
};
result<record_place> place_of(const target_record& record);
/// Errors: as function_at; errc::unknown_target if there is no such record.
result<const target_record*> record_at(const record_place& place);

template <class Target>
inline constexpr bool is_target =
    is_function_pointer<Target> || std::is_empty_v<Target> || transferable<Target>;

template <class Target>
constexpr void check_target() {
    static_assert(is_target<Target>,
                  "a target is a function, a class without state or an aggregate with operator(); "
                  "a capturing lambda cannot travel: give what it captures as arguments");
}

}  // namespace coproc::detail
