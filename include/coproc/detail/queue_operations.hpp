#pragma once
// put and get of one message: without a coroutine if they need not wait, and without a copy on the
// way if the message is what it is made of (`flat`).

#include <coproc/detail/queue_access.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace coproc::detail {

template <class T>
std::unique_ptr<encoder> encoder_with(const queue_ref& to, const T& message) {
    auto into = make_encoder(to);
    if constexpr (transferable<T>) into->put(message);
    return into;
}
/// The same without copying large parts.
/// Lifetime: the message stays as it is until the encoder has been read.
template <class T>
std::unique_ptr<encoder> encoder_around(const queue_ref& to, const T& message) {
    auto into = make_encoder(to);
    const borrowing large(*into, borrowing::worthwhile);
    if constexpr (transferable<T>) into->put(message);
    return into;
}

template <class T>
message_bytes bytes_of(const T& message) noexcept {
    return message_bytes(std::as_bytes(std::span(&message, 1)));
}

/// What can be decoded part by part: strings and vectors of flat elements.
template <class T>
concept decoded_in_slices =
    !has_codec<T> && requires(T& into, decoder& message) { builtin<T>::append(into, message, 1); };

/// Decodes into an optional T, empty at first: at most a slice at a time, if that can be done.
template <class T>
result<void> decode_slice(void* into, decoder& message) {
    if constexpr (decoded_in_slices<T>) {
        constexpr std::size_t size = sizeof(typename T::value_type);
        auto& value = *static_cast<std::optional<T>*>(into);
        if (!value) {
            COPROC_TRY(const std::size_t count, message.read_count());
            const std::size_t bytes = message.remaining();
            if (bytes % size != 0 || bytes / size != count) return errc::bad_message;
            value.emplace().reserve(count);
        }
        const std::size_t most = std::max(slice / size, std::size_t{1});
        builtin<T>::append(*value, message, std::min(message.remaining() / size, most));
        return success();
    } else {
        return decode_into<T>(into, message);
    }
}

template <class T>
task<result<T>> get_at_length(queue_ref from) {
    COPROC_CO_TRY(co_await cancellation_point());
    std::optional<T> value;
    leased_message message;
    COPROC_CO_TRY(const bool done, get_message_now(from, &decode_slice<T>, &value, message));
    if (!done) {
        COPROC_CO_TRY(co_await get_message(std::move(from), &decode_slice<T>, &value));
    }
    co_return std::move(*value);
}

/// Has its message.
template <class T>
class put_op : public short_way<put_op<T>, void> {
 public:
    template <class... Args>
    explicit put_op(queue_ref to, Args&&... message)
        : to_(std::move(to)), message_(std::forward<Args>(message)...) {}

 private:
    friend short_way<put_op, void>;
    bool try_now() {
        if constexpr (flat<T>) {
            return put_bytes_now(to_, bytes_of(message_));
        } else {
            encoded_ = encoder_around(to_, message_);
            return put_message_now(to_, encoded_);
        }
    }
    result<void> outcome() { return success(); }
    task<result<void>> at_length() {
        if (!encoded_) encoded_ = encoder_around(to_, message_);
        return put_message(std::move(to_), std::move(encoded_));
    }
    task<result<void>> on_its_own() { return put_message(to_, encoder_with(to_, message_)); }

    queue_ref to_;
    T message_;
    std::unique_ptr<encoder> encoded_;
};

/// Refers to its message, which is read when it is awaited. Moved, as by everything that takes it
/// to await it later, it has a copy.
template <class T>
class put_reference_op : public short_way<put_reference_op<T>, void> {
    using base = short_way<put_reference_op<T>, void>;

 public:
    using refers_to_its_message = T;

    put_reference_op(queue_ref to, const T& message) noexcept
        : message_(&message), to_(std::move(to)) {}
    put_reference_op(put_reference_op&& other) noexcept(false)
        : base(), encoded_(other.copy()), to_(std::move(other.to_)) {}
    put_reference_op& operator=(put_reference_op&&) = delete;
    ~put_reference_op() = default;

 private:
    friend base;
    bool try_now() {
        if (message_ != nullptr) encoded_ = encoder_around(to_, *message_);
        return put_message_now(to_, encoded_);
    }
    result<void> outcome() { return success(); }
    task<result<void>> at_length() {
        if (!encoded_) encoded_ = encoder_around(to_, *message_);
        // A small one may change while it waits.
        if (message_ != nullptr && encoded_->size() <= small) encoded_ = copy();
        return put_message(std::move(to_), std::move(encoded_));
    }
    task<result<void>> on_its_own() { return put_message(to_, copy()); }

    std::unique_ptr<encoder> copy() {
        if (message_ == nullptr) return std::move(encoded_);
        return encoder_with(to_, *message_);
    }

    static constexpr std::size_t small = 4096;

    const T* message_ = nullptr;  // or encoded_ is a copy
    std::unique_ptr<encoder> encoded_;
    queue_ref to_;
};

/// A small message without parts elsewhere is sooner copied than looked after.
template <class T>
using put_of = std::conditional_t<flat<T> && sizeof(T) <= 256, put_op<T>, put_reference_op<T>>;

template <class T>
class get_op : public short_way<get_op<T>, T> {
 public:
    explicit get_op(queue_ref from) noexcept : from_(std::move(from)) {}

 private:
    friend short_way<get_op, T>;
    bool try_now() {
        small_content content;
        const auto bytes = take_message_now(from_, content);
        if (bytes.data() == nullptr) return false;
        decoder message(bytes);
        if (auto decoded = decode_into<T>(&value_, message); !decoded) failure_ = decoded.error();
        keep_content(from_, std::move(content));
        return true;
    }
    result<T> outcome() {
        if (failure_) return *failure_;
        return std::move(*value_);
    }
    task<result<T>> at_length() { return get_at_length<T>(std::move(from_)); }
    task<result<T>> on_its_own() { return at_length(); }

    queue_ref from_;
    std::optional<T> value_;
    std::optional<error> failure_;
};

template <flat T>
class get_op<T> : public short_way<get_op<T>, T> {
 public:
    explicit get_op(queue_ref from) noexcept : from_(std::move(from)) {}

 private:
    friend short_way<get_op, T>;
    bool try_now() noexcept {
        got_ = copy_message_now(from_, bytes_);
        return got_ != short_get::not_yet;
    }
    result<T> outcome() {
        if (got_ == short_get::bad_message) return errc::bad_message;
        return result<T>(std::in_place_type<T>, std::bit_cast<T>(bytes_));
    }
    task<result<T>> at_length() { return get_at_length<T>(std::move(from_)); }
    task<result<T>> on_its_own() { return at_length(); }

    queue_ref from_;
    short_get got_ = short_get::not_yet;
    std::array<std::byte, sizeof(T)> bytes_;
};

}  // namespace coproc::detail
