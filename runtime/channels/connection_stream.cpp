// Bare bytes over the socket of a connection.

#include <coproc/sleep.hpp>

#include "channels/connection_state.hpp"
#include "words/system.hpp"

#include <algorithm>
#include <cstring>

namespace coproc::detail {

task<result<std::size_t>> message_socket::receive_stream(std::span<std::byte> into) {
    if (!receivers_.try_take()) {
        COPROC_CO_TRY(co_await receivers_.wait());
    }
    const turn::holder mine(receivers_);
    for (;;) {
        COPROC_CO_TRY(co_await cancellation_point());
        if (!is_open()) co_return errc::closed;
        if (spent_all()) {
            COPROC_CO_TRY(co_await loop_turn());
            continue;
        }
        const std::size_t count = std::min(into.size(), buffer_.size());
        if (count == into.size() || count > 0) {
            if (count > 0) std::memcpy(into.data(), buffer_.content().data(), count);
            buffer_.consume(count);
            fds_.clear();  // nobody asks for any
            spend(count);
            co_return count;
        }
        result<void> outcome = read_some(0);
        if (!outcome && outcome.error() == errc::would_block) {
            outcome = co_await watch_.readable();
        }
        COPROC_CO_TRY(std::move(outcome));
    }
}

task<result<std::size_t>> message_socket::send_stream(std::span<const std::byte> from) {
    if (!senders_.try_take()) {
        COPROC_CO_TRY(co_await senders_.wait());
    }
    const turn::holder mine(senders_);
    for (;;) {
        COPROC_CO_TRY(co_await cancellation_point());
        if (!is_open()) co_return errc::closed;
        if (from.empty()) co_return std::size_t{0};
        if (spent_all()) {
            COPROC_CO_TRY(co_await loop_turn());
            continue;
        }
        // sendmsg does not write through its iovecs.
        ::iovec part{const_cast<std::byte*>(from.data()), from.size()};
        ::msghdr call{};
        call.msg_iov = &part;
        call.msg_iovlen = 1;
        const auto sent = system::send(fd_.get(), call);
        if (sent) spend(sent.value());
        if (sent || sent.error() != errc::would_block) co_return sent;
        COPROC_CO_TRY(co_await watch_.writable());
    }
}

namespace {

// Each of these keeps the socket that it works on, whatever becomes of the connection meanwhile.

task<result<std::size_t>> receive_bare(connection_ref from, std::span<std::byte> into) {
    COPROC_CO_TRY(check_receiver(from.get()));
    co_return co_await from->socket.receive_stream(into);
}

task<result<std::size_t>> send_bare(connection_ref to, std::span<const std::byte> from) {
    COPROC_CO_TRY(check_sender(to.get()));
    co_return co_await to->socket.send_stream(from);
}

}  // namespace

}  // namespace coproc::detail

namespace coproc {

task<result<std::size_t>> connection::recv_some(std::span<std::byte> into) {
    return detail::receive_bare(state_, into);
}

task<result<std::size_t>> connection::send_some(std::span<const std::byte> from) {
    return detail::send_bare(state_, from);
}

}  // namespace coproc
