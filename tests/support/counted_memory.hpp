#pragma once
// How many large pieces of memory something has asked for: what copies a message makes.

#include <cstddef>
#include <functional>

// Sanitizers have an operator new of their own. GCC says so by macros, clang by features.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COPROC_TESTS_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COPROC_TESTS_SANITIZED
#endif
#endif

namespace coproc::testing {

#ifdef COPROC_TESTS_SANITIZED
inline constexpr bool counts_memory = false;
#else
inline constexpr bool counts_memory = true;
#endif

/// Pieces of at least `size` bytes that `work()` gets from operator new, in this thread.
int pieces_during(std::size_t size, const std::function<void()>& work);

}  // namespace coproc::testing
