#pragma once
// tests/examples/http_server, running, and clients of it: curl, and one that says each byte itself.

#include "support/command.hpp"

#include <coproc/detail/unique_fd.hpp>

#include <sys/types.h>

#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace coproc::testing {

/// On a port of its own, with a deadline that nobody reaches. All processes of it are gone with the
/// object.
class http_server {
 public:
    enum class log { kept, dropped };  ///< more than a pipe's room has to be dropped

    explicit http_server(std::vector<std::string> options = {}, log wanted = log::kept);

    int port() const noexcept { return port_; }
    std::string url(std::string_view target) const;
    ::pid_t pid() const noexcept { return run_.pid(); }

    /// A start has been made, and so the fork server.
    void warm_up() const;
    /// The requests' processes, not the fork server, which warm_up() has made.
    std::vector<::pid_t> workers() const;
    std::size_t open_fds() const;

    /// One of its children, by SIGKILL: seldom the fork server, as three in a row would end the use
    /// of it for a while. False if there was none.
    bool kill_one(std::minstd_rand& random) const;
    void send_signal(int number) const { run_.send_signal(number); }
    /// Checks that it ends well, with nothing left, after it has been told to.
    ended_command finish();

 private:
    command run_;
    int port_ = 0;
    mutable ::pid_t forkserver_ = 0;
};

struct http_answer {
    int status = 0;
    std::string body;
};

/// What curl gets.
http_answer curl(const std::vector<std::string>& words);

/// The words of ApacheBench that asks `requests` times. It goes on whatever the answers are.
std::vector<std::string> bench(int requests, const std::string& url,
                               const std::vector<std::string>& more = {});

/// Reads when it wants to, or never.
class tcp_client {
 public:
    explicit tcp_client(int port);

    void send(std::string_view bytes) const;
    /// A request with nothing but its target.
    void get(std::string_view target) const;
    /// Reads until there is `text` in what has come since the last call; that, up to its end.
    std::string receive_until(std::string_view text);
    /// The rest, to the end of the stream.
    std::string receive_all();
    /// Something has come that nobody has read.
    bool has_received() const;
    void close() { socket_.reset(); }

 private:
    bool receive_some();

    detail::unique_fd socket_;
    std::string received_;
};

}  // namespace coproc::testing
