#include "channels/message_socket.hpp"

#include <coproc/sleep.hpp>

#include "words/system.hpp"

#include <algorithm>
#include <cstring>

namespace coproc::detail {

namespace {

constexpr std::uint32_t magic = 0x63727063;  // "cprc"
constexpr std::size_t slice = std::size_t{256} * 1024;
constexpr std::size_t credit_of_a_turn = std::size_t{1024} * 1024;
constexpr std::size_t cost_of_a_message = credit_of_a_turn / 128;

/// Space for the largest control message that the kernel delivers.
struct control_space {
    alignas(::cmsghdr) std::byte bytes[CMSG_SPACE(max_message_fds * sizeof(int))];
};

message_header header_of(const outgoing& message) {
    return {magic, static_cast<std::uint32_t>(message.fds.size()), message.bytes.size(),
            message.type};
}

result<void> check_fds(const outgoing& message) {
    if (message.fds.size() <= max_message_fds) return success();
    return error(errc::message_too_large, "a message takes at most 253 handles");
}

void put_fds(::msghdr& message, control_space& space, std::span<const int> fds) {
    if (fds.empty()) return;
    message.msg_control = space.bytes;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    ::cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
}

void take_received_fds(::msghdr& message, std::deque<unique_fd>& fds) {
    for (::cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            fds.emplace_back(fd);
        }
    }
}

}  // namespace

/// How much of a message has been sent, header included.
struct message_socket::progress {
    std::size_t sent = 0;
};

void message_socket::close() noexcept {
    watch_.close();
    fd_.reset();
    // Somebody may be waiting for the end of what they lead to.
    fds_.clear();
}

void message_socket::spend(std::size_t bytes) noexcept { credit_ += bytes + cost_of_a_message; }

/// True, once, if the loop is due a turn.
bool message_socket::spent_all() noexcept {
    if (credit_ < credit_of_a_turn) return false;
    credit_ = 0;
    return true;
}

task<result<void>> message_socket::send(outgoing message) {
    if (!is_open()) co_return errc::closed;
    COPROC_CO_TRY(check_fds(message));
    const cancel_scope& scope = co_await current_scope();
    COPROC_CO_TRY(co_await cancellation_point());
    if (!senders_.try_take()) {
        COPROC_CO_TRY(co_await senders_.wait());
    }
    const turn::holder mine(senders_);
    const message_header header = header_of(message);
    progress done;
    for (;;) {
        result<void> outcome = is_open() ? success() : result<void>(errc::closed);
        if (outcome && scope.is_canceled()) outcome = errc::canceled;
        if (outcome && spent_all()) outcome = co_await loop_turn();
        if (outcome && is_open()) outcome = send_some(message, header, done);
        if (outcome && done.sent == sizeof header + message.bytes.size()) co_return success();
        if (!outcome && outcome.error() == errc::would_block) {
            outcome = co_await watch_.writable();
        }
        if (outcome) continue;
        if (done.sent == 0 || !is_open()) co_return outcome;
        // What has been sent cannot be taken back, and no other message can follow it.
        close();
        co_return outcome.error().within("send in mid-message, connection closed");
    }
}

result<void> message_socket::try_send(outgoing message) {
    if (!is_open()) return errc::closed;
    const message_header header = header_of(message);
    progress done;
    while (done.sent < sizeof header + message.bytes.size()) {
        COPROC_TRY(send_some(message, header, done));
    }
    return success();
}

result<void> message_socket::send_blocking(outgoing message) {
    COPROC_TRY(check_fds(message));
    const message_header header = header_of(message);
    progress done;
    while (done.sent < sizeof header + message.bytes.size()) {
        const auto sent = send_some(message, header, done);
        if (!sent && sent.error() != errc::would_block) return sent;
        if (!sent) system::wait_for_room(fd());
        credit_ = 0;  // there is no loop that could be due a turn
    }
    return success();
}

/// Sends until the message is done, the socket is full (errc::would_block) or the loop is due a
/// turn (success with the rest unsent).
result<void> message_socket::send_some(const outgoing& message, const message_header& header,
                                       progress& done) {
    const auto head = std::as_bytes(std::span(&header, 1));
    while (done.sent < head.size() + message.bytes.size()) {
        const auto head_left = head.subspan(std::min(done.sent, head.size()));
        const auto body_left = message.bytes.subspan(done.sent - (head.size() - head_left.size()));
        const auto body_now = body_left.first(std::min(body_left.size(), slice));
        // sendmsg does not write through its iovecs.
        ::iovec parts[] = {{const_cast<std::byte*>(head_left.data()), head_left.size()},
                           {const_cast<std::byte*>(body_now.data()), body_now.size()}};
        ::msghdr call{};
        call.msg_iov = parts;
        call.msg_iovlen = std::size(parts);
        control_space space;
        if (done.sent == 0) put_fds(call, space, message.fds);
        COPROC_TRY(const std::size_t count, system::send(fd_.get(), call));
        done.sent += count;
        spend(count);
        if (credit_ >= credit_of_a_turn) return success();
    }
    return success();
}

