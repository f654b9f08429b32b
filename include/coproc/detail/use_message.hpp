#pragma once
// How a message is handed from untyped code to typed.

#include <coproc/codec.hpp>

#include <optional>
#include <utility>

namespace coproc::detail {

/// Calls back with a message, before it is dropped.
using use_message = result<void> (*)(void* argument, decoder& message);

/// Decodes the whole of it into an optional T.
template <class T>
result<void> decode_into(void* into, decoder& message) {
    COPROC_TRY(auto decoded, message.template get<T>());
    COPROC_TRY(message.finish());
    static_cast<std::optional<T>*>(into)->emplace(std::move(decoded));
    return success();
}

}  // namespace coproc::detail
