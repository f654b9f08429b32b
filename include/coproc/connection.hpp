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
#include <coproc/detail/unique_fd.hpp>
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

class message_socket;

/// GCC 12 destroys a temporary aggregate in a co_await expression twice.
template <class Message>
constexpr void check_temporary() {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
    static_assert(!std::is_aggregate_v<Message> || std::is_trivially_destructible_v<Message>,
                  "name the message first and pass the name: GCC 12 destroys a temporary aggregate "
                  "inside a co_await expression twice");
#endif
}

}  // namespace detail

/// One end of a pipe. Movable, also while its operations are pending; destroyed after them.
class connection {
 public:
    /// A closed connection.
    connection() noexcept;
    connection(connection&&) noexcept;
    connection& operator=(connection&&) noexcept;
    ~connection();

    /// Sends one value. Suspends while the peer does not read and the socket is full.
    /// Lifetime: `message` is encoded at once, and may change after the call.
    /// Cancellation: nothing was sent; a message larger than the socket's room (about 200 KB) that
    /// the peer has begun to receive cannot be taken back: the connection is closed, and the peer
    /// gets errc::truncated.
    /// Errors: errc::end_of_stream when the peer is gone, errc::closed after close(),
    /// errc::message_too_large for more than 253 handles, errc::not_supported on a receiving end.
    template <class Message>
    [[nodiscard]] task<result<void>> send(const Message& message) {
        detail::check_transferable<Message>();
        if constexpr (transferable<Message>) {
            encoder body;
            body.put(message);
            return send_encoded(std::move(body), detail::fingerprint<Message>());
        }
    }
    template <class Message>
        requires(!std::is_lvalue_reference_v<Message>)
    [[nodiscard]] task<result<void>> send(Message&& message) {
        detail::check_temporary<std::remove_cv_t<Message>>();
        return send(std::as_const(message));
    }
    /// Sends a text.
    [[nodiscard]] task<result<void>> send(const char* text) { return send(std::string(text)); }
    [[nodiscard]] task<result<void>> send(std::string_view text) { return send(std::string(text)); }
    /// Gives away the named value: once it has been sent, the name is left empty and its handles
    /// are closed here; after an error it is what it was.
    template <class Message>
    [[nodiscard]] task<result<void>> send(moving_t<Message> message) {
        detail::check_transferable<Message>();
        COPROC_CO_TRY(co_await send(std::as_const(message.get())));
        message.consume();
        co_return success();
    }

    /// The next message, which must have been sent as a T.
    /// Cancellation: no message is lost, not even one that has half arrived.
    /// Errors: errc::end_of_stream when the peer is gone and everything has been received,
    /// errc::truncated when it died in mid-message; errc::type_mismatch if the next message is
    /// something else, and is kept; errc::bad_message for what no coproc program sent.
    template <class T>
    [[nodiscard]] task<result<T>> recv();

    /// Sends bytes as they are, from anything contiguous. Lifetime: `from` until the await ends.
    template <class Bytes>
        requires std::ranges::contiguous_range<const Bytes&>
    [[nodiscard]] task<result<void>> send_bytes(const Bytes& from) {
        return send_raw(std::as_bytes(std::span(std::ranges::data(from), std::ranges::size(from))));
    }
    /// The next message, which must have been sent with send_bytes.
    [[nodiscard]] task<result<bytes>> recv_bytes();
    /// The same into `into`; how many bytes they are. errc::message_too_large if they are more than
    /// fit: the message is kept, for a larger buffer.
    [[nodiscard]] task<result<std::size_t>> recv_bytes_into(std::span<std::byte> into);

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
    struct state;
    explicit connection(std::unique_ptr<state> made) noexcept;

    task<result<void>> send_encoded(encoder body, std::uint64_t type);
    task<result<void>> send_raw(std::span<const std::byte> from);
    /// Waits for a message of `type`, and calls use(argument, its decoder) before it is dropped.
    using use_message = result<void> (*)(void* argument, decoder& message);
    task<result<void>> receive(std::uint64_t type, use_message use, void* argument);
    /// The next plain message, to `to`.
    template <class Destination>
    task<result<void>> take_bytes(Destination& to);

    std::unique_ptr<state> state_;
};

template <class T>
task<result<T>> connection::recv() {
    detail::check_transferable<T>();
    if constexpr (transferable<T>) {
        std::optional<T> value;
        const auto decode = [](void* into, decoder& message) -> result<void> {
            COPROC_TRY(auto decoded, message.template get<T>());
            COPROC_TRY(message.finish());
            static_cast<std::optional<T>*>(into)->emplace(std::move(decoded));
            return success();
        };
        COPROC_CO_TRY(co_await receive(detail::fingerprint<T>(), decode, &value));
        co_return std::move(*value);
    }
}

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
