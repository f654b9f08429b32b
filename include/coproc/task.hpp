#pragma once
// task<T>: a coroutine that runs when it is awaited, and gives its value or exception to the one
// who awaits it.
//
//   coproc::task<int> answer() { (co_await coproc::sleep_for(1s)).value(); co_return 42; }
//   int x = co_await answer();
//
// A task runs in its awaiter's cancel scope, on its awaiter's loop. It starts inline: awaiting a
// task that never waits costs about 10 ns, and a million of those in a row need no stack.

#include <coproc/detail/promise_base.hpp>
#include <coproc/result.hpp>

#include <cassert>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace coproc {

template <class T = void>
class task;

namespace detail {

class task_promise_base : public awaited_promise {
 public:
    std::suspend_always initial_suspend() const noexcept { return {}; }

    auto final_suspend() noexcept {
        struct give_to_awaiter {
            task_promise_base& self;
            bool await_ready() const noexcept { return false; }
            void await_suspend(std::coroutine_handle<>) const noexcept { self.hand_over(); }
            void await_resume() const noexcept {}
        };
        return give_to_awaiter{*this};
    }

    void unhandled_exception() noexcept { exception_ = std::current_exception(); }

 protected:
    void rethrow() {
        if (exception_) std::rethrow_exception(std::move(exception_));
    }

 private:
    std::exception_ptr exception_;
};

template <class T>
class task_promise final : public task_promise_base {
 public:
    task<T> get_return_object(std::source_location here = std::source_location::current()) noexcept;

    template <class Value>
        requires std::is_constructible_v<T, Value>
    void return_value(Value&& value) {
        value_.emplace(std::forward<Value>(value));
    }
    void return_value(T value)
        requires(!std::is_reference_v<T>)
    {
        value_.emplace(std::move(value));
    }

    T take() {
        rethrow();
        return std::move(*value_);
    }

 private:
    std::optional<T> value_;
};

template <class T>
class task_promise<T&> final : public task_promise_base {
 public:
    task<T&> get_return_object(
        std::source_location here = std::source_location::current()) noexcept;
    void return_value(T& value) noexcept { value_ = std::addressof(value); }
    T& take() {
        rethrow();
        return *value_;
    }

 private:
    T* value_ = nullptr;
};

template <>
class task_promise<void> final : public task_promise_base {
 public:
    task<void> get_return_object(
        std::source_location here = std::source_location::current()) noexcept;
    void return_void() noexcept {}
    void take() { rethrow(); }
};

}  // namespace detail

/// Owns a coroutine that has not been awaited yet, or that is being awaited. Awaited at most once.
template <class T>
class [[nodiscard]] task {
 public:
    using promise_type = detail::task_promise<T>;
    using value_type = T;

    task(task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
    task& operator=(task&& other) noexcept {
        std::swap(coroutine_, other.coroutine_);
        return *this;
    }
    ~task() {
        if (coroutine_) coroutine_.destroy();
    }

    auto operator co_await() && noexcept {
        assert(coroutine_ && !coroutine_.done());
        return awaiter(coroutine_);
    }

 private:
    friend promise_type;

    class awaiter {
     public:
        explicit awaiter(std::coroutine_handle<promise_type> child) noexcept : child_(child) {}
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        bool await_suspend(std::coroutine_handle<Promise> parent) const {
            return child_.promise().start_for(parent, child_);
        }
        T await_resume() const { return child_.promise().take(); }

     private:
        std::coroutine_handle<promise_type> child_;
    };

    explicit task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}

    std::coroutine_handle<promise_type> coroutine_;
};

template <class T>
task<T> detail::task_promise<T>::get_return_object(std::source_location here) noexcept {
    written_at_ = here;
    return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}
template <class T>
task<T&> detail::task_promise<T&>::get_return_object(std::source_location here) noexcept {
    written_at_ = here;
    return task<T&>(std::coroutine_handle<task_promise>::from_promise(*this));
}
inline task<void> detail::task_promise<void>::get_return_object(
    std::source_location here) noexcept {
    written_at_ = here;
    return task<void>(std::coroutine_handle<task_promise>::from_promise(*this));
}

