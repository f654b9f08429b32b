#include <coproc/connection.hpp>
#include <coproc/sleep.hpp>

#include "channels/connection_state.hpp"
#include "words/system.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace coproc {

namespace {

/// The types of messages that are not values; no type_info hashes to so small a number.
constexpr std::uint64_t plain_bytes = 1;
constexpr std::uint64_t bare_fd = 2;

/// So much is copied between two turns of the loop.
constexpr std::size_t slice = std::size_t{1024} * 1024;

}  // namespace

using state = detail::connection_state;

connection& connection::operator=(connection&& other) noexcept {
    if (this == &other) return *this;
    close();
    state_ = std::move(other.state_);
    return *this;
}

void connection::close() noexcept {
    if (state_) state_->socket.close();
}

bool connection::is_open() const noexcept { return state_ && state_->socket.is_open(); }

int connection::fd() const noexcept { return state_ ? state_->socket.fd() : -1; }

result<void> detail::check_sender(const state* one) {
    if (one == nullptr || !one->socket.is_open()) return errc::closed;
    if (one->can_send) return success();
    return error(errc::not_supported, "send on the receiving end of a pipe");
}

result<void> detail::check_receiver(const state* one) {
    if (one == nullptr || !one->socket.is_open()) return errc::closed;
    if (one->can_receive) return success();
    return error(errc::not_supported, "receive on the sending end of a pipe");
}

namespace {

// Each of these keeps the socket that it works on, whatever becomes of the connection meanwhile.

/// Drops a message that has been handed out, also if what it was handed to throws.
class dropper {
 public:
    dropper(detail::message_socket& socket, const detail::message_header& header) noexcept
        : socket_(&socket), header_(&header) {}
    dropper(const dropper&) = delete;
    dropper& operator=(const dropper&) = delete;
    ~dropper() { socket_->drop(*header_); }

 private:
    detail::message_socket* socket_;
    const detail::message_header* header_;
};

result<void> use_and_drop(detail::message_socket& socket, const detail::message_header& header,
                          detail::use_message use, void* argument) {
    const dropper afterwards(socket, header);
    decoder message(socket.body(header), socket.take_fds(header));
    try {
        return use(argument, message);
    } catch (const std::bad_alloc&) {
        return std::errc::not_enough_memory;
    }
}

task<result<void>> wait_for_message(detail::connection_ref from) {
    COPROC_CO_TRY(detail::check_receiver(from.get()));
    detail::message_socket& socket = from->socket;
    if (!socket.receivers().try_take()) {
        COPROC_CO_TRY(co_await socket.receivers().wait());
    }
    const detail::turn::holder mine(socket.receivers());
    const auto arrived = co_await socket.wait_message();
    const bool at_end =
        !arrived && arrived.error() != errc::canceled && arrived.error() != errc::closed;
    if (arrived || at_end) co_return success();
    co_return arrived.error();
}

/// The bytes are copied as they come, while the peer is still sending, and stay in the buffer until
/// the message is whole: whoever is canceled has taken nothing.
template <class Destination>
task<result<void>> take_bytes(detail::connection_ref from, Destination& to) {
    COPROC_CO_TRY(detail::check_receiver(from.get()));
    detail::message_socket& socket = from->socket;
    if (!socket.receivers().try_take()) {
        COPROC_CO_TRY(co_await socket.receivers().wait());
    }
    const detail::turn::holder mine(socket.receivers());
    for (std::size_t taken = 0;;) {
        COPROC_CO_TRY(const detail::message_header header,
                      co_await socket.wait_message(to.next_part(taken)));
        if (header.type != plain_bytes) co_return errc::type_mismatch;
        COPROC_CO_TRY(to.begin(header.size));
        auto part = socket.body(header).subspan(taken);
        part = part.first(std::min(part.size(), slice));
        to.take(part);
        taken += part.size();
        if (taken < header.size) {
            if (part.size() == slice) {
                COPROC_CO_TRY(co_await detail::loop_turn());
            }
            continue;
        }
        (void)socket.take_fds(header);  // nobody asked for any
        socket.drop(header);
        co_return success();
    }
}

/// Destinations of take_bytes: a container of their own, and the caller's buffer.
struct growing_bytes {
    growing_bytes() = default;

    /// A container for what the peer has only announced would be too much trust.
    std::size_t next_part(std::size_t taken) const noexcept { return taken == 0 ? SIZE_MAX : 0; }
    result<void> begin(std::size_t size) {
        content.reserve(size);
        return success();
    }
    void take(std::span<const std::byte> part) {
        content.insert(content.end(), part.begin(), part.end());
    }

    bytes content;
};

struct given_buffer {
    explicit given_buffer(std::span<std::byte> into) noexcept : buffer(into) {}

    std::size_t next_part(std::size_t taken) const noexcept { return taken + 1; }
    result<void> begin(std::size_t announced) const {
        if (announced <= buffer.size()) return success();
        return error(errc::message_too_large, "the message has " + std::to_string(announced) +
                                                  " bytes, the buffer " +
                                                  std::to_string(buffer.size()));
    }
    void take(std::span<const std::byte> part) {
        // GCC 12 makes a loop over single bytes of std::ranges::copy.
        if (!part.empty()) std::memcpy(buffer.data() + size, part.data(), part.size());
        size += part.size();
    }

