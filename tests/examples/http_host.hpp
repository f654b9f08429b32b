#pragma once
// What any server on libuv has of its own: a listening socket, its clients, its signal handlers.
// Nothing here knows of processes.

#include "http_connection.hpp"

#include <uv.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <memory>
#include <set>

class http_host : public http_service {
 public:
    explicit http_host(uv_loop_t* loop, const http_limits& limits = {})
        : loop_(loop), limits_(limits) {}
    http_host(const http_host&) = delete;
    http_host& operator=(const http_host&) = delete;

    /// Port 0: any that is free. 0 or libuv's error: then the loop has to turn until what was
    /// opened is closed.
    int listen(const char* address, int port) {
        const int failed = open(address, port);
        if (failed != 0) close();
        return failed;
    }

    int port() const {
        sockaddr_storage name{};
        int size = sizeof(name);
        uv_tcp_getsockname(&listener_, reinterpret_cast<sockaddr*>(&name), &size);
        return ntohs(reinterpret_cast<const sockaddr_in&>(name).sin_port);
    }

 protected:
    ~http_host() = default;

    virtual void on_signal() = 0;
    /// After stop_listening(): the last client has gone.
    virtual void on_all_gone() = 0;

    /// No new clients; those who are there get what they have asked for.
    void stop_listening() {
        listening_ = false;
        close_handle(&listener_);
        for (const auto& one : std::set(clients_)) one->close_when_idle();
        if (clients_.empty()) on_all_gone();
    }

    /// The loop ends when all of it has been closed, if nobody else has anything on it.
    void close() {
        listening_ = false;
        close_handle(&listener_);
        for (auto& one : signals_) close_handle(&one);
        for (const auto& one : std::set(clients_)) one->close();
    }

 private:
    static constexpr std::size_t most_clients = 500;

    int open(const char* address, int port) {
        sockaddr_in name{};
        if (const int failed = uv_ip4_addr(address, port, &name)) return failed;
        if (const int failed = uv_tcp_init(loop_, &listener_)) return failed;
        for (std::size_t i = 0; i < signals_.size(); ++i) {
            if (const int failed = uv_signal_init(loop_, &signals_[i])) return failed;
            signals_[i].data = this;
            uv_signal_start(&signals_[i], &on_signal_number, watched[i]);
        }
        listener_.data = this;
        const auto* generic = reinterpret_cast<const sockaddr*>(&name);
        if (const int failed = uv_tcp_bind(&listener_, generic, 0)) return failed;
        listening_ = true;
        return uv_listen(stream(), 128, &on_connection);
    }

    uv_stream_t* stream() noexcept { return reinterpret_cast<uv_stream_t*>(&listener_); }

    template <class Handle>
    static void close_handle(Handle* one) {
        auto* handle = reinterpret_cast<uv_handle_t*>(one);
        const bool opened = handle->type != UV_UNKNOWN_HANDLE;
        if (opened && uv_is_closing(handle) == 0) uv_close(handle, nullptr);
    }

    static void on_signal_number(uv_signal_t* handle, int) {
        static_cast<http_host*>(handle->data)->on_signal();
    }

    static void on_connection(uv_stream_t* listener, int status) {
        if (status == 0) static_cast<http_host*>(listener->data)->accept();
    }

    /// Whoever is not accepted waits in the kernel's queue: libuv listens again after the accept.
    void accept() {
        crowded_ = clients_.size() >= most_clients;
        if (crowded_) return;
        const auto made = std::make_shared<http_connection>(loop_, *this, limits_);
        clients_.insert(made);
        made->accept(stream());
    }

    void on_closed(const std::shared_ptr<http_connection>& one) override {
        clients_.erase(one);
        if (crowded_ && listening_) accept();
        if (!listening_ && clients_.empty()) on_all_gone();
    }

    static constexpr std::array watched{SIGTERM, SIGINT};

    uv_loop_t* loop_;
    const http_limits limits_;
    uv_tcp_t listener_{};
    std::array<uv_signal_t, watched.size()> signals_{};
    std::set<std::shared_ptr<http_connection>> clients_;
    bool listening_ = false;
    bool crowded_ = false;
};
