// A host with an epoll loop of its own: its timer makes jobs, and the loop also drives coproc,
// whose children do them.

#include <coproc/coproc.hpp>

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <iostream>

namespace {

using numbers = coproc::queue<int>;

coproc::task<void> square(numbers jobs, numbers answers) {
    while (auto job = co_await jobs.get()) {  // errc::closed is the end
        (co_await answers.put(job.value() * job.value())).value();
    }
}

/// Two workers, from their start to their end.
coproc::task<void> employ(numbers jobs, numbers answers, int expected) {
    coproc::process first(square, jobs, answers);
    coproc::process second(square, jobs, answers);
    (co_await first.start()).value();
    (co_await second.start()).value();
    for (; expected > 0; --expected) {
        std::cout << "answer: " << (co_await answers.get()).value() << std::endl;
    }
    for (auto* worker : {&first, &second}) {
        (co_await worker->join()).value();
        std::cout << *worker << std::endl;
    }
}

void watch(int poller, int fd) {
    ::epoll_event readable{EPOLLIN, {.fd = fd}};
    ::epoll_ctl(poller, EPOLL_CTL_ADD, fd, &readable);
}

}  // namespace

int main() {
    if (auto code = coproc::run_if_child()) return *code;
    constexpr int count = 5;
    auto rt = coproc::runtime::create().value();
    auto jobs = numbers::create().value();
    const auto work = rt.spawn(employ(jobs, numbers::create().value(), count));

    const int ticker = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    const ::itimerspec each_10_ms{{0, 10'000'000}, {0, 10'000'000}};
    ::timerfd_settime(ticker, 0, &each_10_ms, nullptr);
    int ticks = 0;
    const auto on_tick = [&] {
        std::uint64_t expirations = 0;
        if (::read(ticker, &expirations, sizeof(expirations)) < 0) return;
        if (++ticks <= count) {
            rt.spawn(jobs.put(ticks));
        } else {
            jobs.close().value();
        }
    };

    const int poller = ::epoll_create1(EPOLL_CLOEXEC);
    watch(poller, ticker);
    watch(poller, rt.fd());
    while (!work.done()) {
        rt.run_ready();
        const auto longest = rt.next_timeout();
        std::array<::epoll_event, 8> ready{};
        const int found = ::epoll_wait(poller, ready.data(), static_cast<int>(ready.size()),
                                       longest ? static_cast<int>(longest->count()) : -1);
        for (int i = 0; i < found; ++i) {
            if (ready.at(static_cast<std::size_t>(i)).data.fd == ticker) on_tick();
        }
    }
    rt.run(rt.shutdown()).value();
    std::cout << (ticks > count ? "the host's timer went on" : "the host's timer stood still")
              << std::endl;
    ::close(poller);
    ::close(ticker);
}
