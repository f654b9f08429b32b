#include <coproc/connection.hpp>

#include "channels/message_socket.hpp"
#include "words/system.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace coproc {

namespace {

/// The types of messages that are not values; no type_info hashes to so small a number.
constexpr std::uint64_t plain_bytes = 1;
constexpr std::uint64_t bare_fd = 2;

}  // namespace

struct connection::state {
    detail::message_socket socket;
    bool can_send;
    bool can_receive;
};

connection::connection() noexcept = default;
connection::connection(connection&&) noexcept = default;
connection& connection::operator=(connection&&) noexcept = default;
connection::~connection() = default;
connection::connection(std::unique_ptr<state> made) noexcept : state_(std::move(made)) {}

void connection::close() noexcept {
    if (state_) state_->socket.close();
}

bool connection::is_open() const noexcept { return state_ && state_->socket.is_open(); }

int connection::fd() const noexcept { return state_ ? state_->socket.fd() : -1; }

namespace {

/// Sends what an encoder has made, and keeps it until the end.
task<result<void>> send_message(detail::message_socket& to, encoder body, std::uint64_t type) {
    COPROC_CO_TRY(body.status());
    co_return co_await to.send({type, body.bytes(), body.fds()});
}

task<result<void>> refuse(error why) { co_return why; }

error wrong_direction(const char* what) { return {errc::not_supported, what}; }

}  // namespace

task<result<void>> connection::send_encoded(encoder body, std::uint64_t type) {
    if (!is_open()) return refuse(errc::closed);
    if (!state_->can_send) return refuse(wrong_direction("send on the receiving end of a pipe"));
    return send_message(state_->socket, std::move(body), type);
}

task<result<void>> connection::send_raw(std::span<const std::byte> from) {
    if (!is_open()) return refuse(errc::closed);
    if (!state_->can_send) return refuse(wrong_direction("send on the receiving end of a pipe"));
    return state_->socket.send({plain_bytes, from, {}});
}

task<result<void>> connection::send_fd(int fd) {
    encoder body;
    body.attach(fd);
    return send_encoded(std::move(body), bare_fd);
}

task<result<void>> connection::receive(std::uint64_t type, use_message use, void* argument) {
    if (!is_open()) co_return errc::closed;
    if (!state_->can_receive) co_return wrong_direction("receive on the sending end of a pipe");
    detail::message_socket& socket = state_->socket;
    if (!socket.receivers().try_take()) {
        COPROC_CO_TRY(co_await socket.receivers().wait());
    }
    const detail::turn::holder mine(socket.receivers());
    COPROC_CO_TRY(const detail::message_header header, co_await socket.wait_message());
    if (header.type != type) co_return errc::type_mismatch;
    if (use == nullptr) co_return success();
    decoder message(socket.body(header), socket.take_fds(header));
    result<void> used = use(argument, message);
    socket.drop(header);
    co_return used;
}

task<result<void>> connection::wait_readable() {
    if (!is_open()) co_return errc::closed;
    detail::message_socket& socket = state_->socket;
    if (!socket.receivers().try_take()) {
        COPROC_CO_TRY(co_await socket.receivers().wait());
    }
    const detail::turn::holder mine(socket.receivers());
    const auto arrived = co_await socket.wait_message();
    if (!arrived && (arrived.error() == errc::canceled || arrived.error() == errc::closed)) {
        co_return arrived.error();
    }
    co_return success();
}

/// A large message is taken in slices between which the loop turns; it stays in place meanwhile,
/// because we have the receivers' turn.
template <class Destination>
task<result<void>> connection::take_bytes(Destination& to) {
    if (!is_open()) co_return errc::closed;
    if (!state_->can_receive) co_return wrong_direction("receive on the sending end of a pipe");
    detail::message_socket& socket = state_->socket;
    if (!socket.receivers().try_take()) {
        COPROC_CO_TRY(co_await socket.receivers().wait());
    }
    const detail::turn::holder mine(socket.receivers());
    COPROC_CO_TRY(const detail::message_header header, co_await socket.wait_message());
    if (header.type != plain_bytes) co_return errc::type_mismatch;
    COPROC_CO_TRY(to.begin(header.size));
    constexpr std::size_t slice = std::size_t{1024} * 1024;
    auto rest = socket.body(header);
    for (; rest.size() > slice; rest = rest.subspan(slice)) {
        to.take(rest.first(slice));
        COPROC_CO_TRY(co_await yield());
    }
    to.take(rest);
    (void)socket.take_fds(header);  // nobody asked for any
    socket.drop(header);
    co_return success();
}

task<result<bytes>> connection::recv_bytes() {
    struct {
        bytes into;
        result<void> begin(std::size_t size) {
            into.reserve(size);
            return success();
        }
        void take(std::span<const std::byte> slice) {
            into.insert(into.end(), slice.begin(), slice.end());
        }
    } all;
    COPROC_CO_TRY(co_await take_bytes(all));
    co_return std::move(all.into);
}

task<result<std::size_t>> connection::recv_bytes_into(std::span<std::byte> into) {
    struct {
        std::span<std::byte> into;
        std::size_t size = 0;
        result<void> begin(std::size_t announced) const {
            if (announced <= into.size()) return success();
            return error(errc::message_too_large, "the message has " + std::to_string(announced) +
                                                      " bytes, the buffer " +
                                                      std::to_string(into.size()));
        }
        void take(std::span<const std::byte> slice) {
            std::ranges::copy(slice, into.begin() + static_cast<std::ptrdiff_t>(size));
            size += slice.size();
        }
    } all{into};
    COPROC_CO_TRY(co_await take_bytes(all));
    co_return all.size;
}

task<result<unique_fd>> connection::recv_fd() {
    unique_fd received;
    const auto take = [](void* to, decoder& message) -> result<void> {
        COPROC_TRY(*static_cast<unique_fd*>(to), message.take_fd());
        return success();
    };
    COPROC_CO_TRY(co_await receive(bare_fd, take, &received));
    co_return received;
}

result<std::pair<connection, connection>> make_pipe(bool both_ways) {
    COPROC_TRY(auto ends, system::socket_pair());
    if (!both_ways) {
        COPROC_TRY(system::shut_down(ends[0].get(), SHUT_WR));
    }
    using state = connection::state;
    return std::pair(connection(std::unique_ptr<state>(
                         new state{detail::message_socket(std::move(ends[0])), both_ways, true})),
                     connection(std::unique_ptr<state>(
                         new state{detail::message_socket(std::move(ends[1])), true, both_ways})));
}

result<std::pair<connection, connection>> pipe(pipe_kind kind) {
    return make_pipe(kind == pipe_kind::duplex);
}

void codec<connection>::encode(encoder& into, const connection& from) {
    if (!from.is_open()) {
        into.fail(error(errc::closed, "a connection in a message"));
        return;
    }
    const connection::state& state = *from.state_;
    into.attach(state.socket.fd());
    into.put(state.can_send);
    into.put(state.can_receive);
    const auto unread = state.socket.unread_bytes();
    into.put(std::uint64_t{unread.size()});
    into.write(unread);
    const std::vector<int> fds = state.socket.unread_fds();
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
    std::unique_ptr<connection::state> made(
        new connection::state{detail::message_socket(std::move(socket)), can_send, can_receive});
    COPROC_TRY(made->socket.restore(unread, std::move(fds)));
    return connection(std::move(made));
}

}  // namespace coproc
