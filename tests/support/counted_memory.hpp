#pragma once
// How many large pieces of memory something has asked for: what copies a message makes.

#include <cstddef>
#include <functional>

namespace coproc::testing {

// Sanitizers have an operator new of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool counts_memory = false;
#else
inline constexpr bool counts_memory = true;
#endif

/// Pieces of at least `size` bytes that `work()` gets from operator new, in this thread.
int pieces_during(std::size_t size, const std::function<void()>& work);

}  // namespace coproc::testing
