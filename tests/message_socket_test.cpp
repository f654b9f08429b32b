// White box: what a socket's messages do with a peer that is no coproc program, and with a system
// that refuses.

#include "channels/message_socket.hpp"

#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/scope.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"
#include "words/system.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using coproc::bytes;
using coproc::connection;
using coproc::errc;
using coproc::result;
using coproc::task;
using coproc::detail::message_header;
using coproc::detail::message_socket;
using coproc::detail::unique_fd;

namespace {

constexpr std::uint32_t magic = 0x63727063;
constexpr std::uint64_t some_type = 77;

/// The other end of a socket, without any manners.
struct raw_peer {
    unique_fd fd;

    void write(std::span<const std::byte> data, std::span<const int> fds = {}) const {
        ::iovec part{const_cast<std::byte*>(data.data()), data.size()};
        alignas(::cmsghdr) std::array<std::byte, CMSG_SPACE(253 * sizeof(int))> space{};
        ::msghdr call{};
        call.msg_iov = &part;
        call.msg_iovlen = 1;
        if (!fds.empty()) {
            call.msg_control = space.data();
            call.msg_controllen = CMSG_SPACE(fds.size_bytes());
            ::cmsghdr* header = CMSG_FIRSTHDR(&call);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(fds.size_bytes());
            std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
        }
        const ssize_t written = ::sendmsg(fd.get(), &call, MSG_NOSIGNAL);
        REQUIRE(written == static_cast<ssize_t>(data.size()));
    }
};

struct ends {
    ends() : ends(coproc::system::socket_pair().value()) {}
    message_socket ours;
    raw_peer theirs;

 private:
    explicit ends(std::array<unique_fd, 2> pair)
        : ours(std::move(pair[0])), theirs{std::move(pair[1])} {}
};

bytes wire(const message_header& header, std::size_t body_size) {
    const auto head = std::as_bytes(std::span(&header, 1));
    bytes all(head.begin(), head.end());
    all.resize(all.size() + body_size, std::byte{0x5a});
    return all;
}

bytes valid(std::size_t size, std::uint32_t fds = 0) {
    return wire({magic, fds, size, some_type}, size);
}

std::size_t fds_open() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// Receives one message and drops it; how many bytes it had.
task<result<std::size_t>> take(message_socket& from) {
    COPROC_CO_TRY(const message_header header, co_await from.wait_message());
    const std::size_t size = from.body(header).size();
    (void)from.take_fds(header);
    from.drop(header);
    co_return size;
}

void check_fails(const result<std::size_t>& outcome, errc why) {
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error() == why);
}

}  // namespace

CO_TEST_CASE("message socket: bytes that are no header are a bad message, for good", "[socket]") {
    for (const message_header& header :
         {message_header{0, 0, 0, 0}, message_header{magic + 1, 0, 4, some_type},
          message_header{magic, 254, 4, some_type}, message_header{magic, ~0U, 4, some_type}}) {
        ends pair;
        pair.theirs.write(wire(header, 4));
        for (int again = 0; again < 3; ++again) {
            const auto taken = co_await take(pair.ours);
            check_fails(taken, errc::bad_message);
        }
        pair.theirs.write(valid(10));
        const auto later = co_await take(pair.ours);
        check_fails(later, errc::bad_message);
    }
}

