#pragma once
// What a connection consists of, for the sources that implement it.

#include <coproc/connection.hpp>

#include "channels/message_socket.hpp"

namespace coproc::detail {

struct connection_state {
    message_socket socket;
    bool can_send;
    bool can_receive;
};

/// errc::closed; errc::not_supported on the wrong end of a simplex pipe.
result<void> check_sender(const connection_state* one);
result<void> check_receiver(const connection_state* one);

}  // namespace coproc::detail
