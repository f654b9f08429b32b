#include "support/http_peers.hpp"

#include "support/catch.hpp"
#include "support/processes.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <utility>

namespace coproc::testing {

namespace {

constexpr int patience_ms = 100'000;

std::vector<std::string> words_of(std::vector<std::string> options, http_server::log wanted) {
    const std::string program = std::string(COPROC_EXAMPLES_DIR) + "/http_server/http_server";
    std::vector<std::string> words{program, "--port", "0", "--deadline", "100000"};
    if (wanted == http_server::log::dropped) {
        words.insert(words.begin(), {"sh", "-c", "exec \"$@\" 2>/dev/null", "sh"});
    }
#if defined(__SANITIZE_ADDRESS__)  // whose shadow memory is larger than any limit
    words.insert(words.end(), {"--memory", "0"});
#endif
    std::move(options.begin(), options.end(), std::back_inserter(words));
    return words;
}

}  // namespace

http_server::http_server(std::vector<std::string> options, log wanted)
    : run_(words_of(std::move(options), wanted)) {
    const std::string line = run_.first_line();
    const std::string expected = "listening on 127.0.0.1:";
    REQUIRE(line.compare(0, expected.size(), expected) == 0);
    port_ = std::stoi(line.substr(expected.size()));
}

std::string http_server::url(std::string_view target) const {
    return "http://127.0.0.1:" + std::to_string(port_) + std::string(target);
}

void http_server::warm_up() const {
    const auto answer = curl({url("/primes?below=10")});
    REQUIRE(answer.status == 200);
    REQUIRE(answer.body == "4\n");
    const auto alive = children_of(pid());
    REQUIRE(alive.size() == 1);
    forkserver_ = alive.front();
}

std::vector<::pid_t> http_server::workers() const {
    auto alive = children_of(pid());
    std::erase(alive, forkserver_);
    return alive;
}

std::size_t http_server::open_fds() const {
    const std::filesystem::directory_iterator fds("/proc/" + std::to_string(pid()) + "/fd");
    return static_cast<std::size_t>(std::distance(begin(fds), end(fds)));
}

bool http_server::kill_one(std::minstd_rand& random) const {
    auto alive = children_of(pid());
    std::erase_if(alive, [](::pid_t one) { return !is_running(one); });
    // The oldest mostly is the fork server.
    if (random() % 20 > 0 && !alive.empty()) alive.erase(std::ranges::min_element(alive));
    return !alive.empty() && ::kill(alive[random() % alive.size()], SIGKILL) == 0;
}

ended_command http_server::finish() {
    ended_command ended = run_.finish();
    INFO(ended.err);
    CHECK(ended.code == 0);
    CHECK(ended.left.empty());
    return ended;
}

http_answer curl(const std::vector<std::string>& words) {
    std::vector<std::string> all{"curl", "-sS", "--noproxy", "*",
                                 "-m",   "100", "-w",        "\n%{http_code}"};
    all.insert(all.end(), words.begin(), words.end());
    const ended_command ended = command(all).finish();
    INFO(ended.err);
    CHECK(ended.code == 0);
    const auto line = ended.out.rfind('\n');
    REQUIRE(line != std::string::npos);
    return {std::stoi(ended.out.substr(line + 1)), ended.out.substr(0, line)};
}

std::vector<std::string> bench(int requests, const std::string& url,
                               const std::vector<std::string>& more) {
    std::vector<std::string> words{"ab", "-q", "-r", "-k", "-n", std::to_string(requests)};
    words.insert(words.end(), more.begin(), more.end());
    words.push_back(url);
    return words;
}

tcp_client::tcp_client(int port)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP)) {
    REQUIRE(socket_.get() >= 0);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(static_cast<in_port_t>(port));
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0);
}

void tcp_client::send(std::string_view bytes) const {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    REQUIRE(sent == static_cast<ssize_t>(bytes.size()));
}

void tcp_client::get(std::string_view target) const {
    send("GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n\r\n");
}

bool tcp_client::has_received() const {
    ::pollfd wait{socket_.get(), POLLIN, 0};
    return !received_.empty() || ::poll(&wait, 1, 0) == 1;
}

bool tcp_client::receive_some() {
    ::pollfd wait{socket_.get(), POLLIN, 0};
    INFO("received: " << received_.substr(0, 2000));
    REQUIRE(::poll(&wait, 1, patience_ms) == 1);
    std::array<char, 65536> buffer;
    const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    REQUIRE(size >= 0);
    received_.append(buffer.data(), static_cast<std::size_t>(size));
    return size > 0;
}

std::string tcp_client::receive_until(std::string_view text) {
    std::size_t looked_at = 0;
    std::size_t found = 0;
    while ((found = received_.find(text, looked_at)) == std::string::npos) {
        looked_at = received_.size() - std::min(received_.size(), text.size());
        const bool more = receive_some();
        INFO("received: " << received_.substr(0, 2000));
        REQUIRE(more);
    }
    std::string taken = received_.substr(0, found + text.size());
    received_.erase(0, taken.size());
    return taken;
}

std::string tcp_client::receive_all() {
    while (receive_some()) continue;
    return std::exchange(received_, {});
}

}  // namespace coproc::testing
