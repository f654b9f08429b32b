#include "support/http_crowd.hpp"

#include "support/catch.hpp"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace coproc::testing {

namespace {

namespace http = boost::beast::http;

/// As long as the server's own deadline, which nobody reaches.
constexpr ::timeval patience{100, 0};

constexpr std::array<http_ending, 5> all_endings{http_ending::whole, http_ending::refused,
                                                 http_ending::cut, http_ending::nothing,
                                                 http_ending::wrong};

}  // namespace

http_question http_question::get(std::string_view target, std::string answer) {
    return {"GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n\r\n", std::move(answer)};
}

http_question http_question::post(std::string_view target, std::string_view body,
                                  std::string answer) {
    return {"POST " + std::string(target) + " HTTP/1.1\r\nHost: test\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + std::string(body),
            std::move(answer)};
}

std::vector<http_question> questions_for_children() {
    std::string text;
    for (int i = 0; i < 2000; ++i) text += "word ";
    std::string numbers;
    for (int number = 1; number <= 10'000; ++number) numbers += std::to_string(number) + "\n";
    return {http_question::get("/primes?below=2000", "303\n"),
            http_question::get("/count?to=10000", std::move(numbers)),
            http_question::post("/words", text, "2000\n")};
}

std::ostream& operator<<(std::ostream& to, http_ending ended) {
    static constexpr std::array<std::string_view, 5> names{"whole", "refused", "cut", "nothing",
                                                           "wrong"};
    return to << names[static_cast<std::size_t>(ended)];
}

void http_tally::add(const http_tally& other) {
    asked_ += other.asked_;
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

std::ostream& operator<<(std::ostream& to, const http_tally& all) {
    to << all.asked() << " requests";
    char separator = ':';
    for (const http_ending ended : all_endings) {
        to << std::exchange(separator, ',') << ' ' << all.count(ended) << ' ' << ended;
    }
    return to;
}

// -- one answer

/// What has come of it.
class http_asker::answer {
 public:
    answer() { parser_.eager(true); }

    bool is_whole() const { return parser_.is_done(); }
    bool is_last() const { return !parser_.keep_alive(); }

    void add(const char* bytes, std::size_t size) {
        const auto room = unread_.prepare(size);
        std::copy_n(bytes, size, static_cast<char*>(room.data()));
        unread_.commit(size);
        is_empty_ = false;
        boost::system::error_code failed;
        unread_.consume(parser_.put(unread_.data(), failed));
        is_broken_ = is_broken_ || (failed && failed != http::error::need_more);
    }
    bool is_broken() const noexcept { return is_broken_; }

    http_ending judge(end why, const std::string& right) const {
        if (is_empty_) return http_ending::nothing;
        if (is_broken_ || !parser_.is_header_done()) return http_ending::wrong;
        const unsigned status = parser_.get().result_int();
        if (is_whole() && unread_.size() > 0) return http_ending::wrong;  // more than one
        if (is_whole() && status >= 500) return http_ending::refused;
        if (status != 200) return http_ending::wrong;
        const std::string& body = parser_.get().body();
        if (is_whole()) return body == right ? http_ending::whole : http_ending::wrong;
        const bool fits = parser_.chunked() && right.compare(0, body.size(), body) == 0;
        return why == end::of_connection && fits ? http_ending::cut : http_ending::wrong;
    }

 private:
    http::response_parser<http::string_body> parser_;
    boost::beast::flat_buffer unread_;
    bool is_empty_ = true;
    bool is_broken_ = false;
};

// -- one connection after the other

void http_asker::connect() {
    socket_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
    const int on = 1;
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(static_cast<in_port_t>(port_));
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // A failure is seen as nothing that comes.
    (void)::connect(socket_.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name));
}

/// As much as the server takes: it may have answered before it has read all.
void http_asker::send(std::string_view bytes) const {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

http_asker::end http_asker::receive(answer& into) {
    std::array<char, 16 << 10> buffer;
    while (!into.is_whole() && !into.is_broken()) {
        const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (size < 0 && errno == EAGAIN) return end::of_patience;
        if (size <= 0) return end::of_connection;
        into.add(buffer.data(), static_cast<std::size_t>(size));
    }
    return end::of_answer;
}

http_ending http_asker::ask(const http_question& question) {
    if (socket_.get() < 0) connect();
    send(question.request);
    answer received;
    const end why = receive(received);
    const http_ending ended = received.judge(why, question.answer);
    const bool as_it_should_be = ended == http_ending::whole || ended == http_ending::refused;
    if (!as_it_should_be || received.is_last()) socket_.reset();
    return ended;
}

// -- many at once

http_crowd::http_crowd(int port, int clients, const std::vector<http_question>& questions,
                       long requests)
    : to_ask_(requests), asking_(clients), counted_(static_cast<std::size_t>(clients)) {
    for (std::size_t i = 0; i < counted_.size(); ++i) {
        threads_.emplace_back([this, port, questions, i] {
            ask_in_turn(counted_[i], http_asker(port), questions, i);
            --asking_;
        });
    }
}

void http_crowd::ask_in_turn(http_tally& counted, http_asker asker,
                             const std::vector<http_question>& questions, std::size_t first) {
    for (std::size_t next = first; to_ask_.fetch_sub(1) > 0; ++next) {
        counted.add_request();
        counted.add(asker.ask(questions[next % questions.size()]));
    }
}

http_tally http_crowd::finish() {
    threads_.clear();
    http_tally all;
    for (const http_tally& one : counted_) all.add(one);
    return all;
}

void check_accounts(const http_tally& all, long killed) {
    INFO(all << "; " << killed << " children killed");
    CHECK(all.count(http_ending::nothing) == 0);
    CHECK(all.count(http_ending::wrong) == 0);
    CHECK(all.ended() == all.asked());
    CHECK(all.count(http_ending::refused) + all.count(http_ending::cut) <= killed);
}

}  // namespace coproc::testing
