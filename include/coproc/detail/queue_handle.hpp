#pragma once
// What queues of every kind do, with the type of their messages. The queue itself knows bytes.

#include <coproc/codec.hpp>
#include <coproc/detail/check_temporary.hpp>
#include <coproc/detail/use_message.hpp>
#include <coproc/task.hpp>

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace coproc {

/// Limits of a queue.
struct queue_options {
    /// So many messages wait at most; 0: as many as fit.
    std::size_t max_size = 0;
    /// So many bytes of messages, waiting or in hand; a put that finds no room waits. Memory is
    /// used as it is needed, up to about twice as much.
    std::size_t max_bytes = std::size_t{64} * 1024 * 1024;
};

namespace detail {

class byte_queue;
using queue_ref = std::shared_ptr<byte_queue>;

/// Messages one behind the other.
class message_batch {
 public:
    message_batch() = default;

    void reserve(std::size_t count) { ends_.reserve(count); }
    template <class T>
    void push_back(const T& message) {
        all_.put(message);
        ends_.push_back(all_.bytes().size());
    }
    const encoder& all() const noexcept { return all_; }

    bool empty() const noexcept { return next_ == ends_.size(); }
    std::span<const std::byte> front() const noexcept {
        return all_.bytes().subspan(begin_, ends_[next_] - begin_);
    }
    void pop_front() noexcept { begin_ = ends_[next_++]; }

 private:
    encoder all_;
    std::vector<std::size_t> ends_;
    std::size_t next_ = 0;
    std::size_t begin_ = 0;
};

/// The message that a lease is for.
struct leased_message {
    std::uint64_t cell = 0;
    std::uint64_t number = 0;
    std::size_t returns = 0;
};

result<queue_ref> make_queue(std::uint64_t type, const queue_options& options, bool joinable);
void encode_queue(encoder& into, const queue_ref& from);
result<queue_ref> decode_queue(decoder& from, std::uint64_t type, bool joinable);

/// For a message to that queue, with the memory of the last one. Of a handle that has been moved
/// from it is one that fails.
std::unique_ptr<encoder> make_encoder(const queue_ref& to);
/// Without suspending, if that is possible; otherwise nothing has happened.
bool put_message_now(const queue_ref& to, std::unique_ptr<encoder>& message);
task<result<void>> put_message(queue_ref to, std::unique_ptr<encoder> message);
task<result<void>> put_messages(queue_ref to, message_batch messages);
/// Memory for the bytes of any small message.
using small_content = std::unique_ptr<std::byte[]>;
/// A message into `content`, if it is a small one and there without suspending; otherwise nothing
/// has happened, and its data() is null.
std::span<const std::byte> take_message_now(const queue_ref& from, small_content& content);
void keep_content(const queue_ref& of, small_content used) noexcept;
/// Without suspending, if that is possible.
result<bool> get_message_now(const queue_ref& from, use_message use, void* argument,
                             leased_message& message);
task<result<leased_message>> get_message(queue_ref from, use_message use, void* argument);
task<result<void>> get_messages(queue_ref from, std::size_t most, use_message use, void* argument);
result<void> try_put_message(const queue_ref& to, std::unique_ptr<encoder> message);
result<leased_message> try_get_message(const queue_ref& from, use_message use, void* argument);
std::size_t queue_size(const queue_ref& of) noexcept;
bool queue_is_full(const queue_ref& one) noexcept;
result<void> close_queue(const queue_ref& one);

result<void> end_lease(const queue_ref& of, const leased_message& message);
result<void> end_oldest_lease(const queue_ref& of);
void give_back(const queue_ref& to, const leased_message& message);
task<result<void>> join_queue(queue_ref one);

/// Decodes behind the others in a vector of T.
template <class T>
result<void> decode_behind(void* others, decoder& message) {
    COPROC_TRY(auto decoded, message.template get<T>());
    COPROC_TRY(message.finish());
    static_cast<std::vector<T>*>(others)->push_back(std::move(decoded));
    return success();
}

class put_op : public short_way<put_op, void> {
 public:
    put_op(queue_ref to, std::unique_ptr<encoder> message) noexcept
        : to_(std::move(to)), message_(std::move(message)) {}

 private:
    friend short_way<put_op, void>;
    bool try_now() { return put_message_now(to_, message_); }
    result<void> outcome() { return success(); }
    task<result<void>> at_length() { return put_message(std::move(to_), std::move(message_)); }

    queue_ref to_;
    std::unique_ptr<encoder> message_;
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
    task<result<T>> at_length() { return from_start_to_end(std::move(from_)); }
    static task<result<T>> from_start_to_end(queue_ref from) {
        COPROC_CO_TRY(co_await cancellation_point());
        std::optional<T> value;
        leased_message message;
        COPROC_CO_TRY(const bool done, get_message_now(from, &decode_into<T>, &value, message));
        if (!done) {
            COPROC_CO_TRY(co_await get_message(std::move(from), &decode_into<T>, &value));
        }
        co_return std::move(*value);
    }

    queue_ref from_;
    std::optional<T> value_;
    std::optional<error> failure_;
};

template <class T>
class typed_queue {
 public:
    /// Suspends while the queue is full.
    /// Lifetime: `message` is encoded at once, and may change after the call.
    /// Cancellation: nothing was put.
    /// Errors: errc::closed; errc::message_too_large for more than max_bytes; errc::not_supported
    /// for a message with a handle in it, which only a connection can carry.
    [[nodiscard]] put_op put(const T& message) { return {queue_, encoded(message)}; }
    [[nodiscard]] put_op put(T&& message) {
        check_temporary<T>();
        return {queue_, encoded(message)};
    }
    /// Gives away the named value: it is empty when it has been put, and what it was otherwise.
    [[nodiscard]] task<result<void>> put(moving_t<T> message) {
        return consume_after({queue_, encoded(message.get())}, message);
    }
    /// Builds the message of `args` in place.
    template <class... Args>
    [[nodiscard]] put_op emplace(Args&&... args) {
        if constexpr (std::is_constructible_v<T, Args...>) {
            const T message(std::forward<Args>(args)...);
            return {queue_, encoded(message)};
        } else {
            const T message{std::forward<Args>(args)...};
            return {queue_, encoded(message)};
        }
    }
    /// All of them, one after the other, many under one lock; suspends where there is no room.
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

    /// The message that has waited longest. Suspends while there is none.
    /// Cancellation: no message is lost.
    /// Errors: errc::closed when the queue has been closed and is empty; errc::bad_message for what
    /// no coproc program has put.
    [[nodiscard]] get_op<T> get() { return get_op<T>(queue_); }
    /// Waits for one, and takes up to `most` that are there, under one lock as many as 64 KiB.
    /// Errors: like get(); one that is met behind others is told by the next get_some().
    [[nodiscard]] task<result<std::vector<T>>> get_some(std::size_t most) {
        return get_some_from(queue_, most);
    }

    /// The same without waiting: errc::would_block if the queue is full or empty (or locked by a
    /// process that has been stopped).
    result<void> try_put(const T& message) { return try_put_message(queue_, encoded(message)); }
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
    std::unique_ptr<encoder> encoded(const T& message) const {
        auto into = make_encoder(queue_);
        if constexpr (transferable<T>) into->put(message);
        return into;
    }
    static task<result<void>> consume_after(put_op putting, moving_t<T> message) {
        COPROC_CO_TRY(co_await std::move(putting));
        message.consume();
        co_return success();
    }
    static task<result<std::vector<T>>> get_some_from(queue_ref from, std::size_t most) {
        std::vector<T> taken;
        if (most == 0) co_return std::move(taken);
        COPROC_CO_TRY(co_await get_messages(std::move(from), most, &decode_behind<T>, &taken));
        co_return std::move(taken);
    }

    queue_ref queue_;
};

}  // namespace detail

}  // namespace coproc
