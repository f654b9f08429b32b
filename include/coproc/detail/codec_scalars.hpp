#pragma once
// What coproc knows of values: `builtin<T>` is the codec of every T that needs none from its user,
// and names in `parts` the types that have to travel with it. Here: values without parts, and the
// two functions that all codecs meet in. Every value is at least one byte, so that a count can be
// compared with the bytes that have come.

#include <coproc/codec.hpp>
#include <coproc/detail/aggregate.hpp>

#include <array>
#include <bit>
#include <chrono>

namespace coproc::detail {

template <class T>
struct builtin;

template <class T>
concept has_codec = requires { sizeof(codec<T>); };
template <class T>
concept has_builtin = requires { sizeof(builtin<T>); };

template <class T>
void encode_value(encoder& out, const T& value);
template <class T>
result<T> decode_value(decoder& in);

// -- which types are copied as they lie

// An enum without a fixed type is among them, although only the values that its enumerators' bits
// make are valid: no compiler can be asked for that range. Where a hostile peer may send others,
// fix the type, or specialize codec to check the value.
template <class T>
constexpr bool is_number() {
    if constexpr (std::is_enum_v<T>)
        return is_number<std::underlying_type_t<T>>();
    else
        return std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;
}

/// No byte pattern is invalid and no byte is padding: copied by memcpy, and whole arrays at once.
template <class T>
constexpr bool is_flat();
template <class T>
concept flat = is_flat<T>();

template <class T, class... Ms>
constexpr bool is_flat_aggregate(type_list<Ms...>) {
    return (flat<std::remove_const_t<Ms>> && ...) && (sizeof(Ms) + ... + 0) == sizeof(T);
}
template <class T>
inline constexpr bool is_flat_template = false;
template <class Rep, class Period>
inline constexpr bool is_flat_template<std::chrono::duration<Rep, Period>> = flat<Rep>;
template <class Clock, class Duration>
inline constexpr bool is_flat_template<std::chrono::time_point<Clock, Duration>> = flat<Duration>;
template <class T, std::size_t N>
inline constexpr bool is_flat_template<std::array<T, N>> = N > 0 && flat<T>;
template <class T>
inline constexpr bool is_std_array = false;
template <class T, std::size_t N>
inline constexpr bool is_std_array<std::array<T, N>> = true;

/// What travels member by member.
template <class T>
concept reflected = plain_aggregate<T> && !is_std_array<T>;

template <class T>
constexpr bool is_flat() {
    if constexpr (has_codec<T>)
        return false;
    else if constexpr (is_number<T>() || enable_memcpy<T> || is_flat_template<T>)
        return true;
    else if constexpr (std::is_array_v<T>)
        return flat<std::remove_all_extents_t<T>>;
    else if constexpr (reflected<T> && std::is_trivially_copyable_v<T>) {
        if constexpr (countable<T>)
            return is_flat_aggregate<T>(members_of<T>{});
        else
            return false;
    } else {
        return false;
    }
}

template <flat T>
struct builtin<T> {
    static_assert(std::is_trivially_copyable_v<T>,
                  "coproc: enable_memcpy is for trivially copyable types: specialize codec<T>");
    using parts = type_list<>;

    static void encode(encoder& out, const T& value) { out.write(&value, sizeof(T)); }
    static result<T> decode(decoder& in) {
        COPROC_TRY(const auto data, in.read(sizeof(T)));
        std::array<std::byte, sizeof(T)> copy;
        std::memcpy(copy.data(), data.data(), sizeof(T));
        return result<T>(std::in_place_type<T>, std::bit_cast<T>(copy));
    }
};

// -- bool and enums of bool, which not every byte is

template <class T>
    requires(!flat<T> && (std::is_same_v<T, bool> || std::is_enum_v<T>))
struct builtin<T> {
    using parts = type_list<>;

    static void encode(encoder& out, const T& value) {
        const std::byte byte{static_cast<bool>(value)};
        out.write(&byte, 1);
    }
    static result<T> decode(decoder& in) {
        COPROC_TRY(const auto data, in.read(1));
        if (data[0] > std::byte{1}) return errc::bad_message;
        return result<T>(std::in_place_type<T>, static_cast<T>(data[0] == std::byte{1}));
    }
};

// -- where all codecs meet

/// Counts how deep the calls are nested, weighing in how much stack one of them takes.
template <class Coder>
class nesting {
 public:
    nesting(Coder& coder, std::size_t object_size) : coder_(coder), weight_(1 + object_size / 512) {
        coder_.depth_ += weight_;
    }
    ~nesting() { coder_.depth_ -= weight_; }
    nesting(const nesting&) = delete;
    nesting& operator=(const nesting&) = delete;

    bool too_deep() const noexcept { return coder_.depth_ > 1000; }

 private:
    Coder& coder_;
    std::size_t weight_;
};

void fail_too_deep(encoder& out);

/// What is written is not copied if it is large. Not by a user's codec, which may write what it has
/// made itself, and look at the bytes so far.
class borrowing {
 public:
    /// Less is copied as fast as it is remembered.
    static constexpr std::size_t worthwhile = 256;

    borrowing(encoder& out, std::size_t least) noexcept
        : out_(out), before_(std::exchange(out.least_borrowed_, least)) {}
    /// From here on not, and what has been borrowed is copied.
    static borrowing nothing(encoder& out) {
        if (!out.borrowed_.empty()) out.copy_borrowed();
        return {out, encoder::never};
    }
    ~borrowing() { out_.least_borrowed_ = before_; }
    borrowing(const borrowing&) = delete;
    borrowing& operator=(const borrowing&) = delete;

 private:
    encoder& out_;
    std::size_t before_;
};

template <class T>
void encode_value(encoder& out, const T& value) {
    if constexpr (has_codec<T>) {
        const nesting<encoder> level(out, sizeof(T));
        if (level.too_deep()) return fail_too_deep(out);
        const auto copied = borrowing::nothing(out);
        const std::size_t before = out.size();
        codec<T>::encode(out, value);
        if (out.size() == before) out.write("", 1);
    } else {
        builtin<T>::encode(out, value);
    }
}

template <class T>
result<T> decode_value(decoder& in) {
    if constexpr (has_codec<T>) {
        const nesting<decoder> level(in, sizeof(T));
        if (level.too_deep()) return errc::bad_message;
        const std::size_t before = in.remaining();
        result<T> value = codec<T>::decode(in);
        if (value && in.remaining() == before) {
            COPROC_TRY(in.read(1));
        }
        return value;
    } else {
        return builtin<T>::decode(in);
    }
}

}  // namespace coproc::detail
