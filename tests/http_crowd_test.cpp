// Whether a client that accounts for its requests notices what a server does to them: here one that
// loses them in each way that there is.

#include "support/http_crowd.hpp"

#include "support/catch.hpp"
#include "support/command.hpp"

#include <coproc/detail/unique_fd.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using coproc::detail::unique_fd;
using coproc::testing::http_asker;
using coproc::testing::http_crowd;
using coproc::testing::http_ending;
using coproc::testing::http_question;
using coproc::testing::http_tally;

enum class then { stay, close, reset };

/// What the server does when it is asked for `target`, and what a client has to call it.
struct behavior {
    std::string_view target;
    std::string_view bytes;
    then after;
    http_ending seen;
};

#define COPROC_STREAM "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define COPROC_SIZED(status) "HTTP/1.1 " status "\r\nContent-Length: 6\r\n\r\n"

constexpr std::array<behavior, 20> behaviors{{
    {"/whole", COPROC_SIZED("200 OK") "right\n", then::stay, http_ending::whole},
    {"/whole-stream", COPROC_STREAM "6\r\nright\n\r\n0\r\n\r\n", then::stay, http_ending::whole},
    {"/whole-and-end", COPROC_SIZED("200 OK") "right\n", then::close, http_ending::whole},
    {"/refused", COPROC_SIZED("503 Busy") "later\n", then::stay, http_ending::refused},
    {"/cut", COPROC_STREAM "3\r\nrig\r\n", then::close, http_ending::cut},
    {"/cut-in-a-chunk", COPROC_STREAM "6\r\nri", then::close, http_ending::cut},
    {"/cut-before-its-end", COPROC_STREAM "6\r\nright\n\r\n", then::close, http_ending::cut},
    {"/cut-by-reset", COPROC_STREAM "3\r\nrig\r\n", then::reset, http_ending::cut},
    {"/closed", "", then::close, http_ending::nothing},
    {"/reset", "", then::reset, http_ending::nothing},
    {"/wrong", COPROC_SIZED("200 OK") "wrong\n", then::stay, http_ending::wrong},
    {"/wrong-stream", COPROC_STREAM "3\r\nrig\r\n0\r\n\r\n", then::stay, http_ending::wrong},
    {"/wrong-and-cut", COPROC_STREAM "3\r\nwro\r\n", then::close, http_ending::wrong},
    {"/too-much", COPROC_STREAM "7\r\nright\n\n\r\n", then::close, http_ending::wrong},
    {"/twice", COPROC_SIZED("200 OK") "right\nHTTP/1.1", then::stay, http_ending::wrong},
    {"/short", COPROC_SIZED("200 OK") "rig", then::close, http_ending::wrong},
    {"/refused-and-cut", COPROC_SIZED("500 Oh") "rig", then::close, http_ending::wrong},
    {"/not-found", COPROC_SIZED("404 Where") "right\n", then::stay, http_ending::wrong},
    {"/half-a-header", "HTTP/1.1 200 OK\r\nCon", then::close, http_ending::wrong},
    {"/no-http", "right\n\r\n\r\n", then::stay, http_ending::wrong},
}};

http_question question_for(const behavior& one) {
    return http_question::get(one.target, "right\n");
}

/// Answers each request as the table says. Gone with its last client.
class dropping_server {
 public:
    dropping_server() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* generic = reinterpret_cast<sockaddr*>(&name);
        socklen_t size = sizeof(name);
        REQUIRE(::bind(listener_.get(), generic, size) == 0);
        REQUIRE(::listen(listener_.get(), 16) == 0);
        REQUIRE(::getsockname(listener_.get(), generic, &size) == 0);
        port_ = ntohs(name.sin_port);
        accepting_ = std::jthread([this] { accept_all(); });
    }
    dropping_server(const dropping_server&) = delete;
    dropping_server& operator=(const dropping_server&) = delete;
    ~dropping_server() { ::shutdown(listener_.get(), SHUT_RDWR); }

    int port() const noexcept { return port_; }
    /// How many requests have been dealt with so.
    long count(http_ending ended) const { return counts_[static_cast<std::size_t>(ended)]; }

 private:
    void accept_all() {
        for (;;) {
            unique_fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!client) return;
            clients_.emplace_back([this, one = std::move(client)]() mutable { serve(one); });
        }
    }

    void serve(unique_fd& client) {
        for (;;) {
            const std::string asked = receive_header(client.get());
            const auto* const what = std::ranges::find_if(behaviors, [&](const behavior& one) {
                return asked.starts_with("GET " + std::string(one.target) + " HTTP/1.1\r\n");
            });
            if (what == behaviors.end()) return;
            ++counts_[static_cast<std::size_t>(what->seen)];  // before the client can know
            (void)::send(client.get(), what->bytes.data(), what->bytes.size(), MSG_NOSIGNAL);
            if (what->after == then::stay) continue;
            const ::linger at_once{1, 0};
            if (what->after == then::reset) {
                ::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
            }
            return client.reset();
        }
    }

    /// Empty at the connection's end.
    static std::string receive_header(int from) {
        std::string header;
        while (!header.ends_with("\r\n\r\n")) {
            char next = 0;
            if (::recv(from, &next, 1, 0) != 1) return {};
            header.push_back(next);
        }
        return header;
    }

    unique_fd listener_;
    int port_ = 0;
    std::array<std::atomic<long>, 5> counts_{};
    std::list<std::jthread> clients_;
    std::jthread accepting_;  // ends first
};

}  // namespace

TEST_CASE("http_crowd: each way to answer or to lose a request is called by its name") {
    const dropping_server server;
    for (const behavior& one : behaviors) {
        CAPTURE(one.target);
        http_asker fresh(server.port());
        CHECK(fresh.ask(question_for(one)) == one.seen);
        CHECK(fresh.ask(question_for(behaviors[0])) ==
              (one.target == "/whole-and-end" ? http_ending::nothing : http_ending::whole));
    }
}

TEST_CASE("http_crowd: a server that has gone gives nothing") {
    int port = 0;
    {
        const dropping_server server;
        port = server.port();
    }
    CHECK(http_asker(port).ask(question_for(behaviors[0])) == http_ending::nothing);
}

TEST_CASE("http_crowd: what clients and server say of many requests at once is the same") {
    dropping_server server;
    std::vector<http_question> questions;
    for (const behavior& one : behaviors) {
        // The one after it gets nothing, of which the server may not know.
        if (one.target != "/whole-and-end") questions.push_back(question_for(one));
    }
    http_crowd crowd(server.port(), 5, questions, 2'000);
    const http_tally all = crowd.finish();
    CHECK_FALSE(crowd.is_asking());
    CHECK(all.asked() == 2'000);
    CHECK(all.ended() == 2'000);
    for (const behavior& one : behaviors) {
        CAPTURE(one.seen);
        CHECK(all.count(one.seen) == server.count(one.seen));
        CHECK(all.count(one.seen) >= 5);
    }
}

TEST_CASE("http_crowd: one that is stopped has an ending for each request") {
    dropping_server server;
    http_crowd crowd(server.port(), 3, {question_for(behaviors[0])});
    coproc::testing::wait_until("some are answered",
                                [&] { return server.count(http_ending::whole) > 10; });
    CHECK(crowd.is_asking());
    crowd.stop();
    const http_tally all = crowd.finish();
    CHECK(all.asked() > 10);
    CHECK(all.count(http_ending::whole) == all.asked());
    CHECK(all.asked() == server.count(http_ending::whole));
}
