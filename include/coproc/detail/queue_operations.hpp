#pragma once
// put and get of one message: without a coroutine if they need not wait, and without a copy on the
// way if the message is what it is made of (`flat`).

#include <coproc/detail/queue_access.hpp>

#include <array>
#include <bit>
#include <memory>
#include <optional>
#include <utility>

namespace coproc::detail {

/// The bytes of a message, large parts where they are.
template <class T>
std::unique_ptr<encoder> borrowed_by_encoder(const queue_ref& to, const T& message) {
    auto into = make_encoder(to);
    const borrowing large(*into, borrowing::worthwhile);
    if constexpr (transferable<T>) into->put(message);
    return into;
}

template <class T>
task<result<T>> get_at_length(queue_ref from) {
    COPROC_CO_TRY(co_await cancellation_point());
    std::optional<T> value;
    leased_message message;
    COPROC_CO_TRY(const bool done, get_message_now(from, &decode_into<T>, &value, message));
    if (!done) {
        COPROC_CO_TRY(co_await get_message(std::move(from), &decode_into<T>, &value));
    }
    co_return std::move(*value);
}

/// `Held` is T, or const T& for a message that stays as it is until the await ends; a task that is
/// made of it has a copy.
template <class T, class Held>
class put_op : public short_way<put_op<T, Held>, void> {
 public:
    template <class... Args>
    explicit put_op(queue_ref to, Args&&... message)
        : to_(std::move(to)), message_(std::forward<Args>(message)...) {}

 private:
    friend short_way<put_op, void>;
    bool try_now() {
        if constexpr (flat<T>) {
            return put_bytes_now(to_, message_bytes(std::as_bytes(std::span(&message_, 1))));
        } else {
            encoded_ = borrowed_by_encoder(to_, message_);
            return put_message_now(to_, encoded_);
        }
    }
    result<void> outcome() { return success(); }
    task<result<void>> at_length() {
        if (!encoded_) encoded_ = borrowed_by_encoder(to_, message_);
        return put_message(std::move(to_), std::move(encoded_));
    }
    task<result<void>> on_its_own() {
        auto copy = make_encoder(to_);
        if constexpr (transferable<T>) copy->put(message_);
        return put_message(std::move(to_), std::move(copy));
    }

    queue_ref to_;
    Held message_;
    std::unique_ptr<encoder> encoded_;
};

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
