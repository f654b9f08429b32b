#include <coproc/shared_memory.hpp>

#include "shared/region.hpp"
#include "words/sharing_linux.hpp"

#include <string>

namespace coproc {

namespace detail {

namespace {

struct memory_layout : region_head {
    std::uint64_t type;
};

/// Where the user's bytes begin: with a page of their own, so that they are aligned for everything.
constexpr std::size_t page = 4096;

memory_block block_in(region memory) {
    const std::span<std::byte> all(memory.data(), memory.size());
    return {std::make_shared<const region>(std::move(memory)), all.subspan(page)};
}

result<memory_block> make(std::uint64_t type, std::size_t size) {
    if (size == 0) return std::errc::invalid_argument;
    if (size > PTRDIFF_MAX - page) return std::errc::not_enough_memory;
    COPROC_TRY(auto memory, region::create(region_kind::memory, page + size));
    COPROC_TRY(system::secure_memory(memory.fd(), page, size));
    memory.as<memory_layout>().type = type;
    memory.finish();
    return block_in(std::move(memory));
}

}  // namespace

result<memory_block> make_memory(std::uint64_t type, std::size_t size) {
    auto made = make(type, size);
    if (made) return made;
    return made.error().within("shared memory of " + std::to_string(size) + " bytes");
}

void encode_memory(encoder& into, const memory_block& from) {
    if (!from.held) {
        return into.fail(error(errc::closed, "shared memory that has been moved from"));
    }
    into.attach(from.held->fd());
    into.keep(from.held);
}

result<memory_block> decode_memory(decoder& from, std::uint64_t type) {
    COPROC_TRY(auto file, from.take_fd());
    COPROC_TRY(auto memory, region::open<memory_layout>(std::move(file), region_kind::memory));
    if (memory.size() <= page) return error(errc::bad_message, "shared memory without a byte");
    if (memory.as<memory_layout>().type != type) return errc::type_mismatch;
    return block_in(std::move(memory));
}

}  // namespace detail

namespace {

/// Bytes of no type.
constexpr std::uint64_t plain = 0;

}  // namespace

result<shared_memory> shared_memory::create(std::size_t size) {
    COPROC_TRY(auto made, detail::make_memory(plain, size));
    return shared_memory(std::move(made));
}

void codec<shared_memory>::encode(encoder& into, const shared_memory& from) {
    detail::encode_memory(into, from.block_);
}

result<shared_memory> codec<shared_memory>::decode(decoder& from) {
    COPROC_TRY(auto opened, detail::decode_memory(from, plain));
    return shared_memory(std::move(opened));
}

}  // namespace coproc
