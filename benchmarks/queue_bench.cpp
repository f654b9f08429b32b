// How many messages per second go through a queue between processes, beside a bare pipe, a socket
// that keeps messages apart, Boost.Interprocess, ZeroMQ and Python's multiprocessing; and, from one
// process to one, beside the pipes of event loops?
//
// P_to_C/CONTENDER/BYTES: P processes put, C processes get, as fast as they can; time per message.
// `bare` is a pipe, blocking read and write without any loop, under a bare lock where several
// processes send or take what is too large to stay whole by itself; `coproc` puts and gets one
// message of type bytes at a time, `coproc_array` one std::array, `coproc_batch` 256 of these.
// `asio`, `go`, `node`, `py_Pipe` and `py_uvloop` are as in pipe_bench; all but uvloop, which
// gathers them until its loop's next turn, write each message at once. Numbers and order of all
// messages are checked. Peers that are not there are left out.
//
//   build/release/benchmarks/queue_bench --benchmark_filter='to.*/64/'

#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/run.hpp>
#include <coproc/runtime.hpp>

#include "queue_peers.hpp"
#include "ratios.hpp"

#include <algorithm>

namespace {

using coproc::bench::flow;
using coproc::bench::outcome;
using coproc::bench::tally;

constexpr std::array<std::uint64_t, 4> sizes{64, 1024, 64 * 1024, 1024 * 1024};
constexpr std::size_t batch_size = 256;
using small = std::array<std::byte, 64>;

template <class Message>
Message message_of(std::uint64_t size) {
    if constexpr (std::is_same_v<Message, coproc::bytes>) {
        return Message(size);
    } else {
        return {};
    }
}

coproc::task<void> ready(coproc::queue<tally> results, coproc::event start) {
    ::alarm(coproc::bench::long_enough);
    (co_await results.put(tally())).value();
    (co_await start.wait()).value();
}

// GCC 12 wants the outcome of an await in a template to have a name.

template <class Message>
coproc::task<void> produce(coproc::queue<Message> to, coproc::event start,
                           coproc::queue<tally> results, flow what, std::uint64_t index) {
    auto message = message_of<Message>(what.size);
    co_await ready(results, start);
    for (std::uint64_t i = 0; i < what.each(); ++i) {
        coproc::bench::mark(message, coproc::bench::number_of(index, i));
        const auto put = co_await to.put(message);
        put.value();
    }
    coproc::bench::mark(message, coproc::bench::stop_number);
    const auto last = co_await to.put(message);
    last.value();
}

template <class Message>
coproc::task<void> consume(coproc::queue<Message> from, coproc::event start,
                           coproc::queue<tally> results, flow what) {
    co_await ready(results, start);
    tally mine;
    while (mine.stops < what.producers / what.consumers) {
        const auto message = co_await from.get();
        mine.take(message.value(), what.size);
    }
    mine.end = coproc::bench::now_ns();
    const auto told = co_await results.put(mine);
    told.value();
}

coproc::task<void> produce_batches(coproc::queue<small> to, coproc::event start,
                                   coproc::queue<tally> results, flow what, std::uint64_t index) {
    co_await ready(results, start);
    std::vector<small> batch;
    for (std::uint64_t i = 0; i < what.each(); i += batch.size()) {
        batch.resize(std::min<std::size_t>(batch_size, what.each() - i));
        for (std::uint64_t k = 0; k < batch.size(); ++k) {
            coproc::bench::mark(batch[k], coproc::bench::number_of(index, i + k));
        }
        (co_await to.put_all(batch)).value();
    }
    coproc::bench::mark(batch[0], coproc::bench::stop_number);
    (co_await to.put(batch[0])).value();
}

coproc::task<void> consume_batches(coproc::queue<small> from, coproc::event start,
                                   coproc::queue<tally> results, flow what) {
    co_await ready(results, start);
    tally mine;
    const std::uint64_t needed = what.producers / what.consumers;
    while (mine.stops < needed) {
        const auto batch = (co_await from.get_some(batch_size)).value();
        for (const small& message : batch) mine.take(message, what.size);
    }
    mine.end = coproc::bench::now_ns();
    small stop{};
    coproc::bench::mark(stop, coproc::bench::stop_number);
    // Those of other consumers.
    for (; mine.stops > needed; --mine.stops) (co_await from.put(stop)).value();
    (co_await results.put(mine)).value();
}

/// Starts them, lets them go, and sees them end.
coproc::task<outcome> all_of(std::vector<coproc::process> workers, coproc::event start,
                             coproc::queue<tally> results, flow what) {
    for (auto& worker : workers) (co_await worker.start()).value();
    for (std::size_t i = 0; i < workers.size(); ++i) (co_await results.get()).value();
    const std::int64_t begin = coproc::bench::now_ns();
    start.set().value();
    bool well = true;
    for (auto& worker : workers) {
        const auto status = (co_await worker.join()).value();
        well = well && status.code() == 0;
    }
    if (!well) co_return outcome{0, "a worker failed"};
    std::vector<tally> tallies;
    while (auto one = results.try_get()) tallies.push_back(one.value());
    co_return coproc::bench::judge(what, begin, tallies);
}

template <class Message, class Produce, class Consume>
outcome run_coproc(const flow& what, Produce* produce, Consume* consume) {
    auto home = coproc::runtime::create().value();
    const coproc::queue_options limits{.max_bytes = coproc::bench::memory};
    const auto messages = coproc::queue<Message>::create(limits).value();
    const auto results = coproc::queue<tally>::create().value();
    const auto start = coproc::event::create().value();
    std::vector<coproc::process> workers;
    for (std::uint64_t i = 0; i < what.consumers; ++i) {
        workers.emplace_back(consume, messages, start, results, what);
    }
    for (std::uint64_t i = 0; i < what.producers; ++i) {
        workers.emplace_back(produce, messages, start, results, what, i);
    }
    return home.run(all_of(std::move(workers), start, results, what));
}

template <class Message>
outcome one_at_a_time(const flow& what) {
    return run_coproc<Message>(what, &produce<Message>, &consume<Message>);
}
outcome in_batches(const flow& what) {
    return run_coproc<small>(what, produce_batches, consume_batches);
}

template <const char* Kind>
outcome python(const flow& what) {
    std::string command = "python_queue.py flow ";
    command += Kind;
    for (const auto each : {what.producers, what.consumers, what.size, what.count}) {
        command += ' ' + std::to_string(each);
    }
    return coproc::bench::run_python(command);
}
template <const coproc::bench::peer& Peer, const char* Script>
outcome script(const flow& what) {
    return coproc::bench::run_peer(
        Peer, Script + (" flow " + std::to_string(what.size)) + ' ' + std::to_string(what.count));
}
constexpr char node_script[] = "node_peer.js";
constexpr char go_script[] = "";
constexpr char pipe_script[] = "python_pipe.py";
constexpr char uvloop_script[] = "python_uvloop.py";

constexpr char python_queue[] = "Queue";
constexpr char python_simple[] = "SimpleQueue";
constexpr char python_joinable[] = "JoinableQueue";

struct contender {
    const char* name;
    outcome (*run)(const flow&);
    bool (*can)(const flow&) = [](const flow&) { return true; };
    double pace = 1;  ///< about, so that no run takes long, and none is too short
};

bool is_extreme(std::uint64_t size) { return size == sizes.front() || size == sizes.back(); }
bool is_small(const flow& what) { return what.size == sizeof(small); }
bool is_one_to_one(const flow& what) { return what.producers == 1 && what.consumers == 1; }

std::vector<contender> contenders() {
    using namespace coproc::bench;
    std::vector<contender> all{
        {"bare", run_flow<pipe_peer>},
        {"seqpacket", run_flow<seqpacket_peer>, seqpacket_peer::can},
        {"boost", run_flow<boost_peer>},
        {"asio", asio_flow, is_one_to_one, 0.5},
        {"coproc", one_at_a_time<coproc::bytes>},
        {"coproc_array", one_at_a_time<small>, is_small},
        {"coproc_batch", in_batches, is_small, 16},
    };
#ifdef COPROC_BENCH_ZEROMQ
    all.push_back({"zeromq", run_flow<zeromq_peer>});
#else
    std::fputs("zeromq: not installed when this was built, skipped\n", stderr);
#endif
    if (has_python()) {
        all.push_back({"py_Queue", python<python_queue>, nullptr, 0.05});
        all.push_back({"py_SimpleQueue", python<python_simple>, nullptr, 0.05});
        all.push_back({"py_JoinableQueue", python<python_joinable>, nullptr, 0.05});
        all.push_back({"py_Pipe", script<coproc::bench::python, pipe_script>, is_one_to_one, 0.1});
    }
    if (has_peer(go)) all.push_back({"go", script<go, go_script>, is_one_to_one, 0.5});
    if (has_peer(node)) all.push_back({"node", script<node, node_script>, is_one_to_one, 0.05});
    if (has_peer(uvloop)) {
        all.push_back({"py_uvloop", script<uvloop, uvloop_script>, is_one_to_one, 0.1});
    }
    return all;
}

/// So many that starting together does not count, nor that each process touches the queue's memory
/// for the first time; or, for a short run, hardly any. (With a quarter of a gigabyte that was half
/// of what 1 MiB took with four producers.)
std::uint64_t count_for(std::uint64_t size, double pace, bool is_short) {
    const std::uint64_t most = 1'000'000;
    const std::uint64_t bytes = std::uint64_t{1} << 30U;
    const double all = pace * static_cast<double>(std::min(most, bytes / size));
    const auto count = static_cast<std::uint64_t>(is_short ? all / 100 : all);
    return std::max<std::uint64_t>(8, count / 8 * 8);
}

void add(const contender& one, std::uint64_t producers, std::uint64_t consumers, std::uint64_t size,
         bool is_short) {
    const flow what{producers, consumers, size, count_for(size, one.pace, is_short)};
    if (one.can != nullptr && !one.can(what)) return;
    const std::string flows = std::to_string(producers) + "_to_" + std::to_string(consumers);
    const auto run = [what, function = one.run] { return function(what); };
    coproc::bench::add_case(flows + "/" + one.name, size, run);
}

}  // namespace

int main(int argc, char** argv) {
    if (auto code = coproc::run_if_child()) return *code;
    const bool is_short = coproc::bench::is_short_run(argc, argv);
    for (const contender& one : contenders()) {
        for (const std::uint64_t size : sizes) {
            // A short run: everything with small messages, and the largest ones once.
            if (is_short && !is_extreme(size)) continue;
            add(one, 1, 1, size, is_short);
            if (is_short && size == sizes.back()) continue;
            add(one, 4, 1, size, is_short);
            add(one, 4, 4, size, is_short);
        }
    }
    return coproc::bench::run_all(argc, argv);
}
