#pragma once
// Several waits at the same time, until the first has ended:
//
//   auto first = co_await coproc::when_any(jobs.get(), stop.wait());
//   if (first.index() == 0) run(std::get<0>(first).value());

#include <coproc/detail/branches.hpp>

#include <cassert>
#include <functional>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace coproc {

/// What when_any of a vector gives.
template <class T>
struct winner {
    winner(std::size_t which, T&& its_value) : index(which), value(std::move(its_value)) {}
    std::size_t index;
    T value;
};

namespace detail {

template <class T>
struct cut_short<winner<T>> {
    static bool is(const winner<T>& first) noexcept { return cut_short<T>::is(first.value); }
};

/// The race of when_any: the first that ends sets `first`, unless it ends with an exception, which
/// the branches keep.
template <class First>
class race {
 public:
    explicit race(cancel_scope& outer) noexcept : all_(outer) {}

    /// `Position` and the value make up a First.
    template <class Position, class Awaitable>
    void start(Position position, Awaitable& awaitable) {
        const auto take = [this, position](auto&& value) {
            if (first_ || all_.has_failed()) return;
            first_.emplace(position, std::forward<decltype(value)>(value));
            all_.cancel();
        };
        all_.start(take, std::identity(), std::move(awaitable));
    }

    task<First> finish() {
        co_await all_.join();
        if (!first_) all_.rethrow();
        co_return *std::move(first_);
    }

 private:
    branches all_;
    std::optional<First> first_;
};

}  // namespace detail

/// A variant of the awaitables' own values (void becomes std::monostate) that holds the value of
/// the one that ended first, well or not; `.index()` tells which. What it threw is rethrown.
/// They begin in the given order. At the moment the first ends, before any other coroutine runs,
/// the others are canceled, and they have ended afterwards; what they then give is dropped. An
/// operation that is canceled has consumed nothing.
template <detail::awaitable... Awaitables>
    requires(sizeof...(Awaitables) > 0)
task<std::variant<detail::kept_t<Awaitables>...>> when_any(Awaitables... awaitables) {
    detail::race<std::variant<detail::kept_t<Awaitables>...>> race(
        co_await detail::current_scope());
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (race.start(std::in_place_index<I>, awaitables), ...);
    }(std::index_sequence_for<Awaitables...>());
    co_return co_await race.finish();
}

/// The same for one or more awaitables of one type: index and value of the first.
template <detail::awaitable Awaitable>
task<winner<detail::kept_t<Awaitable>>> when_any(std::vector<Awaitable> awaitables) {
    assert(!awaitables.empty());
    detail::race<winner<detail::kept_t<Awaitable>>> race(co_await detail::current_scope());
    for (std::size_t i = 0; i < awaitables.size(); ++i) race.start(i, awaitables[i]);
    co_return co_await race.finish();
}

}  // namespace coproc
