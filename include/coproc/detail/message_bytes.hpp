#pragma once
// The bytes of a message on their way out, wherever they lie: its small parts in an encoder's
// memory, large ones still where the sender has them.

#include <cstddef>
#include <cstring>
#include <span>

namespace coproc::detail {

/// A part that has not been copied.
struct borrowed_bytes {
    std::size_t before;  ///< how many of the encoder's own bytes come before it
    std::span<const std::byte> part;
};

/// Read from the front to the end.
/// Lifetime: what it refers to stays as it is until all has been read.
class message_bytes {
 public:
    explicit message_bytes(std::span<const std::byte> own) noexcept
        : own_(own), size_(own.size()) {}
    message_bytes(std::span<const std::byte> own, std::span<const borrowed_bytes> borrowed,
                  std::size_t size) noexcept
        : own_(own), borrowed_(borrowed), size_(size) {}

    /// All that has not been read, in one go; it counts as unread still.
    void copy_to(std::byte* into) const noexcept {
        if (!borrowed_.empty()) return message_bytes(*this).read_parts(into, size_);
        if (size_ > 0) std::memcpy(into, own_.data() + read_, size_);
    }
    /// Of what has not been read.
    std::size_t size() const noexcept { return size_; }
    /// Requires: there are so many.
    void read(std::byte* into, std::size_t count) noexcept {
        if (!borrowed_.empty()) return read_parts(into, count);
        if (count > 0) std::memcpy(into, own_.data() + read_, count);
        read_ += count;
        size_ -= count;
    }

 private:
    void read_parts(std::byte* into, std::size_t count) noexcept;

    std::span<const std::byte> own_;
    std::size_t read_ = 0;  ///< of the encoder's own
    std::span<const borrowed_bytes> borrowed_;
    std::size_t of_part_ = 0;  ///< has been read of the first that is left
    std::size_t size_;
};

}  // namespace coproc::detail
