// The example http_server, asked by clients of every kind.

#include "support/catch.hpp"
#include "support/command.hpp"
#include "support/http_peers.hpp"

#include <chrono>
#include <csignal>
#include <cstddef>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using coproc::testing::command;
using coproc::testing::curl;
using coproc::testing::http_server;
using coproc::testing::tcp_client;
using coproc::testing::wait_until;

void stop(http_server& server) {
    server.send_signal(SIGTERM);
    server.finish();
}

/// 0 if there is none.
int status_of(const std::string& answer) {
    const std::string_view begin = "HTTP/1.1 ";
    if (answer.compare(0, begin.size(), begin) != 0) return 0;
    return std::stoi(answer.substr(begin.size()));
}

/// An answer with a body of one short line.
std::string receive_one(tcp_client& from) {
    std::string answer = from.receive_until("\r\n\r\n");
    return answer + from.receive_until("\n");
}

std::size_t times(std::string_view what, std::string_view text) {
    std::size_t count = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
    return count;
}

bool is_refused(const http_server& server) {
    return command({"curl", "-sS", "--noproxy", "*", server.url("/ping")}).finish().code == 7;
}

std::string host_line() { return "Host: test\r\n"; }

}  // namespace

TEST_CASE("http_server: gives each request its answer", "[process]") {
    http_server server;
    const std::string body = "three plain words";
    CHECK(curl({server.url("/ping")}).body == "pong\n");
    CHECK(curl({server.url("/primes?below=1000")}).body == "168\n");
    CHECK(curl({"-d", body, server.url("/words")}).body == "3\n");
    CHECK(curl({server.url("/count?to=3")}).body == "1\n2\n3\n");
    CHECK(curl({server.url("/count?to=0")}).body.empty());
    CHECK(curl({"-0", server.url("/count?to=3")}).body == "1\n2\n3\n");
    CHECK(curl({"-0", server.url("/ping")}).body == "pong\n");
    for (const std::string target : {"/ping", "/primes?below=1000", "/count?to=1000000000000"}) {
        const auto head = curl({"-I", server.url(target)});
        CHECK(head.status == 200);
        CHECK(head.body.find("\r\n\r\n") == head.body.size() - 4);
    }
    stop(server);
}

TEST_CASE("http_server: says what is wrong with a request", "[process]") {
    http_server server;
    CHECK(curl({server.url("/nothing")}).status == 404);
    CHECK(curl({server.url("/pingpong")}).status == 404);
    for (const std::string number : {"", "x", "-1", "1x", "99999999999999999999"}) {
        CHECK(curl({server.url("/primes?below=" + number)}).status == 400);
    }
    const auto posted = curl({"-i", "-d", "x", server.url("/ping")});
    CHECK(posted.status == 405);
    CHECK(posted.body.find("Allow: GET\r\n") != std::string::npos);
    CHECK(curl({server.url("/words")}).status == 405);
    stop(server);
}

TEST_CASE("http_server: a child that crashes is a 500 and the next request goes well",
          "[process]") {
    http_server server;
    CHECK(curl({server.url("/crash"), server.url("/crash")}).status == 500);
    CHECK(curl({server.url("/primes?below=10")}).status == 200);
    server.send_signal(SIGTERM);
    const auto ended = server.finish();
    CHECK(times("/crash: call of ", ended.err) == 2);
    CHECK(times(" ended with signal SIGABRT ", ended.err) == 2);
}

#if !defined(__SANITIZE_ADDRESS__)  // whose shadow memory is larger than any limit
TEST_CASE("http_server: a child that wants more memory than it may have is a 500", "[process]") {
    http_server server({"--memory", "64"});
    CHECK(curl({server.url("/bomb")}).status == 500);
    server.send_signal(SIGTERM);
    CHECK(server.finish().err.find("/bomb: call of ") != std::string::npos);
}
#endif

TEST_CASE("http_server: a child that takes too long is a 504 and has ended", "[process]") {
    http_server server({"--deadline", "2000"});
    server.warm_up();
    CHECK(curl({server.url("/spin")}).status == 504);
    CHECK(server.workers().empty());
    stop(server);
}

