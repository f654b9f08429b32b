#pragma once
// A compiler's bug that shapes the signatures of everything that takes a message.

#include <type_traits>

namespace coproc::detail {

/// GCC 12 destroys a temporary aggregate in a co_await expression twice.
template <class Message>
constexpr void check_temporary() {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
    static_assert(!std::is_aggregate_v<Message> || std::is_trivially_destructible_v<Message>,
                  "name the message first and pass the name: GCC 12 destroys a temporary aggregate "
                  "inside a co_await expression twice");
#endif
}

}  // namespace coproc::detail
