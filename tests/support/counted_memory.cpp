#include "support/counted_memory.hpp"

#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

thread_local std::size_t counted_from = SIZE_MAX;
thread_local int counted = 0;

}  // namespace

#ifndef COPROC_TESTS_SANITIZED
void* operator new(std::size_t size) {
    if (size >= counted_from) ++counted;
    if (void* made = std::malloc(size)) return made;
    throw std::bad_alloc();
}
void operator delete(void* made) noexcept { std::free(made); }
void operator delete(void* made, std::size_t) noexcept { std::free(made); }
#endif

namespace coproc::testing {

int pieces_during(std::size_t size, const std::function<void()>& work) {
    counted = 0;
    counted_from = size;
    work();
    counted_from = SIZE_MAX;
    return counted;
}

}  // namespace coproc::testing
