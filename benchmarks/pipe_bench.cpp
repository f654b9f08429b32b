// What does a message through a pipe cost, beside read and write on a libuv loop?
//
// round_trip/CONTENDER/BYTES: to an echoing child and back, both sides asleep in between.
// one_way/CONTENDER/BYTES: messages sent as fast as the child takes them, per message.
// `bare` is read() and write() of messages of known size on a Unix stream socket, one uv_poll on
// each side, without headers, types or checks; coproc's child is of the same kind.
// The others send whole messages, too, and compare each echo: `asio` is Boost.Asio coroutines on a
// Unix stream socket, `node` process.send() between Node and its fork, `go` the pipes of os/exec
// (its threads look for work for a while before they sleep), `py_uvloop` asyncio's streams on
// uvloop, and `py_Pipe` multiprocessing's, which blocks without any loop.

#include <coproc/connection.hpp>
#include <coproc/process.hpp>
#include <coproc/run.hpp>
#include <coproc/runtime.hpp>

#include "pipe_peers.hpp"
#include "ratios.hpp"

#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

namespace {

using coproc::bytes;

/// A stream socket with one poll: reads and writes whole buffers, running the loop when it has to.
class bare_end {
 public:
    explicit bare_end(int fd) : fd_(fd) {
        uv_loop_init(&loop_);
        uv_poll_init(&loop_, &poll_, fd_);
        poll_.data = this;
    }
    bare_end(const bare_end&) = delete;
    bare_end& operator=(const bare_end&) = delete;
    ~bare_end() {
        uv_close(reinterpret_cast<uv_handle_t*>(&poll_), nullptr);
        uv_run(&loop_, UV_RUN_DEFAULT);
        uv_loop_close(&loop_);
        ::close(fd_);
    }

    /// False at the end of the stream.
    bool read_all(std::span<std::byte> into) {
        while (!into.empty()) {
            const ssize_t count = ::read(fd_, into.data(), into.size());
            if (count == 0) return false;
            if (count > 0) {
                into = into.subspan(static_cast<std::size_t>(count));
            } else {
                wait(UV_READABLE);
            }
        }
        return true;
    }
    void write_all(std::span<const std::byte> from) {
        while (!from.empty()) {
            const ssize_t count = ::write(fd_, from.data(), from.size());
            if (count > 0) {
                from = from.subspan(static_cast<std::size_t>(count));
            } else {
                wait(UV_WRITABLE);
            }
        }
    }

 private:
    /// Leaves the poll armed between two waits for the same thing, as a well-made program does.
    void wait(int event) {
        if (errno != EAGAIN) std::abort();
        if (armed_ != event) {
            uv_poll_start(&poll_, event, [](uv_poll_t* self, int, int) {
                static_cast<bare_end*>(self->data)->ready_ = true;
            });
            armed_ = event;
        }
        ready_ = false;
        while (!ready_) uv_run(&loop_, UV_RUN_ONCE);
    }

