#pragma once
// A coroutine that gives many values, one at a time, and may await in between:
//
//   coproc::generator<std::string> lines(coproc::connection& from);   // co_yield line;
//   auto all = lines(pipe);
//   while (auto line = co_await all.next()) use(*line);
//
// It runs only while somebody awaits next(), and in the cancel scope of whoever does.

#include <coproc/task.hpp>

#include <cassert>
#include <coroutine>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace coproc {

template <class T>
class generator;

namespace detail {

template <class T>
class generator_promise final : public task_promise_base {
 public:
    generator<T> get_return_object(
        std::source_location here = std::source_location::current()) noexcept;
    void return_void() const noexcept {}

    auto yield_value(const T& value)
        requires std::is_copy_constructible_v<T>
    {
        item_.emplace(value);
        return final_suspend();  // hands over to the awaiter, as at the end
    }
    auto yield_value(T&& value) {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
        static_assert(!std::is_aggregate_v<T> || std::is_trivially_destructible_v<T>,
                      "GCC 12 destroys an aggregate written inside a co_yield expression twice: "
                      "name it first, then co_yield the name");
#endif
        item_.emplace(std::move(value));
        return final_suspend();
    }

    /// The value last yielded; nothing at the end. Rethrows what the generator threw.
    std::optional<T> take() {
        rethrow();
        return std::exchange(item_, std::nullopt);
    }

 private:
    std::optional<T> item_;
};

}  // namespace detail

/// Owns the coroutine. May be dropped whenever no next() is being awaited.
template <class T>
class [[nodiscard]] generator {
    static_assert(std::is_object_v<T>);

 public:
    using promise_type = detail::generator_promise<T>;
    using value_type = T;

    generator(generator&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
    generator& operator=(generator&& other) noexcept {
        std::swap(coroutine_, other.coroutine_);
        return *this;
    }
    ~generator() {
        if (coroutine_) coroutine_.destroy();
    }

    class [[nodiscard]] next_awaiter {
     public:
        explicit next_awaiter(std::coroutine_handle<promise_type> source) noexcept
            : source_(source) {}
        bool await_ready() const noexcept { return source_.done(); }
        template <class Promise>
        bool await_suspend(std::coroutine_handle<Promise> consumer) const {
            return source_.promise().start_for(consumer, source_);
        }
        std::optional<T> await_resume() const { return source_.promise().take(); }

     private:
        std::coroutine_handle<promise_type> source_;
    };

    /// co_await next(): the next value, std::nullopt when the generator has ended; rethrows what
    /// it threw, and then it has ended. One at a time.
    /// Cancellation: reaches what the generator awaits; what it makes of that is its business.
    next_awaiter next() noexcept {
        assert(coroutine_);
        return next_awaiter(coroutine_);
    }

 private:
    friend promise_type;
    explicit generator(std::coroutine_handle<promise_type> coroutine) noexcept
        : coroutine_(coroutine) {}

    std::coroutine_handle<promise_type> coroutine_;
};

template <class T>
generator<T> detail::generator_promise<T>::get_return_object(std::source_location here) noexcept {
    written_at_ = here;
    return generator<T>(std::coroutine_handle<generator_promise>::from_promise(*this));
}

}  // namespace coproc
