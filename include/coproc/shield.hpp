#pragma once
// What must not be interrupted:  (co_await coproc::shield(save(file))).value();

#include <coproc/detail/awaited.hpp>
#include <coproc/task.hpp>

#include <utility>

namespace coproc {

/// Awaits `awaitable`; its value, whether the scope is canceled before, meanwhile or not at all.
/// Put a timeout() inside if it may last: nothing else ends it, not even shutdown().
template <detail::awaitable Awaitable>
task<detail::awaited_t<Awaitable>> shield(Awaitable awaitable) {
    detail::cancel_scope& outer = co_await detail::current_scope();
    detail::cancel_scope shelter(outer, detail::cancel_scope::shielded::yes);
    co_await detail::enter_scope(shelter);
    co_return co_await std::move(awaitable);
}

}  // namespace coproc
