#pragma once
// The target of a call: in the child it calls the function and answers with its value, or with what
// there is instead of one.

#include <coproc/codec.hpp>
#include <coproc/detail/target.hpp>
#include <coproc/detail/unique_fd.hpp>
#include <coproc/task.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace coproc::detail {

/// What a function that returns a T gives to its caller: a plain value, texts as std::string, or
/// void.
template <class T>
struct called {
    using type = carried_t<T>;
};
template <>
struct called<void> {
    using type = void;
};
template <class T>
struct called<result<T>> : called<T> {};
template <class T>
struct called<task<T>> : called<std::remove_cvref_t<T>> {};

// In the child.

/// What goes back: a value, or what there is instead of one.
class answer {
 public:
    /// void.
    answer() : type_(fingerprint<void>()) {}
    explicit answer(const error& why);
    explicit answer(const std::exception_ptr& thrown);
    /// Lifetime: the handles in `value`, until the answer has been sent.
    template <class T>
    static answer with(const T& value) {
        answer made(fingerprint<T>());
        made.body_.give_away();
        made.body_.put(value);
        const result<void> possible = made.body_.status();
        return possible ? std::move(made) : answer(possible.error());
    }

    /// Sends it, and gives the exit code. Blocks: a plain function has no loop.
    static result<int> send(answer what, unique_fd pipe);
    static task<result<int>> send_from_loop(answer what, unique_fd pipe);

 private:
    explicit answer(std::uint64_t type) noexcept : type_(type) {}
    void fail(std::error_code code, std::string type, std::string message);

    std::uint64_t type_;
    bool is_failure_ = false;
    encoder body_;
};

template <class Value, class Returned>
answer answer_with(const Returned& returned) {
    if constexpr (is_result_v<Returned>) {
        if (!returned) return answer(returned.error());
        if constexpr (std::is_void_v<Value>) {
            return answer();
        } else {
            return answer::with<Value>(returned.value());
        }
    } else {
        return answer::with<Value>(returned);
    }
}

template <class Value, class Call>
result<int> answer_now(unique_fd pipe, Call call) {
    try {
        if constexpr (std::is_void_v<decltype(call())>) {
            call();
            return answer::send(answer(), std::move(pipe));
        } else {
            decltype(auto) returned = call();
            return answer::send(answer_with<Value>(returned), std::move(pipe));
        }
    } catch (...) {
        return answer::send(answer(std::current_exception()), std::move(pipe));
    }
}

template <class Value, class T>
task<result<int>> answer_later(unique_fd pipe, task<T> body) {
    std::exception_ptr thrown;
    try {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(body);
            co_return co_await answer::send_from_loop(answer(), std::move(pipe));
        } else {
            decltype(auto) returned = co_await std::move(body);
            answer value = answer_with<Value>(returned);
            co_return co_await answer::send_from_loop(std::move(value), std::move(pipe));
        }
    } catch (...) {
        thrown = std::current_exception();
    }
    answer failure(thrown);
    co_return co_await answer::send_from_loop(std::move(failure), std::move(pipe));
}

/// What a target returns; its task, if it can be one.
template <class T>
struct whole {
    using type = T;
};
template <like_task T>
struct whole<T> {
    using type = decltype(as_task(std::declval<T>()));
};

/// How the child calls a Target with Stored arguments, and answers.
template <class Target, class Stored>
struct call_entry_of {
    static constexpr auto indices = std::make_index_sequence<std::tuple_size_v<Stored>>();
    using returned = std::remove_cvref_t<decltype(call_target(std::declval<Target&>(),
                                                              std::declval<Stored&>(), indices))>;
    using value_type = typename called<typename whole<returned>::type>::type;

    static result<int> run(decoder& arguments, const target_caller& caller) {
        check_returned<returned>();
        COPROC_TRY(auto pipe, arguments.take_fd());
        COPROC_TRY(auto target, take_target<Target>(arguments));
        COPROC_TRY(auto stored, arguments.template get<Stored>());
        COPROC_TRY(arguments.finish());
        caller.arguments_decoded();
        if constexpr (like_task<returned>) {
            return caller.run(answer_later<value_type>(
                std::move(pipe), as_task(call_target(target, stored, indices))));
        } else {
            return answer_now<value_type>(std::move(pipe), [&]() -> decltype(auto) {
                return call_target(target, stored, indices);
            });
        }
    }

    static constexpr target_record record{target_record::expected_magic, &typeid(call_entry_of),
                                          &run, like_task<returned>};
};

// In the parent.

/// A target and its arguments, and the pipe that the answer comes through.
class call_request : public start_request {
 public:
    using start_request::start_request;
    void answer_through(unique_fd pipe) noexcept { pipe_ = std::move(pipe); }

 protected:
    void put_pipe(encoder& into) const { into.attach(pipe_.get()); }

 private:
    unique_fd pipe_;
};

template <class Target, class Stored>
class call_request_of final : public call_request {
 public:
    template <class... Args>
    explicit call_request_of(Target target, Args&&... args)
        : call_request(call_entry_of<Target, Stored>::record),
          target_(std::move(target)),
          arguments_(std::forward<Args>(args)...) {}

    void encode(encoder& into) const override {
        put_pipe(into);
        put_target(into, target_);
        into.put(arguments_);
    }

 private:
    Target target_;
    Stored arguments_;
};

}  // namespace coproc::detail
