#pragma once
// A kernel that refuses: the filters that containers and sandboxes put around a program.

#include <cstdint>

namespace coproc::testing {

/// From now on a system call fails with `failure` in this process and its children; if there are
/// flags, only when its first argument has one of them. False where no filter can be made.
bool refuse_call(long number, int failure, std::uint32_t flags = 0);

}  // namespace coproc::testing
