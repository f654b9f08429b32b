#pragma once
// Targets: what a process is started with. Both sides run the same executable, so code travels as a
// place in a module: a constant record for the target's type, and the function itself if the target
// is a pointer to one. The arguments travel by their codecs.

#include <coproc/codec.hpp>
#include <coproc/detail/code_place.hpp>
#include <coproc/detail/target_arguments.hpp>
#include <coproc/task.hpp>

#include <cstdint>
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

/// A target's own state travels unless it has none.
template <class Target>
result<Target> take_target(decoder& arguments) {
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

template <class Target>
void put_target(encoder& into, const Target& target) {
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
        check_returned<result_type>();
        COPROC_TRY(auto target, take_target<Target>(arguments));
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
        put_target(into, target_);
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

/// Can a process be started with these? Does not compile unless it can; says what to do.
template <class Target, class... Args>
constexpr bool check_start() {
    using plain = std::decay_t<Target>;
    using stored = stored_t<plain, std::decay_t<Args>...>;
    check_target<plain>();
    check_transferable<stored>();
    constexpr bool callable =
        can_call<plain, stored>(std::make_index_sequence<std::tuple_size_v<stored>>());
    static_assert(callable,
                  "the target cannot be called with these arguments: give one for each "
                  "parameter, defaults included; they are passed as rvalues, so parameters "
                  "are values or const references");
    constexpr bool storable = std::is_constructible_v<stored, Args&&...>;
    static_assert(storable || !callable,
                  "an argument cannot be converted to its parameter's type; one that cannot "
                  "be copied, such as a connection, is given away with std::move");
    return callable && storable && transferable<stored> && is_target<plain>;
}

}  // namespace coproc::detail
