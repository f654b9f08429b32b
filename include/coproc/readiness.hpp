#pragma once
// Waiting for a file descriptor of your own:  (co_await coproc::wait_readable(fd)).value();
// Any number of tasks may wait for the same fd. coproc's own objects need none of this.

#include <coproc/task.hpp>

namespace coproc {

/// Suspends until `fd` has something to read, is at its end or has failed. Makes `fd` non-blocking.
/// Lifetime: `fd` stays open until the wait has ended; libuv aborts the program otherwise.
/// Errors: std::errc::file_exists if the host's loop watches `fd` itself;
/// std::errc::operation_not_permitted for regular files, which are always ready.
task<result<void>> wait_readable(int fd);

/// The same until `fd` has room to write.
task<result<void>> wait_writable(int fd);

}  // namespace coproc
