#pragma once
// The other ways of sending messages between processes, as flow.hpp wants them.

#include "flow.hpp"
#include "robust_mutex.hpp"

#include <boost/interprocess/ipc/message_queue.hpp>
#ifdef COPROC_BENCH_ZEROMQ
#include <zmq.h>
#endif

#include <sys/socket.h>

#include <algorithm>
#include <climits>
#include <mutex>

namespace coproc::bench {

outcome asio_flow(const flow& what);  // queue_bench_asio.cpp

/// A bare pipe. Messages of several processes stay whole by themselves only up to PIPE_BUF: of
/// larger ones each end is used under a lock.
class pipe_peer {
 public:
    static constexpr bool one_queue = true;

    explicit pipe_peer(const flow& what)
        : is_locked_(what.size > PIPE_BUF && what.producers + what.consumers > 2) {
        must(::pipe(ends_) == 0);
    }
    pipe_peer(const pipe_peer&) = delete;
    pipe_peer& operator=(const pipe_peer&) = delete;
    ~pipe_peer() {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }

    const pipe_peer& sender(const flow&, std::uint64_t) const { return *this; }
    const pipe_peer& receiver(const flow&, std::uint64_t) const { return *this; }

    void send(message_view message) const {
        const auto whole = held(locks_->of_senders);
        while (!message.empty()) {
            const ssize_t count = ::write(ends_[1], message.data(), message.size());
            must(count > 0);
            message = message.subspan(static_cast<std::size_t>(count));
        }
    }
    std::size_t receive(std::span<std::byte> into) const {
        const auto whole = held(locks_->of_receivers);
        for (auto rest = into; !rest.empty();) {
            const ssize_t count = ::read(ends_[0], rest.data(), rest.size());
            must(count > 0);
            rest = rest.subspan(static_cast<std::size_t>(count));
        }
        return into.size();
    }

 private:
    struct locks {
        alignas(64) robust_mutex of_senders;
        alignas(64) robust_mutex of_receivers;
    };

    std::unique_lock<robust_mutex> held(robust_mutex& one) const {
        return is_locked_ ? std::unique_lock(one) : std::unique_lock<robust_mutex>();
    }

    bool is_locked_;
    int ends_[2];
    forked_memory<locks> locks_;
};

/// A bare socket that keeps messages apart. Large ones need a buffer that root may ask for.
class seqpacket_peer {
 public:
    static constexpr bool one_queue = true;
    static constexpr int most_buffered = 4 * 1024 * 1024;

    static bool can(const flow& what) {
        const seqpacket_peer one(what);
        int most = 0;
        ::socklen_t size = sizeof most;
        must(::getsockopt(one.ends_[1], SOL_SOCKET, SO_SNDBUF, &most, &size) == 0);
        return what.size * 2 <= static_cast<std::uint64_t>(most);
    }
    explicit seqpacket_peer(const flow& what) {
        must(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends_) == 0);
        if (what.size < 65536) return;
        (void)::setsockopt(ends_[1], SOL_SOCKET, SO_SNDBUFFORCE, &most_buffered, sizeof(int));
    }
    seqpacket_peer(const seqpacket_peer&) = delete;
    seqpacket_peer& operator=(const seqpacket_peer&) = delete;
    ~seqpacket_peer() {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }

    const seqpacket_peer& sender(const flow&, std::uint64_t) const { return *this; }
    const seqpacket_peer& receiver(const flow&, std::uint64_t) const { return *this; }

    void send(message_view message) const {
        const ssize_t count = ::send(ends_[1], message.data(), message.size(), 0);
        must(count == static_cast<ssize_t>(message.size()));
    }
    std::size_t receive(std::span<std::byte> into) const {
        const ssize_t count = ::recv(ends_[0], into.data(), into.size(), 0);
        must(count > 0);
        return static_cast<std::size_t>(count);
    }

 private:
    int ends_[2];
};

/// Boost.Interprocess: its memory is fixed, and touched once in the beginning.
class boost_peer {
    using boost_queue = boost::interprocess::message_queue;

 public:
    static constexpr bool one_queue = true;

    explicit boost_peer(const flow& what)
        : name_("coproc_bench_" + std::to_string(::getpid()) + "_" + std::to_string(made_++)),
          queue_(boost::interprocess::create_only, name_.c_str(),
                 std::min<std::size_t>(10'000, memory / what.size), what.size) {
        // The forked workers have it mapped.
        boost_queue::remove(name_.c_str());
    }

    boost_peer& sender(const flow&, std::uint64_t) { return *this; }
    boost_peer& receiver(const flow&, std::uint64_t) { return *this; }

    void send(message_view message) { queue_.send(message.data(), message.size(), 0); }
    std::size_t receive(std::span<std::byte> into) {
        boost_queue::size_type size = 0;
        unsigned priority = 0;
        queue_.receive(into.data(), into.size(), size, priority);
        return size;
    }
    bool try_send(message_view message) {
        return queue_.try_send(message.data(), message.size(), 0);
    }
    bool try_receive(std::span<std::byte> into) {
        boost_queue::size_type size = 0;
        unsigned priority = 0;
        return queue_.try_receive(into.data(), into.size(), size, priority);
    }

 private:
    static inline int made_ = 0;

    std::string name_;
    boost_queue queue_;
};

#ifdef COPROC_BENCH_ZEROMQ
/// ZeroMQ has no queue that many take from: each producer serves the consumers in turn.
class zeromq_peer {
 public:
    static constexpr bool one_queue = false;

    explicit zeromq_peer(const flow& what) {
        static int made = 0;
        const std::string name = "ipc://@coproc_bench_" + std::to_string(::getpid()) + "_" +
                                 std::to_string(made++) + "_";
        for (std::uint64_t index = 0; index < what.consumers; ++index) {
            addresses_.push_back(name + std::to_string(index));
        }
    }

    class end {
     public:
        end(int kind, std::span<const std::string> addresses) : context_(::zmq_ctx_new()) {
            for (const std::string& address : addresses) {
                sockets_.push_back(::zmq_socket(context_, kind));
                const auto open = kind == ZMQ_PULL ? &::zmq_bind : &::zmq_connect;
                must(open(sockets_.back(), address.c_str()) == 0);
            }
        }
        end(const end&) = delete;
        end& operator=(const end&) = delete;
        /// Waits until everything has been sent.
        ~end() {
            for (void* socket : sockets_) ::zmq_close(socket);
            ::zmq_ctx_term(context_);
        }
        void send(message_view message) {
            void* const socket = sockets_[turn_++ % sockets_.size()];
            must(::zmq_send(socket, message.data(), message.size(), 0) >= 0);
        }
        std::size_t receive(std::span<std::byte> into) {
            const int count = ::zmq_recv(sockets_.front(), into.data(), into.size(), 0);
            must(count > 0);
            return static_cast<std::size_t>(count);
        }

     private:
        void* context_;
        std::vector<void*> sockets_;
        std::size_t turn_ = 0;
    };

    end sender(const flow&, std::uint64_t) const { return {ZMQ_PUSH, addresses_}; }
    end receiver(const flow&, std::uint64_t index) const {
        return {ZMQ_PULL, std::span(addresses_).subspan(index, 1)};
    }

 private:
    std::vector<std::string> addresses_;
};
#endif

}  // namespace coproc::bench
