#pragma once
// Messages over a Unix stream socket: bytes with a type and file descriptors, whole or not at all.
// Connections are this with types; so is the control socket between parent and child.
//
// On the wire: header {magic, fds, size, type}, then `size` bytes; the fds travel with the header's
// first byte. Invariants:
// 1. Senders take turns, and so do receivers: messages are never mixed, and are delivered in order.
// 2. What has been received stays in the socket's buffer until a whole message is handed out, so a
//    canceled receive loses nothing.
// 3. A send that is canceled or fails before its first byte has sent nothing. One that is canceled
//    or fails in mid-message (the peer does not read, and the message is larger than the socket's
//    room) cannot be taken back: the socket is closed, and both sides are told.
// 4. No call goes on for more than a megabyte or 128 messages without giving the loop a turn.

#include <coproc/bytes.hpp>
#include <coproc/detail/unique_fd.hpp>
#include <coproc/task.hpp>

#include "channels/receive_buffer.hpp"
#include "compose/turn.hpp"
#include "waits/fd_watch.hpp"

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace coproc::detail {

struct message_header {
    std::uint32_t magic;
    std::uint32_t fds;
    std::uint64_t size;
    std::uint64_t type;
};

/// The kernel's limit on the fds of one message (SCM_MAX_FD).
inline constexpr std::size_t max_message_fds = 253;

/// A message to be sent; all of it stays the sender's.
struct outgoing {
    std::uint64_t type;
    std::span<const std::byte> bytes;
    std::span<const int> fds;
};

class message_socket {
 public:
    explicit message_socket(unique_fd socket) noexcept
        : fd_(std::move(socket)), watch_(fd_.get()) {}

    int fd() const noexcept { return fd_.get(); }
    bool is_open() const noexcept { return static_cast<bool>(fd_); }
    /// Ends all waits with errc::closed; closes the handles that nobody has received.
    void close() noexcept;

    /// Lifetime: `message` and the socket until the end.
    task<result<void>> send(outgoing message);

    /// Larger messages are errc::message_too_large, before they have come. Default: no limit.
    void accept_up_to(std::size_t bytes) noexcept { largest_ = bytes; }

    /// The same without waiting: errc::would_block if there is no room for all of it, and then a
    /// message of more than a few KB may have been cut. For those who have no loop.
    result<void> try_send(outgoing message);

    /// The same, blocking while there is no room, however long. For those who have no loop.
    result<void> send_blocking(outgoing message);

    /// Suspends until a whole message is there and describes it. errc::end_of_stream or
    /// errc::truncated when the peer is gone.
    /// The message stays until take() or drop(): nobody else may receive meanwhile, so both are
    /// called by the holder of the receiver's turn, without suspending in between.
    /// With `enough` already when so many bytes of it are there; take_fds and drop need the whole.
    task<result<message_header>> wait_message(std::size_t enough = SIZE_MAX);
    turn& receivers() noexcept { return receivers_; }
    /// The bytes that have come of the message that wait_message has described; valid until the
    /// next wait or drop().
    std::span<const std::byte> body(const message_header& header) const noexcept;
    std::vector<unique_fd> take_fds(const message_header& header);
    void drop(const message_header& header) noexcept;

    /// Assembles what can be read without waiting; errc::would_block if no whole message is there.
    result<message_header> try_message();

    /// For a peer that knows nothing of messages: bare bytes, as many as there are, or as there is
    /// room for, and at least one (of no empty span). errc::end_of_stream when the peer is gone.
    /// Cancellation: none have been received or sent.
    task<result<std::size_t>> receive_stream(std::span<std::byte> into);
    task<result<std::size_t>> send_stream(std::span<const std::byte> from);

    /// What has been received and not handed out, to travel along with the socket.
    std::span<const std::byte> unread_bytes() const noexcept { return buffer_.content(); }
    std::vector<int> unread_fds() const;
    result<void> restore(std::span<const std::byte> bytes, std::vector<unique_fd> fds);

    /// Calls back when there is something to read; see fd_watch.
    fd_watch& watch() noexcept { return watch_; }

 private:
    struct progress;
    result<bool> has_message(message_header& header, std::size_t enough) const;
    result<void> read_some(std::size_t wanted);
    result<void> send_some(const outgoing& message, const message_header& header, progress& done);
    void spend(std::size_t bytes) noexcept;
    bool spent_all() noexcept;

    unique_fd fd_;
    fd_watch watch_;
    turn senders_{"its turn to send on a connection"};
    turn receivers_{"its turn to receive from a connection"};
    receive_buffer buffer_;
    std::deque<unique_fd> fds_;
    std::size_t credit_ = 0;
    std::size_t largest_ = PTRDIFF_MAX / 2;
};

}  // namespace coproc::detail
