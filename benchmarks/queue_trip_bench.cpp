// How long does a message take to another process and back, asleep in between or busily looking?
//
// asleep/CONTENDER/BYTES: two queues, both sides wait on their loops. `bare` is an eventfd and a
// uv_poll on each side, with the bytes in shared memory beside it; Boost and Python block in the
// kernel without any loop, and ZeroMQ sends and receives in a thread of its own.
// busy/CONTENDER/BYTES: both sides look again and again; `bare` is one atomic word. Every answer is
// compared with what was sent.

#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/run.hpp>
#include <coproc/runtime.hpp>

#include "queue_peers.hpp"
#include "ratios.hpp"
#include "trips.hpp"

#include <sched.h>
#include <sys/eventfd.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <atomic>

namespace {

using namespace coproc::bench;
using coproc::bytes;

constexpr std::array<std::uint64_t, 3> sizes{64, 1024, 64 * 1024};
using room_for_any = std::array<std::byte, sizes.back()>;

/// One direction: a shared buffer, and an eventfd that says there is something in it.
class bare_way {
 public:
    explicit bare_way(std::uint64_t size) : fd_(::eventfd(0, EFD_NONBLOCK)), size_(size) {
        must(size <= sizeof(room_for_any));
    }
    bare_way(const bare_way&) = delete;
    bare_way& operator=(const bare_way&) = delete;
    ~bare_way() { ::close(fd_); }

    int fd() const noexcept { return fd_; }
    void send(message_view message) const {
        std::memcpy(room_->data(), message.data(), size_);
        const std::uint64_t one = 1;
        must(::write(fd_, &one, sizeof one) == sizeof one);
    }
    bool try_receive(std::span<std::byte> into) const {
        std::uint64_t count = 0;
        if (::read(fd_, &count, sizeof count) < 0) return false;
        std::memcpy(into.data(), room_->data(), size_);
        return true;
    }

 private:
    int fd_;
    std::uint64_t size_;
    forked_memory<room_for_any> room_;
};

/// Runs a loop until the eventfd of a way can be read.
class bare_loop {
 public:
    explicit bare_loop(const bare_way& from) : from_(&from) {
        uv_loop_init(&loop_);
        uv_poll_init(&loop_, &poll_, from.fd());
        poll_.data = this;
        uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* self, int, int) {
            static_cast<bare_loop*>(self->data)->ready_ = true;
        });
    }
    bare_loop(const bare_loop&) = delete;
    bare_loop& operator=(const bare_loop&) = delete;
    ~bare_loop() {
        uv_close(reinterpret_cast<uv_handle_t*>(&poll_), nullptr);
        uv_run(&loop_, UV_RUN_DEFAULT);
        uv_loop_close(&loop_);
    }
    void receive(std::span<std::byte> into) {
        while (!from_->try_receive(into)) {
            ready_ = false;
            while (!ready_) uv_run(&loop_, UV_RUN_ONCE);
        }
    }

 private:
    const bare_way* from_;
    uv_loop_t loop_;
    uv_poll_t poll_;
    bool ready_ = false;
};

outcome bare_asleep(const flow& what) {
    const bare_way there(what.size);
    const bare_way back(what.size);
    std::optional<bare_loop> loop;  // one in each process
    const auto echo = [&](bytes& message) {
        if (!loop) loop.emplace(there);
        loop->receive(message);
        back.send(message);
    };
    const auto trip = [&](const bytes& message, bytes& answer) {
        if (!loop) loop.emplace(back);
        there.send(message);
        loop->receive(answer);
    };
    return with_forked_echo(what, echo, trip);
}

/// Where no two processors are free, looking alone would take for ever.
template <class Look>
void look_until(const Look& look) {
    for (int i = 1; !look(); ++i) {
        if (i % 100 == 0) ::sched_yield();
    }
}

outcome bare_busy(const flow& what) {
    struct words {
        alignas(64) std::atomic<std::uint64_t> there{0};
        alignas(64) std::atomic<std::uint64_t> back{0};
        room_for_any room;
    };
    const forked_memory<words> shared;
    std::uint64_t turn = 0;
    const auto echo = [&](bytes& message) {
        look_until([&] { return shared->there.load() != turn; });
        turn = shared->there;
        std::memcpy(message.data(), shared->room.data(), message.size());
        std::memcpy(shared->room.data(), message.data(), message.size());
        shared->back = turn;
    };
    const auto trip = [&](const bytes& message, bytes& answer) {
        std::memcpy(shared->room.data(), message.data(), message.size());
        shared->there = ++turn;
        look_until([&] { return shared->back.load() == turn; });
        std::memcpy(answer.data(), shared->room.data(), answer.size());
    };
    return with_forked_echo(what, echo, trip);
}

template <class Peer>
outcome peer_asleep(const flow& what) {
    Peer there(what);
    Peer back(what);
    const auto echo = [&](bytes& message) {
        there.receive(message);
        back.send(message);
    };
    const auto trip = [&](const bytes& message, bytes& answer) {
        there.send(message);
        back.receive(answer);
    };
    return with_forked_echo(what, echo, trip);
}