TEST_CASE("http_server: a request too many is a 503 and one that leaves makes room", "[process]") {
    http_server server({"--slots", "1", "--queue", "1"});
    server.warm_up();
    tcp_client running(server.port());
    running.get("/spin");
    wait_until("it runs", [&] { return server.workers().size() == 1; });
    const auto first = server.workers();
    tcp_client waiting(server.port());
    waiting.get("/spin");
    CHECK(curl({server.url("/ping")}).status == 200);  // and so the other has been read
    const auto refused = curl({"-i", server.url("/primes?below=10")});
    CHECK(refused.status == 503);
    CHECK(refused.body.find("Retry-After: 1\r\n") != std::string::npos);
    CHECK(server.workers() == first);

    running.close();
    wait_until("the next runs", [&] {
        const auto now = server.workers();
        return now.size() == 1 && now != first;
    });
    waiting.close();
    wait_until("nobody runs", [&] { return server.workers().empty(); });
    CHECK(curl({server.url("/primes?below=10")}).status == 200);
    stop(server);
}

TEST_CASE("http_server: a client that leaves the queue is forgotten", "[process]") {
    http_server server({"--slots", "1", "--queue", "1"});
    server.warm_up();
    tcp_client running(server.port());
    running.get("/spin");
    wait_until("it runs", [&] { return server.workers().size() == 1; });
    for (int i = 0; i < 20; ++i) {
        tcp_client waiting(server.port());
        waiting.get("/spin");
        CHECK(curl({server.url("/ping")}).status == 200);
        CHECK(curl({server.url("/primes?below=10")}).status == 503);
        waiting.close();
        CHECK(curl({server.url("/ping")}).status == 200);
    }
    running.close();
    wait_until("nobody runs", [&] { return server.workers().empty(); });
    stop(server);
}

// Streams.

