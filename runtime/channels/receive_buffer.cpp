#include "channels/receive_buffer.hpp"

#include <algorithm>
#include <cstring>

namespace coproc::detail {

result<std::span<std::byte>> receive_buffer::room(std::size_t wanted) {
    if (begin_ != 0 && capacity_ - end_ < usual / 2) {
        if (size() != 0) std::memmove(data_.get(), data_.get() + begin_, size());
        end_ = size();
        begin_ = 0;
    }
    const std::size_t missing = wanted - std::min(wanted, size());
    if (capacity_ - end_ < std::clamp(missing, std::size_t{1}, usual / 2)) {
        // What has come so far makes as much again believable.
        const std::size_t believed = std::min(wanted, 2 * size() + usual);
        COPROC_TRY(resize(std::max({begin_ + believed, end_ + 1, usual})));
    }
    return std::span(data_.get() + end_, capacity_ - end_);
}

void receive_buffer::consume(std::size_t count) noexcept {
    begin_ += count;
    if (begin_ != end_) return;
    begin_ = end_ = 0;
    if (capacity_ <= largest_kept) return;
    data_.reset();
    capacity_ = 0;
}

result<void> receive_buffer::resize(std::size_t capacity) {
    void* grown = std::realloc(data_.get(), capacity);
    if (grown == nullptr) return std::errc::not_enough_memory;
    [[maybe_unused]] std::byte* moved = data_.release();
    data_.reset(static_cast<std::byte*>(grown));
    capacity_ = capacity;
    return success();
}

}  // namespace coproc::detail