/// Is a message in the buffer, or `enough` bytes of one? Fills in its header if that is there.
result<bool> message_socket::has_message(message_header& header, std::size_t enough) const {
    header = {};
    const auto content = buffer_.content();
    if (content.size() < sizeof header) return false;
    std::memcpy(&header, content.data(), sizeof header);
    if (header.magic != magic || header.fds > max_message_fds || header.size > PTRDIFF_MAX / 2) {
        return error(errc::bad_message, "header");
    }
    if (header.size > largest_) return errc::message_too_large;
    const std::size_t arrived = content.size() - sizeof header;
    if (arrived < header.size) return arrived >= enough;
    if (fds_.size() < header.fds) return error(errc::bad_message, "handles are missing");
    return true;
}

result<message_header> message_socket::try_message() {
    for (;;) {
        if (!is_open()) return errc::closed;
        message_header header;
        COPROC_TRY(const bool whole, has_message(header, SIZE_MAX));
        if (whole) return header;
        COPROC_TRY(read_some(sizeof header + header.size));
    }
}

task<result<message_header>> message_socket::wait_message(std::size_t enough) {
    for (;;) {
        COPROC_CO_TRY(co_await cancellation_point());
        if (!is_open()) co_return errc::closed;
        message_header header;
        COPROC_CO_TRY(const bool has_come, has_message(header, enough));
        if (spent_all()) {
            COPROC_CO_TRY(co_await loop_turn());
            continue;
        }
        if (has_come) {
            spend(0);
            co_return header;
        }
        const std::size_t before = buffer_.size();
        result<void> outcome = read_some(sizeof header + header.size);
        if (outcome) spend(buffer_.size() - before);
        if (!outcome && outcome.error() == errc::would_block) {
            outcome = co_await watch_.readable();
        }
        COPROC_CO_TRY(std::move(outcome));
    }
}

/// One read of at most a slice. `wanted` is how much the buffer should hold in the end.
result<void> message_socket::read_some(std::size_t wanted) {
    COPROC_TRY(auto room, buffer_.room(wanted));
    ::iovec part{room.data(), std::min(room.size(), slice)};
    control_space space;
    ::msghdr call{};
    call.msg_iov = &part;
    call.msg_iovlen = 1;
    call.msg_control = space.bytes;
    call.msg_controllen = sizeof space.bytes;
    // A peer that dies with unread data of ours resets the stream instead of ending it.
    const auto received = system::receive(fd_.get(), call);
    if (!received && received.error() != errc::end_of_stream) return received.error();
    const std::size_t count = received ? received.value() : 0;
    if (received) take_received_fds(call, fds_);
    if ((call.msg_flags & MSG_CTRUNC) != 0) {
        // The kernel has thrown handles away, and nobody can tell any more whose the others are.
        close();
        return error(std::make_error_code(std::errc::too_many_files_open),
                     "handles lost in receiving, connection closed");
    }
    // An honest peer's fds are those of one message begun before and of one begun in this read.
    if (fds_.size() > 2 * max_message_fds) {
        close();
        return error(errc::bad_message, "too many handles, connection closed");
    }
    buffer_.commit(count);
    if (count > 0) return success();
    return buffer_.size() > 0 ? errc::truncated : errc::end_of_stream;
}

std::span<const std::byte> message_socket::body(const message_header& header) const noexcept {
    const auto after_header = buffer_.content().subspan(sizeof header);
    return after_header.first(std::min<std::size_t>(after_header.size(), header.size));
}

std::vector<unique_fd> message_socket::take_fds(const message_header& header) {
    std::vector<unique_fd> taken;
    taken.reserve(header.fds);
    // They are gone if the socket was closed after wait_message.
    for (std::uint32_t i = 0; i < header.fds && !fds_.empty(); ++i) {
        taken.push_back(std::move(fds_.front()));
        fds_.pop_front();
    }
    return taken;
}

void message_socket::drop(const message_header& header) noexcept {
    buffer_.consume(sizeof header + header.size);
    // With no message begun, what is left was announced by none.
    if (buffer_.size() == 0) fds_.clear();
}

std::vector<int> message_socket::unread_fds() const {
    std::vector<int> fds;
    fds.reserve(fds_.size());
    for (const unique_fd& fd : fds_) fds.push_back(fd.get());
    return fds;
}

result<void> message_socket::restore(std::span<const std::byte> bytes, std::vector<unique_fd> fds) {
    for (unique_fd& fd : fds) fds_.push_back(std::move(fd));
    while (!bytes.empty()) {
        COPROC_TRY(auto room, buffer_.room(buffer_.size() + bytes.size()));
        const std::size_t count = std::min(room.size(), bytes.size());
        std::memcpy(room.data(), bytes.data(), count);
        buffer_.commit(count);
        bytes = bytes.subspan(count);
    }
    return success();
}

}  // namespace coproc::detail
