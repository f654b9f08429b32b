#include "words/forks.hpp"

#include <pthread.h>

#include <atomic>

namespace coproc::detail {

namespace {

constinit std::atomic<unsigned> forks = 0;

}  // namespace

unsigned forks_so_far() noexcept {
    [[maybe_unused]] static const int registered =
        ::pthread_atfork(nullptr, nullptr, [] { ++forks; });
    return forks.load(std::memory_order_relaxed);
}

}  // namespace coproc::detail