#ifdef COPROC_BENCH_ZEROMQ
/// Each process makes its own ends, and leaves when its last message has gone.
outcome zeromq_asleep(const flow& what) {
    const zeromq_peer there(what);
    const zeromq_peer back(what);
    const pid_t child = fork_worker([&] {
        auto from = there.receiver(what, 0);
        auto to = back.sender(what, 0);
        bytes message(what.size);
        for (std::uint64_t i = 0; i <= what.count; ++i) {
            to.send(message_view(message).first(from.receive(message)));
        }
    });
    auto to = there.sender(what, 0);
    auto from = back.receiver(what, 0);
    outcome measured = timed(what, [&](const bytes& message, bytes& answer) {
        to.send(message);
        answer.resize(from.receive(answer));
    });
    if (!all_end_well({&child, 1})) measured.failure = "the other side failed";
    return measured;
}
#endif

outcome boost_busy(const flow& what) {
    boost_peer there(what);
    boost_peer back(what);
    const auto echo = [&](bytes& message) {
        look_until([&] { return there.try_receive(message); });
        look_until([&] { return back.try_send(message); });
    };
    const auto trip = [&](const bytes& message, bytes& answer) {
        look_until([&] { return there.try_send(message); });
        look_until([&] { return back.try_receive(answer); });
    };
    return with_forked_echo(what, echo, trip);
}

using queue = coproc::queue<bytes>;

coproc::task<void> echo_asleep(queue there, queue back, std::uint64_t count) {
    ::alarm(long_enough);
    for (std::uint64_t i = 0; i <= count; ++i) {
        const auto message = (co_await there.get()).value();
        (co_await back.put(message)).value();
    }
}
void echo_busy(queue there, queue back, std::uint64_t count) {
    ::alarm(long_enough);
    for (std::uint64_t i = 0; i <= count; ++i) {
        std::optional<coproc::result<bytes>> message;
        look_until([&] { return message.emplace(there.try_get()).has_value(); });
        look_until([&] { return back.try_put(message->value()).has_value(); });
    }
}

coproc::task<void> started(coproc::process& child) { (co_await child.start()).value(); }
coproc::task<int> ended(coproc::process& child) {
    co_return (co_await child.join()).value().code();
}

template <class Echo, class Trip>
outcome with_coproc_echo(const flow& what, Echo* echo, const Trip& trip) {
    auto home = coproc::runtime::create().value();
    const auto there = queue::create().value();
    const auto back = queue::create().value();
    coproc::process child(echo, there, back, what.count);
    home.run(started(child));
    outcome measured = trip(home, there, back);
    if (home.run(ended(child)) != 0) measured.failure = "the other side failed";
    return measured;
}

/// All trips in one task, as in a program.
coproc::task<outcome> trips_asleep(flow what, queue there, queue back) {
    bytes message(what.size);
    std::int64_t begin = 0;
    for (std::uint64_t i = 0; i <= what.count; ++i) {
        mark(message, i);
        (co_await there.put(message)).value();
        const auto answer = (co_await back.get()).value();
        if (answer != message) co_return outcome{0, "another message came back"};
        if (i == 0) begin = now_ns();
    }
    const auto took = static_cast<double>(now_ns() - begin);
    co_return outcome{1e-9 * took / static_cast<double>(what.count)};
}

outcome coproc_asleep(const flow& what) {
    return with_coproc_echo(what, echo_asleep,
                            [&](auto& home, const queue& there, const queue& back) {
                                return home.run(trips_asleep(what, there, back));
                            });
}

outcome coproc_busy(const flow& what) {
    return with_coproc_echo(what, echo_busy, [&](auto&, queue there, queue back) {
        return timed(what, [&](const bytes& message, bytes& answer) {
            look_until([&] { return there.try_put(message).has_value(); });
            look_until([&] {
                auto one = back.try_get();
                if (one) answer = std::move(one).value();
                return one.has_value();
            });
        });
    });
}

outcome python_asleep(const flow& what) {
    return run_python("python_queue.py trip Queue " + std::to_string(what.size) + ' ' +
                      std::to_string(what.count));
}

}  // namespace

int main(int argc, char** argv) {
    if (auto code = coproc::run_if_child()) return *code;
    const std::uint64_t count = is_short_run(argc, argv) ? 200 : 10'000;
    const auto add = [&](const char* name, outcome (*run)(const flow&), std::uint64_t times) {
        for (const std::uint64_t size : sizes) {
            add_case(name, size, [=] { return run({1, 1, size, times}); });
        }
    };
    add("asleep/bare", bare_asleep, count);
    add("asleep/seqpacket", peer_asleep<seqpacket_peer>, count);
    add("asleep/boost", peer_asleep<boost_peer>, count);
    add("asleep/coproc", coproc_asleep, count);
#ifdef COPROC_BENCH_ZEROMQ
    add("asleep/zeromq", zeromq_asleep, count);
#else
    std::fputs("zeromq: not installed when this was built, skipped\n", stderr);
#endif
    if (has_python()) add("asleep/py_Queue", python_asleep, count / 5);
    add("busy/bare", bare_busy, count);
    add("busy/boost", boost_busy, count);
    add("busy/coproc", coproc_busy, count);
    return run_all(argc, argv);
}
