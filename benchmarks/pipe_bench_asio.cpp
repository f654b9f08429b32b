// The round trip of pipe_bench by Boost.Asio coroutines.

#include "asio_pipe.hpp"
#include "pipe_peers.hpp"

namespace coproc::bench {

namespace {

asio::awaitable<void> echo(asio_pipe& parent, const flow& what) {
    std::vector<std::byte> message(what.size);
    for (std::uint64_t i = 0; i <= what.count; ++i) {
        const std::size_t size = co_await parent.receive(message);
        co_await parent.send(message_view(message).first(size));
    }
}

/// The clock goes when the first trip, which waits for the other side's start, is over.
asio::awaitable<void> trips(asio_pipe& child, const flow& what, outcome& measured) {
    std::vector<std::byte> message(what.size);
    std::vector<std::byte> answer(what.size);
    std::int64_t begin = 0;
    for (std::uint64_t i = 0; i <= what.count; ++i) {
        mark(message, i);
        co_await child.send(message);
        const std::size_t size = co_await child.receive(answer);
        if (size != what.size || answer != message) measured.failure = "another message came back";
        if (i == 0) begin = now_ns();
    }
    measured.seconds =
        1e-9 * static_cast<double>(now_ns() - begin) / static_cast<double>(what.count);
}

}  // namespace

outcome asio_trips(const flow& what) {
    const asio_ends ends;
    const pid_t child = fork_worker(
        [&] { run_asio(ends.take(1), [&](asio_pipe& parent) { return echo(parent, what); }); });
    outcome measured;
    run_asio(ends.take(0), [&](asio_pipe& pipe) { return trips(pipe, what, measured); });
    if (!all_end_well({&child, 1})) measured.failure = "the other side failed";
    return measured;
}

}  // namespace coproc::bench