namespace detail {

/// co_await enter_scope(s): from here on the coroutine's awaits happen in `s`. Answers the scope
/// that it was in before. Never suspends.
class enter_scope {
 public:
    explicit enter_scope(cancel_scope& scope) noexcept : scope_(&scope) {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> self) noexcept {
        before_ = &self.promise().scope();
        self.promise().set_scope(*scope_);
        return false;
    }
    cancel_scope& await_resume() const noexcept { return *before_; }

 private:
    cancel_scope* scope_;
    cancel_scope* before_ = nullptr;
};

/// co_await current_scope(): the scope that the coroutine runs in. Never suspends.
class current_scope {
 public:
    current_scope() noexcept = default;
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> self) noexcept {
        scope_ = &self.promise().scope();
        return false;
    }
    cancel_scope& await_resume() const noexcept { return *scope_; }

 private:
    cancel_scope* scope_ = nullptr;
};

class yield_awaiter {
 public:
    yield_awaiter() noexcept = default;
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> self) noexcept {
        scope_ = &self.promise().scope();
        self.promise().coroutine = self;
        post_back(scope_->home(), self.promise());
    }
    result<void> await_resume() const noexcept {
        if (scope_->is_canceled()) return errc::canceled;
        return success();
    }

 private:
    cancel_scope* scope_ = nullptr;
};

/// co_await cancellation_point(): errc::canceled, after a turn of the others, in a canceled scope;
/// otherwise success without suspending. For what can go on without waiting.
class cancellation_point : public yield_awaiter {
 public:
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> self) noexcept {
        canceled_ = self.promise().scope().is_canceled();
        if (canceled_) yield_awaiter::await_suspend(self);
        return canceled_;
    }
    result<void> await_resume() const noexcept {
        if (canceled_) return errc::canceled;
        return success();
    }

 private:
    bool canceled_ = false;
};

/// What mostly can be done at once, and then needs no coroutine; otherwise it is a task.
/// Self provides  bool try_now()                 false: nothing has happened
///                result<Value> outcome()        after try_now() was true
///                task<result<Value>> at_length()    awaited at once
///                task<result<Value>> on_its_own()   for whoever takes a task
/// In a canceled scope it is not tried.
template <class Self, class Value>
class [[nodiscard]] short_way {
    using whole = task<result<Value>>;
    using awaiter = decltype(std::declval<whole>().operator co_await());

 public:
    /// The task is what a function may want that takes tasks.
    operator whole() && { return self().on_its_own(); }  // NOLINT(google-explicit-constructor)

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> waiter) {
        if (!waiter.promise().scope().is_canceled() && self().try_now()) return false;
        rest_.emplace(self().at_length());
        awaited_.emplace(std::move(*rest_).operator co_await());
        return awaited_->await_suspend(waiter);
    }
    result<Value> await_resume() {
        if (awaited_) return awaited_->await_resume();
        return self().outcome();
    }

 protected:
    short_way() = default;
    ~short_way() = default;
    short_way(short_way&&) = default;
    short_way& operator=(short_way&&) = default;

 private:
    Self& self() noexcept { return static_cast<Self&>(*this); }

    std::optional<whole> rest_;
    std::optional<awaiter> awaited_;
};

/// What is a task, or can be one.
template <class T>
task<T> as_task(task<T> body) {
    return body;
}
template <class Self, class Value>
task<result<Value>> as_task(short_way<Self, Value>&& body) {
    return std::move(body);
}
template <class T>
concept like_task = requires(T (*make)()) { as_task(make()); };

/// Does not compile for what may refer to a parameter of the function that has returned it.
template <class Returned>
constexpr void check_returned() {
    static_assert(
        !requires { typename std::remove_cvref_t<Returned>::refers_to_its_message; },
        "return a task: this put refers to its message, which may be gone with the "
        "function's parameters");
}

}  // namespace detail

/// Lets everything else that is ready run first. errc::canceled if the scope is canceled.
[[nodiscard]] inline detail::yield_awaiter yield() noexcept { return {}; }

}  // namespace coproc
