#pragma once
// How values travel between processes: as bytes and attached file descriptors.
//
//   struct job { int id; std::filesystem::path file; };   // an aggregate needs nothing
//
//   template <>                                           // any other class says how
//   struct coproc::codec<account> {
//       static void encode(encoder& out, const account& a) { out.put(a.name()); }
//       static result<account> decode(decoder& in) {
//           COPROC_TRY(auto name, in.get<std::string>());
//           return account(std::move(name));
//       }
//   };
//
// Bytes are in native order: both ends are the same program on the same machine. A decoder may be
// fed by a hostile peer: whatever the bytes are, the answer is a value or errc::bad_message, and
// no count is believed before its bytes have come. What is nested deeper than 1000 levels (fewer
// if the nested objects are larger than half a KiB) does not travel.

#include <coproc/bytes.hpp>
#include <coproc/detail/message_bytes.hpp>
#include <coproc/detail/unique_fd.hpp>
#include <coproc/result.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

namespace coproc {

/// How a T travels; takes precedence over what coproc knows itself. Specialize with
///   static void encode(encoder&, const T&);
///   static result<T> decode(decoder&);
template <class T>
struct codec;

/// Specialize as true for a trivially copyable class with private members whose bytes mean the
/// same in another process, and all of whose byte patterns may be trusted to the peer.
template <class T>
inline constexpr bool enable_memcpy = false;

namespace detail {
template <class Coder>
class nesting;
class borrowing;
template <class T>
constexpr bool can_travel();
/// Does not compile unless T can travel; says what to do.
template <class T>
constexpr void check_transferable();
}  // namespace detail

/// Can a T travel?
template <class T>
inline constexpr bool transferable = detail::can_travel<T>();

namespace detail {
/// What get<T> returns: after check_transferable has spoken, nothing else shall complain.
template <class T>
using received = result<std::conditional_t<transferable<T>, T, void>>;
}  // namespace detail

/// Grows a message.
class encoder {
 public:
    encoder() = default;
    encoder(encoder&&) = default;
    encoder& operator=(encoder&&) = default;

    void write(std::span<const std::byte> data) { write(data.data(), data.size()); }
    void write(const void* data, std::size_t size) {
        if (size == 0) return;
        if (size >= least_borrowed_) return borrow(data, size);
        if (size > capacity_ - size_) grow(size);
        std::memcpy(buffer_.get() + size_, data, size);
        size_ += size;
    }
    /// For variable lengths: 1 byte if below 255, otherwise 9.
    void write_count(std::size_t count);
    /// One value, by its codec.
    template <class T>
    void put(const T& value);
    /// Lifetime: `fd` stays open until the message has been sent; the peer gets a duplicate.
    /// Errors: a negative fd fails the message with errc::closed.
    void attach(int fd);
    /// What the message refers to and is to live at least as long as a child that gets it.
    void keep(std::shared_ptr<const void> object) { kept_.push_back(std::move(object)); }
    std::vector<std::shared_ptr<const void>> take_kept() noexcept { return std::move(kept_); }
    /// The value is given away: handles with one owner may travel (moving(), arguments of a
    /// process).
    void give_away() noexcept { gives_away_ = true; }
    bool gives_away() const noexcept { return gives_away_; }
    /// The message cannot be sent; the first failure is the one that is reported.
    void fail(error why);

    result<void> status() const;
    /// Nothing has failed, and there is nothing but bytes.
    bool is_plain() const noexcept { return !failure_ && fds_.empty(); }
    /// Requires: nothing has been borrowed, as never in a user's codec.
    std::span<const std::byte> bytes() const noexcept {
        assert(borrowed_.empty());
        return {buffer_.get(), size_};
    }
    /// Of the message so far, in bytes.
    std::size_t size() const noexcept { return size_ + borrowed_size_; }
    /// How much memory it keeps, in bytes.
    std::size_t capacity() const noexcept { return capacity_; }
    /// All bytes, also those that have been borrowed.
    /// Lifetime: until the encoder is written to or cleared.
    detail::message_bytes content() const noexcept {
        return {{buffer_.get(), size_}, borrowed_, size()};
    }
    std::span<const int> fds() const noexcept { return fds_; }
    /// A copy of the bytes in a container of their own.
    coproc::bytes to_bytes() const;
    /// Ready for the next message; keeps the memory.
    void clear() noexcept {
        size_ = 0;
        borrowed_size_ = 0;
        borrowed_.clear();
        fds_.clear();
        if (!kept_.empty()) kept_.clear();
        failure_.reset();
    }

