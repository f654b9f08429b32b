// A server on Boost.Asio that hands its requests to child processes: the io_context runs the
// server, a client and, through its fd, coproc.

#include <coproc/coproc.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

namespace asio = boost::asio;
using boost::system::error_code;
using socket_type = asio::local::stream_protocol::socket;

namespace {

/// Runs a runtime in the thread of an io_context.
class driver {
 public:
    driver(asio::io_context& io, coproc::runtime& driven)
        : runtime_(&driven), fd_(io, driven.fd()), due_(io) {
        watch();
        turn();
    }
    driver(const driver&) = delete;
    driver& operator=(const driver&) = delete;
    /// The io_context goes on until its own work is done.
    ~driver() { fd_.release(); }  // it is the runtime's to close

    void stop() {
        fd_.cancel();
        due_.cancel();
        is_stopped_ = true;
    }

 private:
    void watch() {
        fd_.async_wait(asio::posix::descriptor_base::wait_read, [this](error_code failed) {
            if (failed) return;
            turn();
            if (!is_stopped_) watch();
        });
    }
    void turn() {
        runtime_->run_ready();
        const auto longest = runtime_->next_timeout();
        if (is_stopped_) return;
        due_.cancel();
        if (!longest) return;
        due_.expires_after(*longest);
        due_.async_wait([this](error_code failed) {
            if (!failed) turn();
        });
    }

    coproc::runtime* runtime_;
    asio::posix::stream_descriptor fd_;
    asio::steady_timer due_;
    bool is_stopped_ = false;
};

/// What must not run in the server: it may crash, and it may take for ever.
int evaluate(std::string request) {
    if (request == "crash") std::abort();
    for (volatile int turns = 0; request == "spin";) turns = turns + 1;
    return 2 * std::stoi(request);
}

/// Reads lines, one after the other, up to the end.
void read_lines(socket_type& from, asio::streambuf& buffer,
                const std::function<void(std::string)>& on_line) {
    asio::async_read_until(from, buffer, '\n', [&, on_line](error_code failed, std::size_t) {
        if (failed) return;
        std::string line;
        std::istream input(&buffer);
        std::getline(input, line);
        on_line(line);
        read_lines(from, buffer, on_line);
    });
}

void write_line(socket_type& to, const std::string& line) {
    asio::write(to, asio::buffer(line + "\n"));
}

coproc::task<void> answer(std::string request, socket_type& client) {
    const auto value =
        co_await coproc::timeout(std::chrono::seconds(10), coproc::call(evaluate, request));
    write_line(client, value ? std::to_string(value.value()) : value.error().message());
}

}  // namespace

int main() {
    if (auto code = coproc::run_if_child()) return *code;
    asio::io_context io;
    auto rt = coproc::runtime::create().value();
    driver driving(io, rt);

    socket_type server(io);
    socket_type client(io);
    asio::local::connect_pair(server, client);
    asio::streambuf requests;
    read_lines(server, requests, [&](const std::string& line) { rt.spawn(answer(line, server)); });

    std::vector<std::string> questions{"21", "crash", "spin", "4711"};
    asio::streambuf answers;
    const auto ask = [&] {
        std::cout << questions.front() << ": " << std::flush;
        write_line(client, questions.front());
    };
    read_lines(client, answers, [&](const std::string& line) {
        std::cout << line << std::endl;
        questions.erase(questions.begin());
        if (!questions.empty()) return ask();
        client.close();
        server.close();
        driving.stop();
    });
    ask();

    int ticks = 0;
    asio::steady_timer ticker(io);
    const std::function<void()> tick = [&] {
        ticker.expires_after(std::chrono::milliseconds(10));
        ticker.async_wait([&](error_code failed) {
            if (failed || !client.is_open()) return;
            ++ticks;
            tick();
        });
    };
    tick();
    io.run();
    rt.run(rt.shutdown()).value();
    std::cout << (ticks > 10 ? "the host's timer went on" : "the host's timer stood still")
              << std::endl;
}
