#include <coproc/readiness.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_all.hpp>

#include "support/co_test.hpp"
#include "words/system.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>

using namespace std::chrono_literals;
using coproc::errc;
using coproc::result;
using coproc::task;
using coproc::wait_readable;
using coproc::wait_writable;

namespace {

void put_byte(int fd) {
    const std::array<std::byte, 1> byte{};
    coproc::system::write(fd, byte).value();
}

void take_byte(int fd) {
    std::array<std::byte, 1> byte{};
    coproc::system::read(fd, byte).value();
}

void fill(int fd) {
    const std::vector<std::byte> much(65536);
    while (coproc::system::write(fd, much)) continue;
}

void drain(int fd) {
    std::vector<std::byte> much(65536);
    while (coproc::system::read(fd, much)) continue;
}

}  // namespace

CO_TEST_CASE("readiness: waits until there is something to read", "[readiness]") {
    const auto ends = coproc::system::socket_pair().value();
    const auto early = co_await coproc::timeout(1ms, wait_readable(ends[0].get()));
    put_byte(ends[1].get());
    const auto now = co_await wait_readable(ends[0].get());
    const auto still = co_await wait_readable(ends[0].get());
    take_byte(ends[0].get());
    const auto no_more = co_await coproc::timeout(1ms, wait_readable(ends[0].get()));
    CHECK(early.error() == errc::timed_out);
    CHECK(now.has_value());
    CHECK(still.has_value());
    CHECK(no_more.error() == errc::timed_out);
}

CO_TEST_CASE("readiness: waits until there is room to write", "[readiness]") {
    const auto ends = coproc::system::socket_pair().value();
    const auto empty = co_await wait_writable(ends[0].get());
    fill(ends[0].get());
    const auto full = co_await coproc::timeout(1ms, wait_writable(ends[0].get()));
    const auto rt = co_await coproc::current_runtime();
    const auto waiting = rt.spawn(wait_writable(ends[0].get()));
    (co_await coproc::yield()).value();
    drain(ends[1].get());
    const auto room = co_await waiting;
    CHECK(empty.has_value());
    CHECK(full.error() == errc::timed_out);
    CHECK(room.has_value());
}

CO_TEST_CASE("readiness: any number of tasks wait for the same fd, on both sides", "[readiness]") {
    const auto ends = coproc::system::socket_pair().value();
    fill(ends[0].get());
    const auto rt = co_await coproc::current_runtime();
    const auto waiting = rt.spawn(coproc::when_all(
        wait_readable(ends[0].get()), wait_readable(ends[0].get()), wait_writable(ends[0].get())));
    (co_await coproc::yield()).value();
    put_byte(ends[1].get());
    drain(ends[1].get());
    const auto all = co_await waiting;
    CHECK(std::get<0>(all.value()).has_value());
    CHECK(std::get<1>(all.value()).has_value());
    CHECK(std::get<2>(all.value()).has_value());
}

CO_TEST_CASE("readiness: one of two that wait is canceled, the other is not", "[readiness]") {
    const auto ends = coproc::system::socket_pair().value();
    const auto rt = co_await coproc::current_runtime();
    auto first = rt.spawn(wait_readable(ends[0].get()));
    const auto second = rt.spawn(wait_readable(ends[0].get()));
    (co_await coproc::yield()).value();
    first.cancel();
    put_byte(ends[1].get());
    const auto canceled = co_await first;
    const auto ready = co_await second;
    CHECK(canceled.error() == errc::canceled);
    CHECK(ready.has_value());
}

CO_TEST_CASE("readiness: the end of the stream is readable, and writable", "[readiness]") {
    auto ends = coproc::system::socket_pair().value();
    fill(ends[0].get());
    ends[1].reset();
    const auto readable = co_await wait_readable(ends[0].get());
    const auto writable = co_await wait_writable(ends[0].get());
    CHECK(readable.has_value());
    CHECK(writable.has_value());
}

CO_TEST_CASE("readiness: a pipe whose readers are gone is writable, so that write() can say so",
             "[readiness]") {
    auto ends = coproc::system::pipe().value();
    ends[0].reset();
    const auto writable = co_await coproc::timeout(10s, wait_writable(ends[1].get()));
    CHECK(writable.has_value());
}

CO_TEST_CASE("readiness: an fd may be closed between two waits, and its number used again",
             "[readiness]") {
    for (int i = 0; i < 3; ++i) {
        const auto ends = coproc::system::socket_pair().value();
        put_byte(ends[1].get());
        const auto ready = co_await wait_readable(ends[0].get());
        CHECK(ready.has_value());
    }
}

CO_TEST_CASE("readiness: refuses regular files, closed fds, and what the host's loop watches",
             "[readiness]") {
    const auto file = coproc::system::open_read_only("/proc/self/exe").value();
    const auto regular = co_await wait_readable(file.get());
    const auto closed = co_await wait_readable(9999);
    CHECK(regular.error() == std::errc::operation_not_permitted);
    CHECK(closed.error() == std::errc::bad_file_descriptor);
}

CO_TEST_CASE("readiness: makes the fd non-blocking", "[readiness]") {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    const coproc::detail::unique_fd first(ends[0]);
    const coproc::detail::unique_fd second(ends[1]);
    const auto ready = co_await wait_writable(first.get());
    CHECK(ready.has_value());
    CHECK((::fcntl(first.get(), F_GETFL) & O_NONBLOCK) != 0);
}

CO_TEST_CASE("readiness: a busy fd starves no timer and no other fd", "[readiness]") {
    const auto busy = coproc::system::socket_pair().value();
    const auto other = coproc::system::socket_pair().value();
    put_byte(busy[1].get());
    put_byte(other[1].get());
    bool stop = false;
    const auto spin = [&]() -> task<void> {
        while (!stop) (co_await wait_readable(busy[0].get())).value();
    };
    const auto rt = co_await coproc::current_runtime();
    const auto spinning = rt.spawn(spin());
    const auto slept = co_await coproc::sleep_for(2ms);
    const auto ready = co_await wait_readable(other[0].get());
    stop = true;
    (co_await spinning).value();
    CHECK(slept.has_value());
    CHECK(ready.has_value());
}