 private:
    friend class detail::nesting<encoder>;
    friend class detail::borrowing;
    static constexpr std::size_t never = SIZE_MAX;

    void grow(std::size_t more);
    void borrow(const void* data, std::size_t size);
    void copy_borrowed();

    std::unique_ptr<std::byte[]> buffer_;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
    std::size_t least_borrowed_ = never;
    std::size_t borrowed_size_ = 0;
    std::vector<detail::borrowed_bytes> borrowed_;
    std::size_t depth_ = 0;
    std::vector<int> fds_;
    std::vector<std::shared_ptr<const void>> kept_;
    bool gives_away_ = false;
    std::optional<error> failure_;
};

/// Reads a message. After a failure its position is unspecified.
class decoder {
 public:
    /// The piece that comes next, which is not empty.
    using next_piece = std::span<const std::byte> (*)(void* source);

    /// Lifetime: the bytes outlive the decoder. It owns the fds, and closes those not taken.
    explicit decoder(std::span<const std::byte> data, std::vector<detail::unique_fd> fds = {})
        : rest_(data), fds_(std::move(fds)) {}
    /// Of `size` bytes that lie in pieces.
    /// Lifetime: the pieces and the source outlive the decoder.
    decoder(std::size_t size, next_piece next, void* source) noexcept
        : next_(next), source_(source), later_(size) {}
    /// Goes on with other bytes; what was read before stays.
    void begin(std::span<const std::byte> data) noexcept {
        rest_ = data;
        later_ = 0;
    }
    decoder(const decoder&) = delete;
    decoder& operator=(const decoder&) = delete;

    /// One value, by its codec.
    template <class T>
    detail::received<T> get();
    /// The next n bytes, in place; they stay as long as the decoder.
    /// Errors: errc::bad_message if there are fewer.
    result<std::span<const std::byte>> read(std::size_t n) {
        if (n > rest_.size()) return read_across(n);
        const auto front = rest_.first(n);
        rest_ = rest_.subspan(n);
        return front;
    }
    /// The next bytes, as many as lie together, and at most n; none only at the end. For those
    /// who copy them: bytes that lie in pieces are not joined.
    std::span<const std::byte> read_some(std::size_t n);
    /// What write_count wrote, if there are at least that many bytes left.
    result<std::size_t> read_count();
    /// The next attached fd.
    /// Errors: errc::bad_message if none is left.
    result<detail::unique_fd> take_fd();

    std::size_t remaining() const noexcept { return rest_.size() + later_; }
    /// Errors: errc::bad_message if bytes are left over.
    result<void> finish() const {
        if (remaining() > 0) return errc::bad_message;
        return success();
    }

 private:
    friend class detail::nesting<decoder>;
    result<std::span<const std::byte>> read_across(std::size_t n);

    std::span<const std::byte> rest_;
    next_piece next_ = nullptr;
    void* source_ = nullptr;
    std::size_t later_ = 0;  ///< bytes in later pieces
    std::vector<coproc::bytes> joined_;
    std::vector<detail::unique_fd> fds_;
    std::size_t fds_taken_ = 0;
    std::size_t depth_ = 0;
};

/// A named value that a send shall give away; see moving.
template <class T>
class moving_t {
 public:
    explicit moving_t(T& value) noexcept : value_(&value) {}

    /// What to encode.
    const T& get() const noexcept { return *value_; }
    /// Given away at once, whatever becomes of it.
    T&& take() const noexcept { return std::move(*value_); }
    /// The send has succeeded: the value is moved out of its name and destroyed.
    void consume() { [[maybe_unused]] T gone(std::move(*value_)); }

 private:
    T* value_;
};

/// `co_await pipe.send(coproc::moving(job))` sends a move-only job and leaves a moved-from one;
/// if the send fails the job is untouched.
/// Lifetime: the named value outlives the send.
template <class T>
    requires(!std::is_const_v<T>)
moving_t<T> moving(T& value) noexcept {
    return moving_t<T>(value);
}
template <class T>
void moving(const T&&) = delete;  // give it a name first

namespace detail {

/// Travels with a message, so that a receiver who asks for another type is told so. The same in
/// every process of one program; cvref does not matter.
template <class T>
std::uint64_t fingerprint() {
    static const std::uint64_t value = typeid(T).hash_code();
    return value;
}

}  // namespace detail

}  // namespace coproc

#include <coproc/detail/codec_alternatives.hpp>
#include <coproc/detail/codec_maps.hpp>
#include <coproc/detail/codec_products.hpp>
#include <coproc/detail/codec_scalars.hpp>
#include <coproc/detail/codec_sequences.hpp>
#include <coproc/detail/transferable.hpp>
