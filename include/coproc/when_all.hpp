#pragma once
// Several waits at the same time, until all have ended:
//
//   auto [text, status] = co_await coproc::when_all(pipe.recv<std::string>(), child.join());

#include <coproc/detail/branches.hpp>

#include <functional>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

namespace coproc {

namespace detail {

template <class Value, class Awaitable>
void start_into(branches& all, std::optional<Value>& place, Awaitable& awaitable) {
    all.start([&place](auto&& value) { place.emplace(std::forward<decltype(value)>(value)); },
              std::identity(), std::move(awaitable));
}

}  // namespace detail

/// A tuple of each awaitable's own value: a result stays one, void becomes std::monostate. They
/// begin in the given order. One that fails, by a failed result or an exception, cancels the
/// others, which then give what they give when they are canceled. All have ended afterwards.
/// If any has thrown, and so has no value, the first failure is thrown.
template <detail::awaitable... Awaitables>
task<std::tuple<detail::kept_t<Awaitables>...>> when_all(Awaitables... awaitables) {
    detail::branches all(co_await detail::current_scope());
    std::tuple<std::optional<detail::kept_t<Awaitables>>...> places;
    std::apply([&](auto&... place) { (detail::start_into(all, place, awaitables), ...); }, places);
    co_await all.join();
    all.rethrow();
    co_return std::apply(
        [](auto&... place) {
            return std::tuple<detail::kept_t<Awaitables>...>(*std::move(place)...);
        },
        places);
}

/// The same for any number of awaitables of one type, in their order.
template <detail::awaitable Awaitable>
task<std::vector<detail::kept_t<Awaitable>>> when_all(std::vector<Awaitable> awaitables) {
    detail::branches all(co_await detail::current_scope());
    std::vector<std::optional<detail::kept_t<Awaitable>>> places(awaitables.size());
    for (std::size_t i = 0; i < places.size(); ++i)
        detail::start_into(all, places[i], awaitables[i]);
    co_await all.join();
    all.rethrow();
    std::vector<detail::kept_t<Awaitable>> values;
    values.reserve(places.size());
    for (auto& place : places) values.push_back(*std::move(place));
    co_return values;
}

}  // namespace coproc
