// The example http_server under load: it loses nothing, leaves nothing and stays responsive.

#include "support/catch.hpp"
#include "support/command.hpp"
#include "support/http_crowd.hpp"
#include "support/http_peers.hpp"
#include "support/processes.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using coproc::testing::bench;
using coproc::testing::command;
using coproc::testing::curl;
using coproc::testing::http_crowd;
using coproc::testing::http_ending;
using coproc::testing::http_question;
using coproc::testing::http_server;
using coproc::testing::http_tally;
using coproc::testing::is_long;
using coproc::testing::tcp_client;
using coproc::testing::wait_until;

void stop(http_server& server) {
    server.send_signal(SIGTERM);
    server.finish();
}

}  // namespace

TEST_CASE("http_server: nothing is left of many requests whose children are killed at random",
          "[process][serial][long]") {
    const int requests = is_long() ? 100'000 : 2'000;
    http_server server({"--queue", "100"}, http_server::log::dropped);
    server.warm_up();
    const std::size_t fds = server.open_fds();

    http_crowd crowd(server.port(), 12, coproc::testing::questions_for_children(), requests);
    std::minstd_rand random(4711);
    int killed = 0;
    while (crowd.is_asking()) {
        killed += server.kill_one(random) ? 1 : 0;
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 10));
    }
    const http_tally all = crowd.finish();
    WARN(all << "; " << killed << " children killed");
    coproc::testing::check_accounts(all, killed);
    CHECK(all.asked() == requests);
    CHECK(all.count(http_ending::refused) > 0);
    CHECK(all.count(http_ending::cut) > 0);
    CHECK(curl({server.url("/primes?below=10")}).status == 200);
    wait_until("the clients' fds are closed", [&] { return server.open_fds() <= fds; });
    wait_until("the children have ended", [&] {
        return coproc::testing::children_of(server.pid()).size() <= 1;  // the fork server
    });
    stop(server);
}

TEST_CASE("http_server: cheap requests are answered while all children are busy", "[process]") {
    http_server server({"--slots", "4", "--queue", "4"});
    server.warm_up();
    std::vector<tcp_client> busy;
    for (int i = 0; i < 8; ++i) busy.emplace_back(server.port()).get("/spin");
    wait_until("all run", [&] { return server.workers().size() == 4; });
    const auto before = server.workers();
    const http_question ping = http_question::get("/ping", "pong\n");
    const http_tally all = http_crowd(server.port(), 4, {ping}, 2'000).finish();
    INFO(all);
    CHECK(all.asked() == 2'000);
    CHECK(all.count(http_ending::whole) == 2'000);
    CHECK(server.workers() == before);
    busy.clear();
    wait_until("nobody runs", [&] { return server.workers().empty(); });
    stop(server);
}

namespace {

/// Milliseconds that 99 of 100 pings took at most.
double slow_ping(const http_server& server) {
    const std::string file = std::filesystem::temp_directory_path() /
                             ("coproc-http-" + std::to_string(server.pid()) + ".csv");
    const auto ended = command(bench(3'000, server.url("/ping"), {"-c", "1", "-e", file})).finish();
    REQUIRE(ended.code == 0);
    std::ifstream table(file);
    double found = 0;
    for (std::string line; std::getline(table, line);) {
        if (line.compare(0, 3, "99,") == 0) found = std::stod(line.substr(3));
    }
    std::filesystem::remove(file);
    REQUIRE(found > 0);
    return found;
}

double median(std::vector<double> all) {
    std::sort(all.begin(), all.end());
    return all[all.size() / 2];
}

}  // namespace

TEST_CASE("http_server: cheap requests are as fast while expensive ones run", "[process][serial]") {
    if (!is_long()) return;  // it looks at the clock
    http_server server({"--slots", "2"});
    server.warm_up();
    std::vector<double> idle;
    std::vector<double> busy;
    for (int round = 0; round < 15; ++round) {
        idle.push_back(slow_ping(server));
        const command expensive(bench(1'000'000, server.url("/primes?below=300000"), {"-c", "4"}));
        wait_until("they run", [&] { return server.workers().size() == 2; });
        busy.push_back(slow_ping(server));
    }
    WARN("99 of 100 pings: " << median(idle) << " ms idle, " << median(busy) << " ms busy");
    CHECK(median(busy) < 2 * median(idle));
    stop(server);
}
