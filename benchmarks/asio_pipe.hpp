#pragma once
// Messages through Boost.Asio coroutines: a Unix stream socket to a forked process.
//
// A message is its length in four bytes and its content, in one write; reading is buffered, so that
// many small messages come with one read. Slow to compile: only for files of its own.

#include "flow.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <sys/socket.h>

#include <exception>

namespace coproc::bench {

namespace asio = boost::asio;

/// Two sockets that are connected, made before a fork.
class asio_ends {
 public:
    asio_ends() { must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds_) == 0); }
    asio_ends(const asio_ends&) = delete;
    asio_ends& operator=(const asio_ends&) = delete;

    /// Each process takes one, and closes the other.
    int take(int which) const {
        ::close(fds_[1 - which]);
        return fds_[which];
    }

 private:
    int fds_[2];
};

class asio_pipe {
 public:
    asio_pipe(asio::io_context& home, int fd)
        : socket_(home, asio::local::stream_protocol(), fd), held_(std::size_t{64} << 10U) {}

    asio::awaitable<void> send(message_view message) {
        const auto size = static_cast<std::uint32_t>(message.size());
        const std::array<asio::const_buffer, 2> parts{asio::buffer(&size, sizeof size),
                                                      asio::buffer(message.data(), message.size())};
        co_await asio::async_write(socket_, parts, asio::use_awaitable);
    }

    /// Gives its size.
    asio::awaitable<std::size_t> receive(std::span<std::byte> into) {
        std::uint32_t size = 0;
        co_await fill(sizeof size);
        std::memcpy(&size, take(sizeof size), sizeof size);
        must(size <= into.size());
        const std::size_t first = std::min<std::size_t>(size, end_ - begin_);
        std::memcpy(into.data(), take(first), first);
        if (first < size) {
            const asio::mutable_buffer rest(into.data() + first, size - first);
            co_await asio::async_read(socket_, rest, asio::use_awaitable);
        }
        co_return size;
    }

 private:
    asio::awaitable<void> fill(std::size_t needed) {
        while (end_ - begin_ < needed) {
            std::memmove(held_.data(), held_.data() + begin_, end_ - begin_);
            end_ -= std::exchange(begin_, 0);
            const asio::mutable_buffer room(held_.data() + end_, held_.size() - end_);
            end_ += co_await socket_.async_read_some(room, asio::use_awaitable);
        }
    }
    const std::byte* take(std::size_t count) {
        return held_.data() + std::exchange(begin_, begin_ + count);
    }

    asio::local::stream_protocol::socket socket_;
    std::vector<std::byte> held_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

/// Runs work(pipe), a coroutine, on a loop of its own, until it has ended. What it throws ends the
/// process.
template <class Work>
void run_asio(int fd, const Work& work) {
    asio::io_context home(1);
    asio_pipe pipe(home, fd);
    asio::co_spawn(home, work(pipe), [](const std::exception_ptr& thrown) { must(!thrown); });
    home.run();
}

}  // namespace coproc::bench
