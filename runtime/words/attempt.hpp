#pragma once
// How every system call is made: asking the fault hook first, again after EINTR, with errno as a
// result. For the sources of the system layer only.

#include "words/system.hpp"

#include <cerrno>
#include <utility>

namespace coproc::system {

/// Makes the call unless the hook refuses it, again after EINTR; -1 and errno on failure.
template <class Call>
auto attempt(const char* name, Call&& call) -> decltype(call()) {
    if (const int refused = injected_fault(name)) {
        errno = refused;
        return -1;
    }
    decltype(call()) value;
    do value = call();
    while (value == -1 && errno == EINTR);
    return value;
}

/// What a program finds as its fds 0 to 2 it takes for stdin, stdout and stderr: a host that has
/// closed those must not get one of ours in their place, and neither must its children.
result<unique_fd> clear_of_standard_fds(unique_fd fd);

/// The same for calls that yield an fd.
template <class Call>
result<unique_fd> attempt_fd(const char* name, Call&& call) {
    const auto fd = static_cast<int>(attempt(name, call));
    if (fd < 0) return last_error(name);
    return clear_of_standard_fds(unique_fd(fd));
}

/// And for those that yield two.
template <class Call>
result<std::array<unique_fd, 2>> attempt_fds(const char* name, Call&& call) {
    int ends[2];
    if (attempt(name, [&] { return call(ends); }) < 0) return last_error(name);
    unique_fd first(ends[0]);
    unique_fd second(ends[1]);
    COPROC_TRY(first, clear_of_standard_fds(std::move(first)));
    COPROC_TRY(second, clear_of_standard_fds(std::move(second)));
    return std::array{std::move(first), std::move(second)};
}

template <class Call>
result<void> attempt_void(const char* name, Call&& call) {
    if (attempt(name, call) < 0) return last_error(name);
    return success();
}

/// For calls on the hot path: no note, and the conditions that callers look for by our own names.
template <class Call>
result<std::size_t> attempt_io(const char* name, Call&& call) {
    const ssize_t count = attempt(name, call);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == EAGAIN || errno == EWOULDBLOCK) return errc::would_block;
    if (errno == EPIPE || errno == ECONNRESET) return errc::end_of_stream;
    return last_error(name);
}

}  // namespace coproc::system
