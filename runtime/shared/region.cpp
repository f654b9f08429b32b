#include "shared/region.hpp"

#include "words/sharing_linux.hpp"

#include <utility>

namespace coproc::detail {

namespace {

constexpr std::uint64_t finished = 0x67657263'6f727063;  // "cprocreg"

/// Of everything that lies in regions; changed whenever any of it is laid out anew.
constexpr std::uint64_t current_layout = 1;

}  // namespace

result<region> region::create(region_kind kind, std::size_t size) {
    COPROC_TRY(unique_fd file, system::memory_file(size));
    COPROC_TRY(std::byte * data, system::map_shared(file.get(), size));
    region made(std::move(file), data, size);
    made.as<region_head>() = {0, current_layout, static_cast<std::uint64_t>(kind), size};
    return made;
}

void region::finish() noexcept { as<region_head>().magic = finished; }

result<region> region::open(unique_fd file, region_kind kind, std::size_t at_least) {
    COPROC_TRY(const std::size_t size, system::memory_file_size(file.get()));
    if (size < at_least) return error(errc::bad_message, "not a coproc object");
    COPROC_TRY(std::byte * data, system::map_shared(file.get(), size));
    region opened(std::move(file), data, size);
    const region_head& head = opened.as<region_head>();
    if (head.magic != finished || head.size != size) {
        return error(errc::bad_message, "not a coproc object");
    }
    if (head.layout != current_layout) return errc::version_mismatch;
    if (head.kind != static_cast<std::uint64_t>(kind)) {
        return error(errc::bad_message, "another kind of coproc object");
    }
    return opened;
}

region::region(region&& other) noexcept
    : file_(std::move(other.file_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

region::~region() {
    if (data_ != nullptr) system::unmap(data_, size_);
}

}  // namespace coproc::detail
