// The flow of messages of queue_bench by Boost.Asio coroutines, from one process to one.

#include "asio_pipe.hpp"

namespace coproc::bench {

namespace {

asio::awaitable<void> produce(asio_pipe& to, const flow& what) {
    std::vector<std::byte> message(what.size);
    for (std::uint64_t i = 0; i < what.count; ++i) {
        mark(message, number_of(0, i));
        co_await to.send(message);
    }
    mark(message, stop_number);
    co_await to.send(message);
}

asio::awaitable<void> consume(asio_pipe& from, const flow& what, tally& mine) {
    std::vector<std::byte> message(what.size);
    while (mine.stops == 0) {
        const std::size_t size = co_await from.receive(message);
        mine.take(message_view(message).first(size), what.size);
    }
    mine.end = now_ns();
}

}  // namespace

outcome asio_flow(const flow& what) {
    const asio_ends ends;
    const start_line line;
    const forked_memory<tally> seen;
    const auto worker = [&](int which, const auto& work) {
        return fork_worker([&, which] {
            const int fd = ends.take(which);
            line.wait();
            run_asio(fd, work);
        });
    };
    const std::array<pid_t, 2> workers{
        worker(0, [&](asio_pipe& from) { return consume(from, what, *seen); }),
        worker(1, [&](asio_pipe& to) { return produce(to, what); })};
    ::close(ends.take(0));
    const std::int64_t begin = line.go(workers.size());
    if (!all_end_well(workers)) return {0, "a worker failed"};
    return judge(what, begin, {&*seen, 1});
}

}  // namespace coproc::bench
