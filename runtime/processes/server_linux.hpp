#pragma once
// The fork server: a clean, single-threaded copy of the program, out of which children are cloned.
// They are children of the application all the same (CLONE_PARENT), which reaps them itself.
//
// It is executed as a child is; its first message is a control::service where a child's is a
// bootstrap. Then it answers each request with the new child's pidfd. What if it is killed
//   before the clone: the request is gone, the control socket that was in it is at its end;
//   between clone and answer: the child's first message to the application is its own pidfd;
//   after the answer: nobody notices but the next start, which makes a new server.

#include <coproc/detail/unique_fd.hpp>

#include "channels/message_socket.hpp"

namespace coproc::detail {

/// Serves the application that has sent `order`, until it is gone. Comes back only in each of the
/// children, with its control socket, and with SIGINT blocked.
unique_fd serve(message_socket& application, const message_header& order);

}  // namespace coproc::detail