CO_TEST_CASE("message socket: a size is not believed before its bytes have come", "[socket]") {
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    for (const std::uint64_t size : {most, most - 23, most - 24, most / 2, most / 2 - 24,
                                     most / 4 - 1, std::uint64_t{1} << 40}) {
        ends pair;
        pair.theirs.write(wire({magic, 0, size, some_type}, 100'000));
        pair.theirs.fd.reset();
        const auto taken = co_await take(pair.ours);
        check_fails(taken, size > most / 4 ? errc::bad_message : errc::truncated);
        // A few times what has come.
        CHECK(pair.ours.unread_bytes().size() <= 100'024);
    }
}

CO_TEST_CASE("message socket: messages that come byte by byte arrive whole", "[socket]") {
    ends pair;
    const unique_fd file = coproc::system::event_fd().value();
    const int number = file.get();
    const auto write_slowly = [&]() -> task<void> {
        for (const std::size_t size : {0U, 1U, 300U}) {
            const bytes all = valid(size, 1);
            for (std::size_t i = 0; i < all.size(); ++i) {
                const std::span<const int> fds(&number, i == 0 ? 1 : 0);
                pair.theirs.write(std::span(all).subspan(i, 1), fds);
                (co_await coproc::sleep_for(1us)).value();
            }
        }
        pair.theirs.fd.reset();
    };
    const auto rt = co_await coproc::current_runtime();
    const auto writing = rt.spawn(write_slowly());
    for (const std::size_t size : {0U, 1U, 300U}) {
        const message_header header = (co_await pair.ours.wait_message()).value();
        CHECK(header.size == size);
        CHECK(pair.ours.body(header).size() == size);
        const auto fds = pair.ours.take_fds(header);
        CHECK(fds.size() == 1);
        pair.ours.drop(header);
    }
    const auto end = co_await take(pair.ours);
    check_fails(end, errc::end_of_stream);
    (co_await writing).value();
}

CO_TEST_CASE("message socket: handles that are announced and missing are a bad message",
             "[socket]") {
    ends pair;
    pair.theirs.write(valid(10, 2));
    const auto none = co_await take(pair.ours);
    check_fails(none, errc::bad_message);

    ends other;
    const unique_fd file = coproc::system::event_fd().value();
    const int number = file.get();
    other.theirs.write(valid(10, 2), std::span(&number, 1));
    const auto too_few = co_await take(other.ours);
    check_fails(too_few, errc::bad_message);
}

CO_TEST_CASE("message socket: handles that nobody has announced are closed", "[socket]") {
    ends pair;
    const unique_fd file = coproc::system::event_fd().value();
    const std::vector<int> many(100, file.get());
    const std::size_t before = fds_open();
    for (int i = 0; i < 100; ++i) {
        pair.theirs.write(valid(10), many);
        const auto taken = co_await take(pair.ours);
        CHECK(taken.has_value());
        CHECK(fds_open() <= before + 1);  // the poll
    }
}

CO_TEST_CASE("message socket: a peer that sends handles and never a message is cut off",
             "[socket]") {
    ends pair;
    const unique_fd file = coproc::system::event_fd().value();
    const std::vector<int> many(253, file.get());
    const std::size_t before = fds_open();
    const bytes message = valid(1000);
    for (std::size_t i = 0; i < 10; ++i) {
        pair.theirs.write(std::span(message).subspan(i, 1), many);
    }
    const auto taken = co_await take(pair.ours);
    check_fails(taken, errc::bad_message);
    CHECK(fds_open() < before);
    CHECK_FALSE(pair.ours.is_open());
    const auto again = co_await take(pair.ours);
    check_fails(again, errc::closed);
}

namespace {

using dice = std::mt19937_64;

std::size_t below(dice& any, std::size_t limit) { return any() % limit; }

/// A stream of good messages, damaged in one of five ways.
bytes damaged_stream(dice& any) {
    bytes stream;
    const std::size_t count = 1 + below(any, 10);
    for (std::size_t i = 0; i < count; ++i) {
        const bytes one = valid(below(any, 4) == 0 ? below(any, 70'000) / count : below(any, 60),
                                static_cast<std::uint32_t>(below(any, 8) == 0));
        stream.insert(stream.end(), one.begin(), one.end());
    }
    const auto somewhere = [&] { return static_cast<std::ptrdiff_t>(below(any, stream.size())); };
    switch (below(any, 5)) {
        case 0:
            for (int i = 0; i < 3; ++i)
                stream[below(any, stream.size())] ^= std::byte(1 + any() % 255);
            break;
        case 1:
            stream.resize(below(any, stream.size()) + 1);
            break;
        case 2:
            stream.insert(stream.begin() + somewhere(), std::byte(any() % 256));
            break;
        case 3:
            stream.erase(stream.begin() + somewhere());
            break;
        default:
            stream[below(any, 24)] = std::byte(any() % 256);
    }
    return stream;
}

task<void> write_in_pieces(const raw_peer& to, const bytes& stream, dice& any, int file) {
    std::size_t at = 0;
    while (at < stream.size()) {
        const std::size_t size = std::min(stream.size() - at, 1 + below(any, 5000));
        const std::array<int, 3> fds{file, file, file};
        const std::size_t fd_count = below(any, 4) == 0 ? below(any, 4) : 0;
        to.write(std::span(stream).subspan(at, size), std::span(fds).first(fd_count));
        at += size;
        if (below(any, 3) == 0) (co_await coproc::yield()).value();
    }
}

}  // namespace

CO_TEST_CASE("message socket: 3000 damaged streams end in an error each, and leave no handle",
             "[socket]") {
    dice any(20250704);
    std::map<std::string, int> ends_of_streams;
    const unique_fd file = coproc::system::event_fd().value();
    const auto rt = co_await coproc::current_runtime();
    for (int round = 0; round < 3000; ++round) {
        ends pair;
        const bytes stream = damaged_stream(any);
        const auto write = [&]() -> task<void> {
            co_await write_in_pieces(pair.theirs, stream, any, file.get());
            pair.theirs.fd.reset();
        };
        const auto writing = rt.spawn(write());
        std::size_t messages = 0;
        result<std::size_t> taken = co_await take(pair.ours);
        while (taken) {
            ++messages;
            taken = co_await take(pair.ours);
        }
        CHECK(messages <= stream.size() / sizeof(message_header));
        ++ends_of_streams[taken.error().code().message()];
        (co_await writing).value();
    }
    // Each kind of end has been met, and no other.
    CHECK(ends_of_streams.size() == 3);
    for (const errc why : {errc::bad_message, errc::end_of_stream, errc::truncated}) {
        CHECK(ends_of_streams[make_error_code(why).message()] > 50);
    }
}

TEST_CASE("receive buffer: it grows with what comes, in few steps, to what is wanted", "[socket]") {
    constexpr std::size_t wanted = std::size_t{64} * 1024 * 1024 + 24;
    coproc::detail::receive_buffer buffer;
    std::size_t capacity = 0;
    int steps = 0;
    while (buffer.size() < wanted) {
        const auto room = buffer.room(wanted).value();
        REQUIRE_FALSE(room.empty());
        CHECK(buffer.size() + room.size() <= 2 * buffer.size() + 65'536);
        if (std::exchange(capacity, buffer.size() + room.size()) != capacity) ++steps;
        buffer.commit(std::min({room.size(), std::size_t{262'144}, wanted - buffer.size()}));
    }
    CHECK(steps < 20);
    CHECK(capacity == wanted);
}

// -- ends

CO_TEST_CASE(
    "message socket: a peer that dies in mid-message has truncated it, whoever else's "
    "bytes it has not read",
    "[socket]") {
    for (const bool unread : {false, true}) {
        for (const std::size_t sent : {1U, 23U, 24U, 60U, 1023U}) {
            ends pair;
            if (unread) {
                const bytes data(100);
                (co_await pair.ours.send({some_type, data, {}})).value();
            }
            const bytes message = valid(1000);
            pair.theirs.write(valid(5));
            pair.theirs.write(std::span(message).first(sent));
            pair.theirs.fd.reset();
            const auto whole = co_await take(pair.ours);
            CHECK(whole.value() == 5);
            for (int again = 0; again < 3; ++again) {
                const auto cut = co_await take(pair.ours);
                check_fails(cut, errc::truncated);
            }
        }
    }
}

CO_TEST_CASE("message socket: what a dead peer has sent is received before the end", "[socket]") {
    for (const bool unread : {false, true}) {
        ends pair;
        const bytes data(100);
        if (unread) (co_await pair.ours.send({some_type, data, {}})).value();
        for (int i = 0; i < 10; ++i) pair.theirs.write(valid(20));
        pair.theirs.fd.reset();
        for (int i = 0; i < 10; ++i) {
            const auto taken = co_await take(pair.ours);
            CHECK(taken.value() == 20);
        }
        for (int again = 0; again < 3; ++again) {
            const auto end = co_await take(pair.ours);
            check_fails(end, errc::end_of_stream);
        }
        const auto sent = co_await pair.ours.send({some_type, data, {}});
        REQUIRE_FALSE(sent.has_value());
        CHECK(sent.error() == errc::end_of_stream);
    }
}

CO_TEST_CASE("message socket: closing it closes the handles that nobody has received", "[socket]") {
    ends pair;
    auto pipe = coproc::system::pipe().value();
    pair.theirs.write(valid(5));
    const int write_end = pipe[1].get();
    pair.theirs.write(valid(5, 1), std::span(&write_end, 1));
    pipe[1].reset();
    const auto first = co_await take(pair.ours);
    CHECK(first.has_value());
    CHECK(pair.ours.unread_fds().size() == 1);
    pair.ours.close();
    std::array<std::byte, 1> byte{};
    coproc::system::set_nonblocking(pipe[0].get()).value();
    const auto end_of_pipe = coproc::system::read(pipe[0].get(), byte);
    REQUIRE(end_of_pipe.has_value());
    CHECK(end_of_pipe.value() == 0);
}

CO_TEST_CASE("message socket: one whose maker makes it blocking does not block the loop",
             "[socket]") {
    auto pair = coproc::system::socket_pair().value();
    const unique_fd copy = coproc::system::duplicate(pair[0].get()).value();
    message_socket ours(std::move(pair[0]));
    const auto waited = co_await coproc::timeout(1ms, take(ours));
    check_fails(waited, errc::timed_out);
    REQUIRE(::fcntl(copy.get(), F_SETFL, 0) == 0);
    const auto again = co_await coproc::timeout(1ms, take(ours));
    check_fails(again, errc::timed_out);
    const bytes large(std::size_t{4} * 1024 * 1024);
    const auto sent = co_await coproc::timeout(1ms, ours.send({some_type, large, {}}));
    REQUIRE_FALSE(sent.has_value());
    CHECK(sent.error() == errc::timed_out);
}

// -- turns

namespace {

/// Counts how long others are kept waiting.
struct patience {
    int waited = 0;
    int longest = 0;
    bool over = false;

    void step() { longest = std::max(longest, ++waited); }
    task<void> others() {
        while (!over) {
            waited = 0;
            (co_await coproc::yield()).value();
        }
    }
};

}  // namespace

CO_TEST_CASE("message socket: a reader that keeps up does not make a sender starve the loop",
             "[socket]") {
    auto pair = coproc::system::socket_pair().value();
    message_socket ours(std::move(pair[0]));
    REQUIRE(::fcntl(pair[1].get(), F_SETFL, 0) == 0);
    std::thread reader([&] {
        std::array<std::byte, 65536> buffer;
        while (::read(pair[1].get(), buffer.data(), buffer.size()) > 0) continue;
    });
    patience others;
    const auto rt = co_await coproc::current_runtime();
    const auto running = rt.spawn(others.others());
    const bytes data(10);
    for (int i = 0; i < 100'000; ++i) {
        (co_await ours.send({some_type, data, {}})).value();
        others.step();
    }
    others.over = true;
    (co_await running).value();
    ours.close();
    reader.join();
    CHECK(others.longest <= 129);
}

CO_TEST_CASE("message socket: a receiver does not starve the loop, however many have come",
             "[socket]") {
    ends pair;
    bytes stream;
    for (int i = 0; i < 4000; ++i) {
        const bytes one = valid(0);
        stream.insert(stream.end(), one.begin(), one.end());
    }
    pair.theirs.write(stream);
    patience others;
    const auto rt = co_await coproc::current_runtime();
    const auto running = rt.spawn(others.others());
    for (int i = 0; i < 4000; ++i) {
        (co_await take(pair.ours)).value();
        others.step();
    }
    others.over = true;
    (co_await running).value();
    CHECK(others.longest <= 129);
}

// -- the system refuses

namespace {

constinit int calls_until_refusal = -1;
constinit int refusal = 0;
constinit const char* refused_call = nullptr;
constinit const char* only_call = nullptr;

int refuse_nth(const char* call) noexcept {
    if (only_call != nullptr && std::strcmp(call, only_call) != 0) return 0;
    if (calls_until_refusal-- != 0) return 0;
    refused_call = call;
    return refusal;
}

/// Refuses the nth call from now on, once.
class refusing {
 public:
    refusing(int nth, int why, const char* only = nullptr) {
        calls_until_refusal = nth;
        refusal = why;
        refused_call = nullptr;
        only_call = only;
        coproc::system::set_fault_hook(&refuse_nth);
    }
    ~refusing() { coproc::system::set_fault_hook(nullptr); }
    refusing(const refusing&) = delete;
    refusing& operator=(const refusing&) = delete;
};

}  // namespace

CO_TEST_CASE("message socket: a send that fails before its first byte has sent nothing",
             "[socket]") {
    ends pair;
    const bytes data(100);
    const auto send = [&]() -> task<result<void>> {
        const refusing hook(0, ENOMEM, "sendmsg");
        co_return co_await pair.ours.send({some_type, data, {}});
    };
    const auto refused = co_await send();
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == std::errc::not_enough_memory);
    CHECK(pair.ours.is_open());
    CHECK_FALSE(coproc::system::is_readable(pair.theirs.fd.get()));
    (co_await pair.ours.send({some_type, data, {}})).value();
}

CO_TEST_CASE("message socket: a send that fails in mid-message closes, and both sides are told",
             "[socket]") {
    const bytes data(std::size_t{4} * 1024 * 1024);
    for (const char* call : {"sendmsg", "uv_poll_init"}) {
        auto pair = coproc::system::socket_pair().value();
        message_socket ours(std::move(pair[0]));
        message_socket theirs(std::move(pair[1]));
        const auto send = [&]() -> task<result<void>> {
            const bool in_send = std::strcmp(call, "sendmsg") == 0;
            const refusing hook(in_send ? 1 : 0, ENOMEM, call);
            co_return co_await ours.send({some_type, data, {}});
        };
        const auto refused = co_await send();
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error() == std::errc::not_enough_memory);
        CHECK_FALSE(ours.is_open());
        const auto next = co_await ours.send({some_type, {}, {}});
        REQUIRE_FALSE(next.has_value());
        CHECK(next.error() == errc::closed);
        const auto taken = co_await take(theirs);
        check_fails(taken, errc::truncated);
    }
}

namespace {

/// A bit of everything that pipes can do; what the steps came to.
task<result<void>> use_pipes() {
    COPROC_CO_TRY(auto pair, coproc::pipe());
    auto& [ours, theirs] = pair;
    COPROC_CO_TRY(auto other, coproc::pipe(coproc::simplex));
    COPROC_CO_TRY(co_await ours.send(std::string("text")));
    COPROC_CO_TRY(const auto text, co_await theirs.recv<std::string>());
    CHECK(text == "text");
    COPROC_CO_TRY(co_await theirs.send_fd(ours.fd()));
    COPROC_CO_TRY(const auto fd, co_await ours.recv_fd());
    CHECK(fd.get() >= 0);
    COPROC_CO_TRY(co_await ours.send(coproc::moving(other.first)));
    COPROC_CO_TRY(auto receiver, co_await theirs.recv<connection>());
    COPROC_CO_TRY(co_await other.second.send(1));
    COPROC_CO_TRY(const int one, co_await receiver.recv<int>());
    CHECK(one == 1);
    // Suspends, so that the poll is used.
    const auto nothing = co_await coproc::timeout(0ms, receiver.recv<int>());
    if (nothing) co_return errc::bad_message;
    if (nothing.error() != errc::timed_out) co_return nothing.error();
    co_return coproc::success();
}

}  // namespace

CO_TEST_CASE("message socket: whichever call fails, and however, the answer is a result",
             "[socket]") {
    std::map<std::string, int> refused;
    for (const int why : {EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN, EINTR, EPIPE, ECONNRESET}) {
        for (int nth = 0;; ++nth) {
            const refusing hook(nth, why);
            const auto outcome = co_await use_pipes();
            if (refused_call == nullptr) {
                CHECK(outcome.has_value());
                break;
            }
            ++refused[refused_call];
            const bool on_the_wire = std::strcmp(refused_call, "sendmsg") == 0 ||
                                     std::strcmp(refused_call, "recvmsg") == 0;
            if (on_the_wire && why == EAGAIN) {
                // The socket is ready after all: waiting for it overcomes the refusal.
                CHECK(outcome.has_value());
                continue;
            }
            REQUIRE_FALSE(outcome.has_value());
            const bool dead = on_the_wire && (why == EPIPE || why == ECONNRESET);
            const bool as_told =
                dead ? outcome.error() == errc::end_of_stream
                     : outcome.error() == std::error_code(why, std::system_category());
            CHECK((as_told || std::strcmp(refused_call, "uv_poll_init") == 0));
        }
    }
    std::string table;
    for (const auto& [call, times] : refused) table += call + " " + std::to_string(times) + ", ";
    CHECK(table == "fcntl 8, recvmsg 40, sendmsg 32, shutdown 8, socketpair 16, uv_poll_init 8, ");
}

CO_TEST_CASE(
    "message socket: without room for a received handle the connection is closed and "
    "nothing leaks",
    "[socket]") {
    auto [ours, theirs] = coproc::pipe().value();
    const unique_fd file = coproc::system::event_fd().value();
    {
        const std::vector<coproc::event> many(5, coproc::event::create().value());
        (co_await ours.send(many)).value();
    }
    std::vector<unique_fd> full;
    ::rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    ::rlimit low = before;
    low.rlim_cur = 100;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
    for (;;) {
        auto one = coproc::system::duplicate(file.get());
        if (!one) break;
        full.push_back(std::move(one).value());
    }
    const auto refused_pipe = coproc::pipe();
    // Two of the five can be received. (UBSan, too, needs two to look at memory.)
    full.resize(full.size() - 2);
    const auto received = co_await theirs.recv<std::vector<coproc::event>>();
    const auto next = co_await theirs.recv_fd();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    REQUIRE_FALSE(refused_pipe.has_value());
    CHECK(refused_pipe.error() == std::errc::too_many_files_open);
    REQUIRE_FALSE(received.has_value());
    CHECK(received.error() == std::errc::too_many_files_open);
    REQUIRE_FALSE(next.has_value());
    CHECK(next.error() == errc::closed);
    const auto told = co_await ours.recv<int>();
    REQUIRE_FALSE(told.has_value());
    CHECK(told.error() == errc::end_of_stream);
}
