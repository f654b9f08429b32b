#pragma once
// Pipes: messages between two processes (or two tasks), typed or plain bytes, handles inside.
//
//   auto [ours, theirs] = coproc::pipe().value();
//   (co_await ours.send(std::string("Hello World"))).value();
//   auto text = (co_await theirs.recv<std::string>()).value();
//
// Any number of tasks may send and receive on one connection; messages stay whole and in order.
// A connection has one owner: to give it to a process, or to send it, is to move it, so that the
// other side sees the end when the owner dies.

#include <coproc/bytes.hpp>
#include <coproc/codec.hpp>
#include <coproc/detail/check_temporary.hpp>
#include <coproc/detail/unique_fd.hpp>
#include <coproc/detail/use_message.hpp>
#include <coproc/task.hpp>

#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace coproc {

using detail::unique_fd;

namespace detail {

/// The socket of a connection, kept by the connection and by what is pending on it.
struct connection_state;
using connection_ref = std::shared_ptr<connection_state>;

task<result<void>> send_value(connection_ref to, encoder body, std::uint64_t type);
task<result<void>> send_raw(connection_ref to, std::span<const std::byte> from);
task<result<void>> receive_value(connection_ref from, std::uint64_t type, use_message use,
                                 void* argument);

template <class T>
task<result<T>> receive(connection_ref from) {
    std::optional<T> value;
    COPROC_CO_TRY(
        co_await receive_value(std::move(from), fingerprint<T>(), decode_into<T>, &value));
    co_return std::move(*value);
}

/// Bytes that mean the same elsewhere: no pointers, no objects.
template <class Range>
concept plain_range =
    std::ranges::contiguous_range<const Range&> && std::ranges::sized_range<const Range&> &&
    std::is_trivially_copyable_v<std::ranges::range_value_t<const Range&>> &&
    !std::is_pointer_v<std::ranges::range_value_t<const Range&>>;

}  // namespace detail

/// One end of a pipe. May be moved while operations are pending, and destroyed: they end with
/// errc::closed. Its waits are all on one loop.
class connection {
 public:
    /// A closed connection.
    connection() noexcept = default;
    connection(connection&& other) noexcept = default;
    connection& operator=(connection&& other) noexcept;
    ~connection() { close(); }

    /// Sends one value. Suspends while the peer does not read and the socket is full. It is encoded
    /// in one go, as recv() decodes it: about 0.5 ms of the loop for each MB. What is much larger
    /// goes by send_bytes(), or as a string or vector of numbers through a queue: in slices.
    /// Lifetime: `message` is encoded at once, and may change after the call; handles in it stay
    /// open until the await ends. (Only what a process gets as an argument is kept until its end.
    /// So that a queue or lock is repaired at once when its receiver dies, keep a handle of it.)
    /// Cancellation: nothing was sent. A message of up to 32 KiB goes in one piece; of a larger one
    /// the first part may have gone, as much as there was room for, and cannot be taken back: then
    /// the connection is closed, and the peer gets errc::truncated.
    /// (So large are the pieces of Linux: UNIX_SKB_FRAGS_SZ in net/unix/af_unix.c.)
    /// Errors: errc::end_of_stream when the peer is gone, errc::closed after close(),
    /// errc::message_too_large for more than 253 handles; errc::not_supported on a receiving end,
    /// and for a message with a connection in it that is not given away by moving().
    template <class Message>
    [[nodiscard]] task<result<void>> send(const Message& message) {
        detail::check_transferable<Message>();
        return send_encoded(message, false);
    }
    /// A temporary that cannot be copied is given away.
    template <class Message>
        requires(!std::is_reference_v<Message> && !std::is_const_v<Message>)
    [[nodiscard]] task<result<void>> send(Message&& message) {
        detail::check_temporary<Message>();
        if constexpr (std::is_copy_constructible_v<Message>) {
            return send(std::as_const(message));
        } else {
            return send(moving_t<Message>(message));
        }
    }
    /// Gives away the named value: once it has been sent, the name is left empty and its handles
    /// are closed here; after an error it is what it was.
    /// Lifetime: the named value until the await ends.
    template <class Message>
    [[nodiscard]] task<result<void>> send(moving_t<Message> message) {
        detail::check_transferable<Message>();
        return consume_after(send_encoded(message.get(), true), message);
    }
    /// Sends a text.
    [[nodiscard]] task<result<void>> send(const char* text) { return send(std::string(text)); }
    [[nodiscard]] task<result<void>> send(std::string_view text) { return send(std::string(text)); }
    template <std::size_t Size>
    [[nodiscard]] task<result<void>> send(const char (&text)[Size]) {
        return send(std::string(text));
    }

