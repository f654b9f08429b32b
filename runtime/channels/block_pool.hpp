#pragma once
// The blocks and cells of a queue, taken and given back inside its transactions.

#include "channels/queue_layout.hpp"

#include <cstddef>
#include <span>

namespace coproc::detail {

class block_pool {
 public:
    explicit block_pool(const region& memory) noexcept : data_(memory.data()), file_(memory.fd()) {}

    queue_layout& layout() const noexcept { return *reinterpret_cast<queue_layout*>(data_); }
    queue_block& block(std::uint64_t number) const noexcept {
        return at<queue_block>(layout().table_offset)[number - 1];
    }
    queue_cell& cell(std::uint64_t number) const noexcept {
        return at<queue_cell>(layout().cells_offset)[number - 1];
    }
    std::span<std::byte, block_size> bytes(std::uint64_t number) const noexcept {
        return std::span<std::byte, block_size>(
            data_ + layout().blocks_offset + (number - 1) * block_size, block_size);
    }

    /// Without the lock: might there be that many blocks?
    bool has_blocks(std::uint64_t count) const noexcept {
        return peek(layout().blocks_used) + count <= layout().blocks_in_all;
    }
    /// One block, whose `next` is 0; 0 if all are in use.
    /// Errors: std::errc::not_enough_memory.
    result<std::uint64_t> take_block(transaction& changing) const;
    /// Lengthens the chain of a cell by up to `wanted` blocks, a bounded number at a time.
    result<std::size_t> lengthen(transaction& changing, std::uint64_t cell,
                                 std::size_t wanted) const;
    /// Gives back one block.
    void give_block(transaction& changing, std::uint64_t number) const noexcept;
    /// One holder less; gives the block back if it was the last.
    void let_go(transaction& changing, std::uint64_t number) const noexcept;

    /// One of ours, that leads to nothing yet.
    /// Errors: std::errc::no_buffer_space.
    result<std::uint64_t> take_cell(transaction& changing, queue_cell::kind state) const;
    /// Gives back a cell, and what it leads to: at most 10 changes.
    void give_cell(transaction& changing, std::uint64_t number) const noexcept;

 private:
    template <class T>
    T* at(std::uint64_t offset) const noexcept {
        return reinterpret_cast<T*>(data_ + offset);
    }
    result<void> make_blocks(transaction& changing) const;

    std::byte* data_;
    int file_;
};

constexpr std::uint64_t blocks_for(std::uint64_t size) noexcept {
    return (size + block_size - 1) / block_size;
}

}  // namespace coproc::detail
