#pragma once
// shared_memory: bytes that any number of processes see and change.
//
//   auto m = coproc::shared_memory::create(1 << 20).value();    // zeros
//   m.data()[0] = std::byte{42};                                // seen by all
//
// Copies are the same memory; it travels as an argument or in a message on a connection, has no
// name, and is gone with its last user. Nothing orders what is written: use a lock, or
// std::atomic_ref. What a process that dies has written stays as it is.

#include <coproc/codec.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace coproc {

namespace detail {

class region;

/// Bytes in a region of their own.
struct memory_block {
    std::shared_ptr<const region> held;
    std::span<std::byte> bytes;
};

/// `type` says what is to lie there.
result<memory_block> make_memory(std::uint64_t type, std::size_t size);
void encode_memory(encoder& into, const memory_block& from);
/// Errors: errc::bad_message; errc::type_mismatch if something else lies there.
result<memory_block> decode_memory(decoder& from, std::uint64_t type);

}  // namespace detail

class shared_memory {
 public:
    /// Zeros. Up to 1 MiB has its memory at once; what is larger gets it as it is touched, unless
    /// the kernel could refuse it then (vm.overcommit_memory = 2).
    /// Errors: std::errc::invalid_argument for 0 bytes; std::errc::not_enough_memory;
    /// std::errc::no_space_on_device; std::errc::file_too_large above RLIMIT_FSIZE;
    /// std::errc::too_many_files_open.
    static result<shared_memory> create(std::size_t size);

    /// Begins with a page. Lifetime: as long as a copy of this object is there.
    std::span<std::byte> data() const noexcept { return block_.bytes; }
    std::size_t size() const noexcept { return block_.bytes.size(); }

 private:
    friend struct codec<shared_memory>;
    explicit shared_memory(detail::memory_block made) noexcept : block_(std::move(made)) {}

    detail::memory_block block_;
};

template <>
struct codec<shared_memory> {
    static void encode(encoder& into, const shared_memory& from);
    static result<shared_memory> decode(decoder& from);
};

}  // namespace coproc