TEST_CASE("http_server: what a child prints arrives before its end", "[process]") {
    http_server server;
    server.warm_up();
    tcp_client reader(server.port());
    reader.get("/count?to=1000000000000");
    const std::string begin = reader.receive_until("\n1000\n");
    CHECK(status_of(begin) == 200);
    CHECK(begin.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
    CHECK(server.workers().size() == 1);
    reader.close();
    wait_until("the child is gone", [&] { return server.workers().empty(); });
    stop(server);
}

namespace {

/// What a process has written up to now.
std::size_t written_by(::pid_t pid) {
    std::ifstream io("/proc/" + std::to_string(pid) + "/io");
    for (std::string word; io >> word;) {
        std::size_t bytes = 0;
        if (word == "wchar:" && io >> bytes) return bytes;
    }
    FAIL("no wchar of " << pid);
    return 0;
}

}  // namespace

TEST_CASE("http_server: a client that does not read makes the child wait", "[process]") {
    http_server server;
    server.warm_up();
    tcp_client sleeper(server.port());
    sleeper.get("/count?to=1000000000000");
    wait_until("it prints", [&] { return server.workers().size() == 1; });
    const ::pid_t child = server.workers().front();
    std::size_t last = 0;
    int same = 0;
    wait_until("it waits", [&] {
        CHECK(curl({server.url("/ping")}).status == 200);
        const std::size_t now = written_by(child);
        REQUIRE(now < 32 << 20);  // more than the sockets take
        same = now == last && now > 0 ? same + 1 : 0;
        last = now;
        return same == 10;
    });
    for (std::size_t read = 0; read <= last;) read += sleeper.receive_until("\r\n").size();
    // The room goes back to the child by way of two sockets and the server.
    wait_until("it goes on", [&] { return written_by(child) > last; });
    sleeper.close();
    wait_until("the child is gone", [&] { return server.workers().empty(); });
    stop(server);
}

TEST_CASE("http_server: a stream whose child is killed ends without its last chunk", "[process]") {
    http_server server;
    server.warm_up();
    tcp_client reader(server.port());
    reader.get("/count?to=1000000000000");
    reader.receive_until("\n1000\n");
    REQUIRE(::kill(server.workers().front(), SIGKILL) == 0);
    const std::string rest = reader.receive_all();
    CHECK(rest.find("\r\n0\r\n\r\n") == std::string::npos);
    CHECK(curl({server.url("/count?to=1")}).status == 200);
    server.send_signal(SIGTERM);
    CHECK(server.finish().err.find("/count?to=: signal SIGKILL") != std::string::npos);
}

// Connections.

TEST_CASE("http_server: pipelined requests are answered in their order", "[process]") {
    http_server server;
    tcp_client client(server.port());
    std::string all;
    for (const std::string target : {"/primes?below=100000", "/ping", "/count?to=3", "/crash"}) {
        all += "GET " + target + " HTTP/1.1\r\n" + host_line() + "\r\n";
    }
    all += "POST /words HTTP/1.1\r\n" + host_line() + "Content-Length: 3\r\n\r\na bHEAD /ping ";
    all += "HTTP/1.1\r\n" + host_line() + "\r\nGET /ping HTTP/1.1\r\n" + host_line() +
           "Connection: close\r\n\r\nGET /nothing HTTP/1.1\r\n\r\n";
    client.send(all);
    const std::string answers = client.receive_all();
    INFO(answers);
    const std::regex expected(
        "HTTP/1.1 200 OK\r\n[^]*9592\nHTTP/1.1 200 OK\r\n[^]*pong\nHTTP/1.1 200 OK\r\n[^]*"
        "1\n2\n3\n\r\n0\r\n\r\nHTTP/1.1 500 [^]*HTTP/1.1 200 OK\r\n[^]*\r\n\r\n2\n"
        "HTTP/1.1 200 OK\r\n[^]*\r\n\r\nHTTP/1.1 200 OK\r\n[^]*Connection: close\r\n\r\npong\n");
    CHECK(std::regex_match(answers, expected));
    CHECK(times("HTTP/1.1 ", answers) == 7);
    CHECK(times("Connection: close", answers) == 1);
    client.close();
    stop(server);
}

TEST_CASE("http_server: requests may come byte by byte or a thousand at once", "[process]") {
    http_server server;
    tcp_client client(server.port());
    const std::string one = "GET /ping HTTP/1.1\r\n" + host_line() + "\r\n";
    for (const char byte : one) client.send(std::string(1, byte));
    CHECK(status_of(receive_one(client)) == 200);
    std::string thousand;
    for (int i = 0; i < 1000; ++i) thousand += one;
    client.send(thousand);
    for (int i = 0; i < 1000; ++i) REQUIRE(status_of(receive_one(client)) == 200);
    client.close();
    stop(server);
}

TEST_CASE("http_server: one client too many is accepted when another has gone", "[process]") {
    http_server server;
    std::vector<tcp_client> crowd;
    for (int i = 0; i < 500; ++i) crowd.emplace_back(server.port());
    crowd.back().get("/ping");
    receive_one(crowd.back());  // all have been accepted
    tcp_client last(server.port());
    last.get("/ping");
    crowd.back().get("/ping");
    receive_one(crowd.back());
    CHECK(!last.has_received());
    crowd.front().close();
    CHECK(status_of(receive_one(last)) == 200);
    crowd.clear();
    last.close();
    stop(server);
}

TEST_CASE("http_server: bodies come in chunks or are asked for", "[process]") {
    http_server server;
    tcp_client client(server.port());
    const std::string post = "POST /words HTTP/1.1\r\n" + host_line();
    client.send(post +
                "Transfer-Encoding: chunked\r\n\r\n4\r\none \r\n5;x=y\r\ntwo 3\r\n0\r\n\r\n");
    CHECK(receive_one(client).find("\r\n\r\n3\n") != std::string::npos);
    client.send(post + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    CHECK(client.receive_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("a b");
    CHECK(receive_one(client).find("\r\n\r\n2\n") != std::string::npos);
    client.close();
    stop(server);
}

TEST_CASE("http_server: what is no request or too large is refused and the connection closed",
          "[process]") {
    http_server server;
    const std::string get = "GET /ping HTTP/1.1\r\n";
    const std::string post = "POST /words HTTP/1.1\r\n" + host_line();
    const struct {
        std::string request;
        int status;
    } refused[] = {
        {"GARBAGE\r\n\r\n", 400},
        {get + "\r\n", 400},
        {get + host_line() + host_line() + "\r\n", 400},
        {get + host_line() + "no colon\r\n\r\n", 400},
        {"GET /ping HTTP/2.0\r\n\r\n", 505},
        {post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
        {post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {post + "Content-Length: -1\r\n\r\n", 400},
        {post + "Transfer-Encoding: gzip\r\n\r\n", 501},
        {post + "Transfer-Encoding: chunked\r\n\r\nx\r\n", 400},
        {post + "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", 413},
        {post + "Content-Length: 99999999999\r\n\r\n", 413},
        {post + "Content-Length: 2000000\r\n\r\n" + std::string(1'500'000, 'x'), 413},
        {get + host_line() + "X: " + std::string(10'000, 'x') + "\r\n\r\n", 431},
        {get + host_line() + "X: " + std::string(100'000, 'x'), 431},
    };
    for (const auto& one : refused) {
        INFO(one.request.substr(0, 100));
        tcp_client client(server.port());
        client.send(one.request);
        const std::string answer = client.receive_all();
        CHECK(status_of(answer) == one.status);
        CHECK(answer.find("Connection: close\r\n") != std::string::npos);
        CHECK(times("HTTP/1.1 ", answer) == 1);
    }
    stop(server);
}

// The end.

TEST_CASE("http_server: SIGTERM lets running requests end and closes idle connections",
          "[process]") {
    http_server server({"--grace", "100000"});
    server.warm_up();
    tcp_client idle(server.port());
    idle.get("/ping");
    receive_one(idle);
    tcp_client streaming(server.port());
    streaming.get("/count?to=3000000");
    streaming.receive_until("\n1000\n");
    tcp_client computing(server.port());
    computing.get("/primes?below=500000");
    wait_until("both run", [&] { return server.workers().size() == 2; });
    server.send_signal(SIGTERM);
    CHECK(idle.receive_all().empty());
    CHECK(is_refused(server));
    const std::string rest = streaming.receive_all();
    CHECK(rest.find("\n3000000\n\r\n0\r\n\r\n") == rest.size() - 16);
    streaming.close();
    const std::string computed = computing.receive_all();
    CHECK(computed.find("Connection: close\r\n") != std::string::npos);
    CHECK(computed.find("\r\n\r\n41538\n") != std::string::npos);
    computing.close();
    server.finish();
}

TEST_CASE("http_server: after its grace or a second SIGTERM what still runs is a 503",
          "[process]") {
    for (const std::string grace : {"100", "100000"}) {
        http_server server({"--slots", "1", "--grace", grace});
        server.warm_up();
        tcp_client running(server.port());
        running.get("/spin");
        wait_until("it runs", [&] { return server.workers().size() == 1; });
        tcp_client waiting(server.port());
        waiting.get("/spin");
        CHECK(curl({server.url("/ping")}).status == 200);
        server.send_signal(SIGTERM);
        if (grace == "100000") {
            wait_until("no more clients", [&] { return is_refused(server); });
            server.send_signal(SIGTERM);
        }
        CHECK(status_of(running.receive_all()) == 503);
        CHECK(status_of(waiting.receive_all()) == 503);
        server.finish();
    }
}

TEST_CASE("http_server: a port that is taken and options without sense are said", "[process]") {
    http_server server;
    const std::string program = std::string(COPROC_EXAMPLES_DIR) + "/http_server/http_server";
    const std::string port = std::to_string(server.port());
    const auto second = command({program, "--port", port}).finish();
    CHECK(second.code == 1);
    CHECK(second.err ==
          "http_server: listening on 127.0.0.1:" + port + ": Address already in use\n");
    for (const std::vector<std::string>& options :
         {std::vector<std::string>{"--port", "70000"}, {"--slots", "0"}, {"--queue", "x"}, {"x"}}) {
        std::vector<std::string> words{program};
        words.insert(words.end(), options.begin(), options.end());
        const auto refused = command(words).finish();
        CHECK(refused.code == 2);
        CHECK(refused.err.find("usage: http_server ") != std::string::npos);
    }
    stop(server);
}
