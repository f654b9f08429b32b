#pragma once
// call: one function in a fresh child process, its value or its exception back.
//
//   auto words = co_await coproc::call(count_words, path);                 // result<std::size_t>
//   auto image = co_await coproc::timeout(2s, coproc::call({.name = "decoder"}, decode, file));
//
// The child may crash, leak, hang or be killed: the caller gets an error, and when the await ends
// there is no child any more. Work that is not trusted is called with plain arguments (no queue,
// lock or shared memory among them), .method = start_method::spawn and a timeout: what comes back
// is checked as every message is.

#include <coproc/detail/call_target.hpp>
#include <coproc/detail/check_temporary.hpp>
#include <coproc/detail/use_message.hpp>
#include <coproc/process_options.hpp>
#include <coproc/task.hpp>

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace coproc {

namespace detail {

class child;

/// A child that has not been started, and what it will be asked.
class prepared_call {
 public:
    prepared_call(const process_options& options, std::unique_ptr<call_request> request);
    /// The answer, which must be of this type, goes to `use`.
    static task<result<void>> run(prepared_call self, std::uint64_t type, use_message use,
                                  void* argument);

 private:
    call_request* request_;  // the child's, until it has been started
    std::shared_ptr<child> child_;
};

template <class Value>
task<result<Value>> await_call(prepared_call made) {
    if constexpr (std::is_void_v<Value>) {
        const auto nothing = [](void*, decoder& answer) { return answer.finish(); };
        co_return co_await prepared_call::run(std::move(made), fingerprint<void>(), nothing,
                                              nullptr);
    } else {
        std::optional<Value> value;
        COPROC_CO_TRY(co_await prepared_call::run(std::move(made), fingerprint<Value>(),
                                                  decode_into<Value>, &value));
        co_return std::move(*value);
    }
}

template <class T>
inline constexpr bool is_moving = false;
template <class T>
inline constexpr bool is_moving<moving_t<T>> = true;

/// An argument as it was meant: given away if it is moving(name).
template <class T>
decltype(auto) given(std::remove_reference_t<T>& value) noexcept {
    if constexpr (is_moving<std::remove_cvref_t<T>>) {
        return value.take();
    } else {
        return static_cast<T&&>(value);
    }
}
template <class T>
using given_t = decltype(given<T>(std::declval<std::remove_reference_t<T>&>()));

/// void if it cannot be called, which is complained of elsewhere.
template <class Function, class... Args>
constexpr auto called_with() {
    using stored = stored_t<Function, std::decay_t<Args>...>;
    if constexpr (can_call<Function, stored>(std::index_sequence_for<Args...>())) {
        return std::type_identity<typename call_entry_of<Function, stored>::value_type>();
    } else {
        return std::type_identity<void>();
    }
}
template <class Function, class... Args>
using called_t = typename decltype(called_with<std::decay_t<Function>, given_t<Args>...>())::type;

template <class T>
constexpr void check_call_temporary() {
    if constexpr (!std::is_reference_v<T>) check_temporary<T>();
}

template <class Value>
constexpr bool check_answer() {
    if constexpr (std::is_void_v<Value>) {
        return true;
    } else {
        check_transferable<Value>();
        static_assert(transferable<Value>,
                      "the value of a function that is called in a child has to travel back");
        return transferable<Value>;
    }
}

}  // namespace detail

/// Calls `function(args…)` in a child that is started for it and ends with it. The function is what
/// a process's target is, except for what it returns: a T, result<T>, task<T> or task<result<T>>
/// gives result<T>, for every T that may travel, and void. The arguments are converted to its
/// parameter types and copied, or moved, at once; what cannot be copied is given away with
/// std::move or moving(name), for good.
/// Completes when the value has come and the child has ended. How a child ends that has given its
/// value is only logged; processes that it has made by other means than coproc are not waited for.
/// Cancellation: the child is killed, and has ended; if its value had come, that is the value. One
/// that cannot be killed (it has executed a set-uid program), or has not ended after 5 s, is left
/// to the runtime; one that the fork server was still making is killed when it comes.
/// Errors: what the function threw or failed with, with child_type(), child_message() and
/// child_pid(); its code is that of the failed result or std::system_error, otherwise
/// errc::child_failed. errc::child_failed without child_pid() if a signal or exit() has ended the
/// child before it answered: the message says which. errc::bad_message and errc::type_mismatch for
/// an answer that coproc has not sent: the child is killed. errc::status_lost; those of
/// process::start().
template <class Function, class... Args>
[[nodiscard]] task<result<detail::called_t<Function, Args...>>> call(const process_options& options,
                                                                     Function&& function,
                                                                     Args&&... args) {
    using value_type = detail::called_t<Function, Args...>;
    detail::check_call_temporary<Function>();
    (detail::check_call_temporary<Args>(), ...);
    if constexpr (detail::check_start<Function, detail::given_t<Args>...>() &&
                  detail::check_answer<value_type>()) {
        using plain = std::decay_t<Function>;
        using stored = detail::stored_t<plain, std::decay_t<detail::given_t<Args>>...>;
        return detail::await_call<value_type>(detail::prepared_call(
            options, std::make_unique<detail::call_request_of<plain, stored>>(
                         std::forward<Function>(function), detail::given<Args>(args)...)));
    }
}

template <class Function, class... Args>
    requires(!std::same_as<std::remove_cvref_t<Function>, process_options>)
[[nodiscard]] task<result<detail::called_t<Function, Args...>>> call(Function&& function,
                                                                     Args&&... args) {
    return call(process_options{}, std::forward<Function>(function), std::forward<Args>(args)...);
}

}  // namespace coproc