    std::span<std::byte> buffer;
    std::size_t size = 0;
};

task<result<bytes>> receive_bytes(detail::connection_ref from) {
    growing_bytes to;
    COPROC_CO_TRY(co_await take_bytes(std::move(from), to));
    co_return std::move(to.content);
}

task<result<std::size_t>> receive_bytes_into(detail::connection_ref from,
                                             std::span<std::byte> into) {
    given_buffer to(into);
    COPROC_CO_TRY(co_await take_bytes(std::move(from), to));
    co_return to.size;
}

task<result<unique_fd>> receive_fd(detail::connection_ref from) {
    unique_fd received;
    const auto take = [](void* to, decoder& message) -> result<void> {
        COPROC_TRY(*static_cast<unique_fd*>(to), message.take_fd());
        return success();
    };
    COPROC_CO_TRY(co_await detail::receive_value(std::move(from), bare_fd, take, &received));
    co_return received;
}

}  // namespace

task<result<void>> detail::send_value(connection_ref to, encoder body, std::uint64_t type) {
    COPROC_CO_TRY(check_sender(to.get()));
    COPROC_CO_TRY(body.status());
    co_return co_await to->socket.send({type, body.bytes(), body.fds()});
}

task<result<void>> detail::send_raw(connection_ref to, std::span<const std::byte> from) {
    COPROC_CO_TRY(check_sender(to.get()));
    co_return co_await to->socket.send({plain_bytes, from, {}});
}

task<result<void>> detail::receive_value(connection_ref from, std::uint64_t type, use_message use,
                                         void* argument) {
    COPROC_CO_TRY(detail::check_receiver(from.get()));
    message_socket& socket = from->socket;
    if (!socket.receivers().try_take()) {
        COPROC_CO_TRY(co_await socket.receivers().wait());
    }
    const turn::holder mine(socket.receivers());
    COPROC_CO_TRY(const message_header header, co_await socket.wait_message());
    if (header.type != type) co_return errc::type_mismatch;
    co_return use_and_drop(socket, header, use, argument);
}

task<result<bytes>> connection::recv_bytes() { return receive_bytes(state_); }
task<result<std::size_t>> connection::recv_bytes_into(std::span<std::byte> into) {
    return receive_bytes_into(state_, into);
}
task<result<void>> connection::wait_readable() { return wait_for_message(state_); }
task<result<unique_fd>> connection::recv_fd() { return receive_fd(state_); }

task<result<void>> connection::send_fd(int fd) {
    encoder body;
    body.attach(fd);
    return detail::send_value(state_, std::move(body), bare_fd);
}

namespace {

detail::connection_ref make_state(unique_fd socket, bool can_send, bool can_receive) {
    // NOLINTNEXTLINE(modernize-make-shared): an aggregate that cannot be moved
    return detail::connection_ref(
        new state{detail::message_socket(std::move(socket)), can_send, can_receive});
}

}  // namespace

result<std::pair<connection, connection>> make_pipe(bool both_ways) {
    COPROC_TRY(auto ends, system::socket_pair());
    if (!both_ways) {
        COPROC_TRY(system::shut_down(ends[0].get(), SHUT_WR));
    }
    return std::pair(connection(make_state(std::move(ends[0]), both_ways, true)),
                     connection(make_state(std::move(ends[1]), true, both_ways)));
}

result<std::pair<connection, connection>> pipe(pipe_kind kind) {
    return make_pipe(kind == pipe_kind::duplex);
}

void codec<connection>::encode(encoder& into, const connection& from) {
    if (!from.is_open()) {
        into.fail(error(errc::closed, "a connection in a message"));
        return;
    }
    if (!into.gives_away()) {
        into.fail(error(errc::not_supported,
                        "a connection has one owner: give it away with coproc::moving(name)"));
        return;
    }
    const state& sent = *from.state_;
    into.attach(sent.socket.fd());
    into.put(sent.can_send);
    into.put(sent.can_receive);
    const auto unread = sent.socket.unread_bytes();
    into.put(std::uint64_t{unread.size()});
    into.write(unread);
    const std::vector<int> fds = sent.socket.unread_fds();
    into.put(static_cast<std::uint32_t>(fds.size()));
    for (const int fd : fds) into.attach(fd);
}

result<connection> codec<connection>::decode(decoder& from) {
    COPROC_TRY(auto socket, from.take_fd());
    if (!system::is_unix_stream(socket.get())) return error(errc::bad_message, "not a connection");
    COPROC_TRY(system::set_nonblocking(socket.get()));
    COPROC_TRY(const bool can_send, from.get<bool>());
    COPROC_TRY(const bool can_receive, from.get<bool>());
    COPROC_TRY(const auto size, from.get<std::uint64_t>());
    COPROC_TRY(const auto unread, from.read(size));
    COPROC_TRY(const auto fd_count, from.get<std::uint32_t>());
    std::vector<unique_fd> fds;
    for (std::uint32_t i = 0; i < fd_count; ++i) {
        COPROC_TRY(auto fd, from.take_fd());
        fds.push_back(std::move(fd));
    }
    auto made = make_state(std::move(socket), can_send, can_receive);
    COPROC_TRY(made->socket.restore(unread, std::move(fds)));
    return connection(std::move(made));
}

}  // namespace coproc
