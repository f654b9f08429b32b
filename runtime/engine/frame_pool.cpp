#include <coproc/detail/frame_pool.hpp>

#include <array>
#include <cstdint>
#include <new>

// GCC and clang spell the question differently.
#if defined(__SANITIZE_ADDRESS__)
#define COPROC_POOL_FRAMES false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COPROC_POOL_FRAMES false
#endif
#endif
#ifndef COPROC_POOL_FRAMES
#define COPROC_POOL_FRAMES true
#endif

namespace coproc::detail::frame_pool {

namespace {

constexpr std::size_t class_size = 64;
constexpr std::size_t classes = 16;      // frames up to 1 KiB
constexpr std::uint32_t capacity = 256;  // at most 2.1 MiB a thread in all

struct free_frame {
    free_frame* next;
};

struct size_class {
    free_frame* first = nullptr;
    std::uint32_t count = 0;
};

// The lists are plain data without a destructor, so that a frame may be freed at any time, also
// while the thread's other thread_locals are being destroyed; the sweeper frees what is left.
constinit thread_local std::array<size_class, classes> lists{};
constinit thread_local bool swept = false;

struct sweeper {
    ~sweeper() {
        swept = true;
        for (size_class& list : lists) {
            while (free_frame* frame = list.first) {
                list.first = frame->next;
                ::operator delete(frame);
            }
            list.count = 0;
        }
    }
};

void sweep_at_thread_end() { thread_local const sweeper instance; }

std::size_t class_of(std::size_t size) { return (size - 1) / class_size; }

}  // namespace

void* allocate(std::size_t size) {
    const std::size_t index = class_of(size);
    if (!COPROC_POOL_FRAMES || index >= classes) return ::operator new(size);
    size_class& list = lists[index];
    if (free_frame* frame = list.first) {
        list.first = frame->next;
        --list.count;
        return frame;
    }
    sweep_at_thread_end();
    return ::operator new((index + 1) * class_size);
}

void release(void* frame, std::size_t size) noexcept {
    const std::size_t index = class_of(size);
    if (!COPROC_POOL_FRAMES || index >= classes || swept || lists[index].count == capacity) {
        ::operator delete(frame);
        return;
    }
    size_class& list = lists[index];
    if (list.count == 0) sweep_at_thread_end();
    list.first = new (frame) free_frame{list.first};
    ++list.count;
}

}  // namespace coproc::detail::frame_pool
