#include <coproc/codec.hpp>

#include <algorithm>
#include <cassert>

namespace coproc {

namespace {

// Counts below it are one byte; it announces eight more.
constexpr std::uint8_t long_count = 255;

}  // namespace

void encoder::grow(std::size_t more) {
    const std::size_t capacity = std::max({size_ + more, 2 * capacity_, std::size_t{256}});
    auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
    if (size_ > 0) std::memcpy(larger.get(), buffer_.get(), size_);
    buffer_ = std::move(larger);
    capacity_ = capacity;
}

void encoder::borrow(const void* data, std::size_t size) {
    borrowed_.push_back({size_, {static_cast<const std::byte*>(data), size}});
    borrowed_size_ += size;
}

void encoder::copy_borrowed() {
    auto whole = content();
    encoder copy;
    copy.grow(whole.size());
    copy.size_ = whole.size();
    whole.read(copy.buffer_.get(), copy.size_);
    buffer_ = std::move(copy.buffer_);
    size_ = copy.size_;
    capacity_ = copy.capacity_;
    borrowed_.clear();
    borrowed_size_ = 0;
}

void encoder::write_count(std::size_t count) {
    const bool is_short = count < long_count;
    const auto first = is_short ? static_cast<std::uint8_t>(count) : long_count;
    write(&first, 1);
    if (!is_short) write(&count, sizeof(count));
}

void encoder::attach(int fd) {
    if (fd < 0) return fail(errc::closed);
    fds_.push_back(fd);
}

void encoder::fail(error why) {
    if (!failure_) failure_ = std::move(why);
}

result<void> encoder::status() const {
    if (failure_) return *failure_;
    return success();
}

coproc::bytes encoder::to_bytes() const { return detail::copy_of(bytes()); }

std::span<const std::byte> decoder::read_some(std::size_t n) {
    if (rest_.empty() && later_ > 0) {
        rest_ = next_(source_);
        later_ -= rest_.size();
    }
    const auto front = rest_.first(std::min(n, rest_.size()));
    rest_ = rest_.subspan(front.size());
    return front;
}

result<std::span<const std::byte>> decoder::read_across(std::size_t n) {
    if (n > remaining()) return errc::bad_message;
    coproc::bytes& whole = joined_.emplace_back();
    whole.reserve(n);
    while (whole.size() < n) {
        const auto piece = read_some(n - whole.size());
        whole.insert(whole.end(), piece.begin(), piece.end());
    }
    return std::span<const std::byte>(whole);
}

result<std::size_t> decoder::read_count() {
    COPROC_TRY(const auto first, read(1));
    auto count = static_cast<std::size_t>(first[0]);
    if (count == long_count) {
        COPROC_TRY(const auto all, read(sizeof(count)));
        std::memcpy(&count, all.data(), sizeof(count));
    }
    if (count > remaining()) return errc::bad_message;
    return count;
}

result<detail::unique_fd> decoder::take_fd() {
    if (fds_taken_ == fds_.size()) return errc::bad_message;
    return std::move(fds_[fds_taken_++]);
}

namespace detail {

void message_bytes::read_parts(std::byte* into, std::size_t count) noexcept {
    assert(count <= size_);
    size_ -= count;
    while (count > 0) {
        const bool is_own = borrowed_.empty() || read_ < borrowed_.front().before;
        const std::size_t own_end = borrowed_.empty() ? own_.size() : borrowed_.front().before;
        const auto next = is_own ? own_.subspan(read_, own_end - read_)
                                 : borrowed_.front().part.subspan(of_part_);
        const std::size_t taken = std::min(count, next.size());
        std::memcpy(into, next.data(), taken);
        into += taken;
        count -= taken;
        if (is_own) {
            read_ += taken;
        } else if (taken < next.size()) {
            of_part_ += taken;
        } else {
            borrowed_ = borrowed_.subspan(1);
            of_part_ = 0;
        }
    }
}

// Here and not in the header: inlined into a program, GCC 12 takes it for an overflow.
coproc::bytes copy_of(std::span<const std::byte> data) { return {data.begin(), data.end()}; }

void append_bytes(coproc::bytes& into, decoder& in, std::size_t count) {
    while (count > 0) {
        const auto piece = in.read_some(count);
        into.insert(into.end(), piece.begin(), piece.end());
        count -= piece.size();
    }
}

void fail_too_deep(encoder& out) {
    out.fail(error(errc::message_too_large, "a value nested more than 1000 levels deep"));
}

}  // namespace detail

}  // namespace coproc