    int fd_;
    uv_loop_t loop_;
    uv_poll_t poll_;
    int armed_ = 0;
    bool ready_ = false;
};

// The children: they echo each message, or only the last of `count`.

int bare_child(coproc::unique_fd socket, std::uint64_t size, std::uint64_t echo_every) {
    bare_end parent(socket.release());
    bytes message(size);
    for (std::uint64_t i = 1; parent.read_all(message); ++i) {
        if (i % echo_every == 0) parent.write_all(message);
    }
    return 0;
}

struct bare_child_target {
    std::uint64_t size;
    std::uint64_t echo_every;
    coproc::task<int> operator()(coproc::connection from) const {
        auto socket = (co_await from.recv_fd()).value();
        co_return bare_child(std::move(socket), size, echo_every);
    }
};

coproc::task<void> coproc_child(coproc::connection parent, std::uint64_t size,
                                std::uint64_t echo_every) {
    bytes message(size);
    for (std::uint64_t i = 1;; ++i) {
        const auto received = co_await parent.recv_bytes_into(message);
        if (!received) co_return;
        if (i % echo_every == 0) (co_await parent.send_bytes(message)).value();
    }
}

bytes pattern(std::uint64_t size) {
    bytes message(size);
    for (std::uint64_t i = 0; i < size; ++i) message[i] = static_cast<std::byte>(i * 31);
    return message;
}

/// Sends `count` messages and waits for the echo of the last. The contender's own loop.
template <class Exchange>
void measure(benchmark::State& state, std::uint64_t count, Exchange&& exchange) {
    const bytes message = pattern(static_cast<std::uint64_t>(state.range(0)));
    bytes echo(message.size());
    for (auto turn : state) exchange(message, echo);
    if (echo != message) state.SkipWithError("the echo differs");
    const std::int64_t messages = state.iterations() * static_cast<std::int64_t>(count);
    state.SetItemsProcessed(messages);
    state.SetBytesProcessed(messages * state.range(0));
}

coproc::task<int> end_of(coproc::process& child) {
    co_return (co_await child.join()).value().code();
}

void bare_exchange(benchmark::State& state, std::uint64_t count) {
    auto home = coproc::runtime::create().value();
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        std::abort();
    auto [ours, theirs] = coproc::pipe().value();
    coproc::process child(bare_child_target{static_cast<std::uint64_t>(state.range(0)), count},
                          std::move(theirs));
    const auto start = [&]() -> coproc::task<void> {
        (co_await child.start()).value();
        (co_await ours.send_fd(ends[1])).value();
    };
    home.run(start());
    ::close(ends[1]);
    {
        bare_end end(ends[0]);
        measure(state, count, [&](const bytes& message, bytes& echo) {
            for (std::uint64_t i = 0; i < count; ++i) end.write_all(message);
            if (!end.read_all(echo)) std::abort();
        });
    }
    if (home.run(end_of(child)) != 0) state.SkipWithError("the child failed");
}

void coproc_exchange(benchmark::State& state, std::uint64_t count) {
    auto home = coproc::runtime::create().value();
    auto [ours, theirs] = coproc::pipe().value();
    coproc::process child(coproc_child, std::move(theirs),
                          static_cast<std::uint64_t>(state.range(0)), count);
    const auto start = [&]() -> coproc::task<void> { (co_await child.start()).value(); };
    home.run(start());
    const auto exchange = [&](const bytes& message, bytes& echo) -> coproc::task<void> {
        for (std::uint64_t i = 0; i < count; ++i) (co_await ours.send_bytes(message)).value();
        (co_await ours.recv_bytes_into(echo)).value();
    };
    measure(state, count,
            [&](const bytes& message, bytes& echo) { home.run(exchange(message, echo)); });
    ours.close();
    if (home.run(end_of(child)) != 0) state.SkipWithError("the child failed");
}

/// Enough messages that the last one's echo does not count.
std::uint64_t burst(const benchmark::State& state) {
    return state.range(0) <= 64 ? 4096 : state.range(0) <= 64 * 1024 ? 256 : 16;
}

void sizes(benchmark::internal::Benchmark* one) {
    one->Arg(64)->Arg(64 * 1024)->Arg(1024 * 1024)->Unit(benchmark::kMicrosecond)->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) {
    if (auto code = coproc::run_if_child()) return *code;
    using benchmark::State;
    const auto add = [](const char* name, auto function) {
        benchmark::RegisterBenchmark(name, function)->Apply(sizes);
    };
    add("round_trip/bare", [](State& state) { bare_exchange(state, 1); });
    add("round_trip/coproc", [](State& state) { coproc_exchange(state, 1); });
    add("one_way/bare", [](State& state) { bare_exchange(state, burst(state)); });
    add("one_way/coproc", [](State& state) { coproc_exchange(state, burst(state)); });
    coproc::bench::add_pipe_peers(coproc::bench::is_short_run(argc, argv));
    return coproc::bench::run_all(argc, argv);
}
