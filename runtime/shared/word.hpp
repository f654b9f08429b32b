#pragma once
// The words of shared memory: 64 bits, read and written whole.

#include <atomic>
#include <cstdint>

namespace coproc::detail {

/// A look at a word without the lock that it is changed under: how it is at some moment.
inline std::uint64_t peek(const std::uint64_t& word) noexcept {
    return std::atomic_ref(const_cast<std::uint64_t&>(word)).load(std::memory_order_acquire);
}

/// Seen by others after everything that was stored before.
inline void publish(std::uint64_t& word, std::uint64_t value) noexcept {
    std::atomic_ref(word).store(value, std::memory_order_release);
}

}  // namespace coproc::detail
