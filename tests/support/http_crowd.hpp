#pragma once
// Clients of an HTTP server that account for every request: ApacheBench calls one complete whose
// connection was closed without an answer.
//
//   http_crowd crowd(server.port(), 8, {http_question::get("/ping", "pong\n")}, 1000);
//   const http_tally all = crowd.finish();     // all.count(http_ending::whole) == 1000
//
// Its threads make no assertions, as Catch2 takes them from one thread only.

#include <coproc/detail/unique_fd.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <limits>
#include <numeric>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace coproc::testing {

/// A request, as it is sent, and the body of the only right answer to it.
struct http_question {
    std::string request;
    std::string answer;

    static http_question get(std::string_view target, std::string answer);
    static http_question post(std::string_view target, std::string_view body, std::string answer);
};

/// Of tests/examples/http_server: what its children do in three different ways.
std::vector<http_question> questions_for_children();

/// What became of a request.
enum class http_ending {
    whole,    ///< 200 and the right body, all of it
    refused,  ///< 5xx, all of it
    cut,      ///< 200 and a stream that was right as far as it went, then the connection's end
    nothing,  ///< not one byte, whether the connection was closed, reset or stayed as it was
    wrong     ///< anything else
};
std::ostream& operator<<(std::ostream& to, http_ending ended);

class http_tally {
 public:
    void add_request() { ++asked_; }
    void add(http_ending ended) { ++counts_[static_cast<std::size_t>(ended)]; }
    void add(const http_tally& other);

    long asked() const noexcept { return asked_; }
    long count(http_ending ended) const { return counts_[static_cast<std::size_t>(ended)]; }
    long ended() const { return std::accumulate(counts_.begin(), counts_.end(), 0L); }

 private:
    long asked_ = 0;
    std::array<long, 5> counts_{};
};
/// "5 requests: 3 whole, 1 refused, 1 cut, 0 nothing, 0 wrong"
std::ostream& operator<<(std::ostream& to, const http_tally& all);

/// Asks one question after the other, on the same connection as long as that lasts.
class http_asker {
 public:
    explicit http_asker(int port) : port_(port) {}
    http_ending ask(const http_question& question);

 private:
    class answer;
    /// What has come when there is no more.
    enum class end { of_answer, of_connection, of_patience };

    void connect();
    void send(std::string_view bytes) const;
    end receive(answer& into);

    int port_;
    detail::unique_fd socket_;
};

/// Askers in threads of their own; each goes through all questions again and again, until there
/// have been `requests` of all of them.
class http_crowd {
 public:
    static constexpr long no_end = std::numeric_limits<long>::max();

    http_crowd(int port, int clients, const std::vector<http_question>& questions,
               long requests = no_end);
    http_crowd(const http_crowd&) = delete;
    http_crowd& operator=(const http_crowd&) = delete;
    ~http_crowd() { stop(); }

    /// Are there requests that have not ended?
    bool is_asking() const noexcept { return asking_ > 0; }
    /// No more is asked from now on.
    void stop() noexcept { to_ask_ = 0; }
    /// Waits for the last answers.
    http_tally finish();

 private:
    void ask_in_turn(http_tally& counted, http_asker asker,
                     const std::vector<http_question>& questions, std::size_t first);

    std::atomic<long> to_ask_;
    std::atomic<int> asking_;
    std::vector<http_tally> counted_;  // by one thread each
    std::vector<std::jthread> threads_;
};

/// Checks that each request had an ending, and that there is one of `killed` children behind each
/// that was not whole.
void check_accounts(const http_tally& all, long killed);

}  // namespace coproc::testing
