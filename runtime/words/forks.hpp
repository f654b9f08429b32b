#pragma once
// A host may fork itself. Its copy has copies of our objects, but neither the children nor the
// epoll registrations that they speak of: it must not act for the parent.

namespace coproc::detail {

/// How many plain forks lie between the program's execution and this process. What was made at
/// another number is a copy of the parent's. Thread-safe.
unsigned forks_so_far() noexcept;

}  // namespace coproc::detail
