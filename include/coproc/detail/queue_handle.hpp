#pragma once
// What queues of every kind do, with the type of their messages. The queue itself knows bytes.

#include <coproc/detail/check_temporary.hpp>
#include <coproc/detail/queue_access.hpp>
#include <coproc/detail/queue_operations.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace coproc::detail {

/// Decodes behind the others in a vector of T.
template <class T>
result<void> decode_behind(void* others, decoder& message) {
    auto& all = *static_cast<std::vector<T>*>(others);
    if constexpr (flat<T>) {
        COPROC_TRY(const auto bytes, message.read(sizeof(T)));
        COPROC_TRY(message.finish());
        std::array<std::byte, sizeof(T)> copy;
        std::memcpy(copy.data(), bytes.data(), sizeof(T));
        all.push_back(std::bit_cast<T>(copy));
    } else {
        COPROC_TRY(auto decoded, message.template get<T>());
        COPROC_TRY(message.finish());
        all.push_back(std::move(decoded));
    }
    return success();
}

/// What a string is made of, but does not become by itself.
template <class Text, class T>
concept text_for = std::is_same_v<T, std::string> && !std::is_convertible_v<const Text&, T> &&
                   std::is_convertible_v<const Text&, std::string_view>;

template <class T>
class typed_queue {
 public:
    /// Suspends while the queue is full.
    /// Lifetime: `message` is read in the await; a large one (more than 4 KiB) stays as it is until
    /// the await ends. What is not awaited at once, as in spawn(), timeout() or when_all(), has a
    /// copy from the call on.
    /// Cancellation: nothing was put.
    /// Errors: errc::closed; errc::message_too_large for more than max_bytes; errc::not_supported
    /// for a message with a handle in it, which only a connection can carry.
    [[nodiscard]] put_of<T> put(const T& message) { return put_of<T>(queue_, message); }
    /// Takes `message` over, whatever becomes of the put.
    [[nodiscard]] put_op<T> put(T&& message) {
        check_temporary<T>();
        return put_op<T>(queue_, std::move(message));
    }
    /// Puts a text.
    template <text_for<T> Text>
    [[nodiscard]] put_op<T> put(const Text& text) {
        return put_op<T>(queue_, std::string_view(text));
    }
    /// Gives away the named value: it is empty when it has been put, and what it was otherwise.
    [[nodiscard]] task<result<void>> put(moving_t<T> message) {
        return consume_after(queue_, message);
    }
    /// Builds the message of `args`.
    template <class... Args>
    [[nodiscard]] put_op<T> emplace(Args&&... args) {
        if constexpr (std::is_constructible_v<T, Args...>) {
            return put_op<T>(queue_, std::forward<Args>(args)...);
        } else {
            return put_op<T>(queue_, T{std::forward<Args>(args)...});
        }
    }
    /// All of them, one after the other, many under one lock; suspends where there is no room. They
    /// are encoded by the call, all in one go.
    /// Cancellation: some have been put, from the first on.
    template <class Range>
    [[nodiscard]] task<result<void>> put_all(const Range& messages) {
        message_batch all;
        if constexpr (transferable<T>) {
            if constexpr (requires { std::size(messages); }) all.reserve(std::size(messages));
            for (const T& message : messages) all.push_back(message);
        }
        return put_messages(queue_, std::move(all));
    }

    /// The message that has waited longest. Suspends while there is none. A string or a vector of
    /// numbers larger than 1 MiB is copied in slices, between turns of the loop; any other type is
    /// decoded in one go, which takes about 0.5 ms for each MB.
    /// Cancellation: no message is lost; one that was being copied goes back to the front, also of
    /// a queue that others have been told is closed and empty. (So a timeout() has to leave time
    /// for copying: what is cut short begins anew.)
    /// Errors: errc::closed when the queue has been closed and is empty; errc::bad_message for what
    /// no coproc program has put.
    [[nodiscard]] get_op<T> get() { return get_op<T>(queue_); }
    /// Waits for one, and takes up to `most` that are there, under one lock as many as 64 KiB. Each
    /// is decoded in one go, whatever its type.
    /// Errors: like get(); one that is met behind others is told by the next get_some(), and so is
    /// what a codec throws, as errc::bad_message (or std::errc::not_enough_memory). A large message
    /// that was not decoded because of that goes back to the front, a small one is lost.
    [[nodiscard]] task<result<std::vector<T>>> get_some(std::size_t most) {
        return get_some_from(queue_, most);
    }

    /// The same without waiting, and in one go whatever the size: errc::would_block if the queue is
    /// full or empty (or locked by a process that has been stopped).
    result<void> try_put(const T& message) {
        return try_put_message(queue_, encoder_around(queue_, message));
    }
    template <text_for<T> Text>
    result<void> try_put(const Text& text) {
        return try_put(T(std::string_view(text)));
    }
    result<T> try_get() {
        std::optional<T> value;
        COPROC_TRY(try_get_message(queue_, &decode_into<T>, &value));
        return std::move(*value);
    }

    /// How many messages wait, at some moment.
    std::size_t size() const noexcept { return queue_size(queue_); }
    bool empty() const noexcept { return size() == 0; }
    bool full() const noexcept { return queue_is_full(queue_); }
    /// For everybody: from now on puts fail with errc::closed, and gets when the queue is empty.
    result<void> close() { return close_queue(queue_); }

    const queue_ref& ref() const noexcept { return queue_; }

 protected:
    explicit typed_queue(queue_ref made) noexcept : queue_(std::move(made)) {
        check_transferable<T>();
    }

 private:
    static task<result<void>> consume_after(queue_ref to, moving_t<T> message) {
        auto encoded = encoder_around(to, message.get());
        COPROC_CO_TRY(co_await put_message(std::move(to), std::move(encoded)));
        message.consume();
        co_return success();
    }
    static task<result<std::vector<T>>> get_some_from(queue_ref from, std::size_t most) {
        std::vector<T> taken;
        if (most == 0) co_return std::move(taken);
        taken.reserve(std::min({most, queue_size(from), slice / sizeof(T)}));
        COPROC_CO_TRY(co_await get_messages(std::move(from), most, &decode_behind<T>, &taken));
        co_return std::move(taken);
    }

    queue_ref queue_;
};

}  // namespace coproc::detail
