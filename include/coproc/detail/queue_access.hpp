#pragma once
// The queue of bytes, as code sees it that knows what type its messages have.

#include <coproc/codec.hpp>
#include <coproc/detail/use_message.hpp>
#include <coproc/task.hpp>

#include <cstddef>
#include <memory>
#include <span>
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

/// So many bytes are copied between two turns of the loop.
inline constexpr std::size_t slice = std::size_t{1024} * 1024;

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
/// A small message without suspending, if that is possible; otherwise nothing has happened.
bool put_bytes_now(const queue_ref& to, const message_bytes& message) noexcept;
bool put_message_now(const queue_ref& to, std::unique_ptr<encoder>& message);
task<result<void>> put_message(queue_ref to, std::unique_ptr<encoder> message);
task<result<void>> put_messages(queue_ref to, message_batch messages);
enum class short_get { done, not_yet, bad_message };
/// A message of exactly that size, if there is one without suspending.
short_get copy_message_now(const queue_ref& from, std::span<std::byte> into) noexcept;
/// Memory for the bytes of any small message.
using small_content = std::unique_ptr<std::byte[]>;
/// A message into `content`, if it is a small one and there without suspending; otherwise nothing
/// has happened, and its data() is null.
std::span<const std::byte> take_message_now(const queue_ref& from, small_content& content);
void keep_content(const queue_ref& of, small_content used) noexcept;
/// Without suspending, if that is possible, and the message no larger than a slice.
result<bool> get_message_now(const queue_ref& from, use_message use, void* argument,
                             leased_message& message);
/// While `use` leaves bytes it is called again, after a turn of the loop.
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

}  // namespace detail

}  // namespace coproc
