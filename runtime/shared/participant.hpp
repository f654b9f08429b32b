#pragma once
// Who a process is in shared memory: 64 random bits, never a pid, which could be given away again.

#include <cstdint>

namespace coproc::detail {

/// Nobody is 0.
using participant = std::uint64_t;

/// This process. A plain fork of it is somebody else.
participant this_participant() noexcept;
/// For a child that is about to be told.
participant new_participant() noexcept;
/// In a child: what its parent calls it, and will repair for when it has died.
void become(participant me) noexcept;

}  // namespace coproc::detail
