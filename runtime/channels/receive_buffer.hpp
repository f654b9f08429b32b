#pragma once
// The bytes that have come and have not been asked for. Grows with what really arrives, never with
// what a header announces; when it is empty, a buffer of more than 2 MiB is given back.

#include <coproc/result.hpp>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>

namespace coproc::detail {

class receive_buffer {
 public:
    static constexpr std::size_t usual = std::size_t{64} * 1024;

    /// Enough for messages of a megabyte, which would cost more in fresh pages than in copying.
    static constexpr std::size_t largest_kept = 32 * usual;

    std::span<const std::byte> content() const noexcept {
        return {data_.get() + begin_, end_ - begin_};
    }
    std::size_t size() const noexcept { return end_ - begin_; }

    /// Room behind the content: a good amount for the next read, if `wanted` bytes are to be held
    /// in all. std::errc::not_enough_memory if there is none to be had.
    result<std::span<std::byte>> room(std::size_t wanted);
    /// `count` bytes were written into room().
    void commit(std::size_t count) noexcept { end_ += count; }
    /// The first `count` bytes are done with.
    void consume(std::size_t count) noexcept;

 private:
    struct freer {
        void operator()(std::byte* memory) const noexcept { std::free(memory); }
    };
    result<void> resize(std::size_t capacity);

    std::unique_ptr<std::byte, freer>
        data_;  // malloc's: realloc moves large blocks without copying
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace coproc::detail