    /// The next message, which must have been sent as a T.
    /// Cancellation: no message is lost, not even one that has half arrived.
    /// Errors: errc::end_of_stream when the peer is gone and everything has been received,
    /// errc::truncated when it died in mid-message; errc::type_mismatch if the next message is
    /// something else, and is kept; errc::bad_message for what no coproc program sent;
    /// std::errc::too_many_files_open if there is no room for its handles: they are lost, and the
    /// connection is closed.
    template <class T>
    [[nodiscard]] task<detail::received<T>> recv() {
        detail::check_transferable<T>();
        if constexpr (transferable<T>) return detail::receive<T>(state_);
    }

    /// Sends the bytes of a string, vector, array or span of plain values, as they are: those of
    /// "text" with the NUL at its end, those of "text"sv without.
    /// Lifetime: `from` until the await ends.
    template <detail::plain_range Range>
    [[nodiscard]] task<result<void>> send_bytes(const Range& from) {
        return detail::send_raw(
            state_, std::as_bytes(std::span(std::ranges::data(from), std::ranges::size(from))));
    }
    /// The next message, which must have been sent with send_bytes.
    [[nodiscard]] task<result<bytes>> recv_bytes();
    /// The same into `into`; how many bytes they are. errc::message_too_large if they are more than
    /// fit: the message is kept, for a larger buffer. After an error `into` holds anything.
    [[nodiscard]] task<result<std::size_t>> recv_bytes_into(std::span<std::byte> into);

    /// Bare bytes, without messages, to and from a program that knows nothing of coproc: the other
    /// end is a redirected stdin, stdout or stderr (see redirection). How many they are: as many as
    /// have come, or as there is room for, and at least one, except of an empty span.
    /// Lifetime: the bytes until the await ends.
    /// Cancellation: none was received, or sent.
    /// Errors: errc::end_of_stream when the program is gone, or has closed its end.
    [[nodiscard]] task<result<std::size_t>> recv_some(std::span<std::byte> into);
    [[nodiscard]] task<result<std::size_t>> send_some(std::span<const std::byte> from);

    /// Suspends until a receive would not: a whole message is there, or the end.
    [[nodiscard]] task<result<void>> wait_readable();

    /// Sends a duplicate of `fd`, which stays open here. Lifetime: `fd` until the await ends.
    [[nodiscard]] task<result<void>> send_fd(int fd);
    [[nodiscard]] task<result<unique_fd>> recv_fd();

    /// Ends what is pending with errc::closed; the peer sees the end of the stream.
    void close() noexcept;
    bool is_open() const noexcept;
    /// -1 if closed. Not to be read, written or closed.
    int fd() const noexcept;

 private:
    friend struct codec<connection>;
    friend result<std::pair<connection, connection>> make_pipe(bool both_ways);
    explicit connection(detail::connection_ref made) noexcept : state_(std::move(made)) {}

    template <class Message>
    task<result<void>> send_encoded(const Message& message, bool given_away) {
        encoder body;
        if (given_away) body.give_away();
        if constexpr (transferable<Message>) body.put(message);
        return detail::send_value(state_, std::move(body), detail::fingerprint<Message>());
    }
    template <class Message>
    static task<result<void>> consume_after(task<result<void>> sending, moving_t<Message> message) {
        COPROC_CO_TRY(co_await std::move(sending));
        message.consume();
        co_return success();
    }

    detail::connection_ref state_;
};

enum class pipe_kind { duplex, simplex };
inline constexpr pipe_kind duplex = pipe_kind::duplex;
inline constexpr pipe_kind simplex = pipe_kind::simplex;

/// Two connected ends. Duplex: both send and receive; simplex: the first receives, the second
/// sends.
/// Errors: std::errc::too_many_files_open.
result<std::pair<connection, connection>> pipe(pipe_kind kind = duplex);

/// A connection that travels takes with it what has arrived and has not been received.
template <>
struct codec<connection> {
    static void encode(encoder& into, const connection& from);
    static result<connection> decode(decoder& from);
};

}  // namespace coproc
