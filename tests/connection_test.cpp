#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/scope.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_any.hpp>

#include "support/co_test.hpp"
#include "support/contract.hpp"
#include "words/system.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

using namespace std::chrono_literals;
using coproc::bytes;
using coproc::connection;
using coproc::errc;
using coproc::process;
using coproc::result;
using coproc::task;
using coproc::unique_fd;

namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

bytes pattern(std::size_t size, std::uint64_t seed = 1) {
    constexpr std::size_t block = 65'521;
    bytes made(size);
    std::mt19937_64 any(seed);
    // One random block, so that what is out of place by less than a block is noticed.
    for (std::size_t i = 0; i < std::min(size, block); ++i) made[i] = std::byte(any());
    for (std::size_t i = block; i < size; i += block) {
        std::memcpy(&made[i], made.data(), std::min(block, size - i));
    }
    return made;
}

/// Of sizes that make a difference to sanitizers.
bool equal(const bytes& one, const bytes& other) {
    return one.size() == other.size() &&
           (one.empty() || std::memcmp(one.data(), other.data(), one.size()) == 0);
}

template <class T>
void check_fails(const result<T>& outcome, errc why) {
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error() == why);
}

task<void> turns(int count = 3) {
    for (int i = 0; i < count; ++i) (co_await coproc::sleep_for(0s)).value();
}

/// Fills the socket with messages of 1 KiB; how many.
task<int> fill(connection& from) {
    const bytes data(kib);
    int sent = 0;
    for (;; ++sent) {
        const auto one = co_await coproc::timeout(0ms, from.send_bytes(data));
        if (!one) co_return sent;
    }
}

task<int> drain(connection& from) {
    for (int received = 0;; ++received) {
        const auto one = co_await coproc::timeout(1ms, from.recv_bytes());
        if (!one) co_return received;
    }
}

// -- the operation contract

class on_a_pipe : public coproc::testing::operation_under_contract {
 protected:
    task<void> set_up() override {
        std::tie(ours_, theirs_) = coproc::pipe().value();
        co_return;
    }
    task<void> tear_down() override {
        ours_ = connection();
        theirs_ = connection();
        co_return;
    }
    const char* start_call() const override { return "recvmsg"; }
    connection ours_;
    connection theirs_;
};

class sending : public on_a_pipe {
    task<void> set_up() override {
        co_await on_a_pipe::set_up();
        co_await fill(ours_);
    }
    task<result<void>> attempt() override {
        const std::string text(kib, 'x');
        co_return co_await ours_.send_bytes(text);
    }
    task<void> release() override { co_await drain(theirs_); }
    const char* start_call() const override { return "sendmsg"; }
};
const coproc::testing::contract_row<sending> send_row("connection::send");

class receiving : public on_a_pipe {
    task<result<void>> attempt() override {
        COPROC_CO_TRY(co_await theirs_.recv<std::string>());
        co_return coproc::success();
    }
    task<void> release() override { (co_await ours_.send("text")).value(); }
};
const coproc::testing::contract_row<receiving> recv_row("connection::recv");

class receiving_bytes : public on_a_pipe {
    task<result<void>> attempt() override {
        COPROC_CO_TRY(co_await theirs_.recv_bytes());
        co_return coproc::success();
    }
    task<void> release() override {
        const std::string text = "text";
        (co_await ours_.send_bytes(text)).value();
    }
};
const coproc::testing::contract_row<receiving_bytes> recv_bytes_row("connection::recv_bytes");

class receiving_into : public on_a_pipe {
    task<result<void>> attempt() override {
        std::array<std::byte, 4> into{};
        COPROC_CO_TRY(co_await theirs_.recv_bytes_into(into));
        co_return coproc::success();
    }
    task<void> release() override {
        const std::string text = "text";
        (co_await ours_.send_bytes(text)).value();
    }
};
const coproc::testing::contract_row<receiving_into> recv_into_row("connection::recv_bytes_into");

class receiving_fd : public on_a_pipe {
    task<result<void>> attempt() override {
        COPROC_CO_TRY(co_await theirs_.recv_fd());
        co_return coproc::success();
    }
    task<void> release() override { (co_await ours_.send_fd(0)).value(); }
};
const coproc::testing::contract_row<receiving_fd> recv_fd_row("connection::recv_fd");

class receiving_some : public on_a_pipe {
    task<result<void>> attempt() override {
        std::array<std::byte, 4> into{};
        COPROC_CO_TRY(co_await theirs_.recv_some(into));
        co_return coproc::success();
    }
    task<void> release() override {
        const std::array<std::byte, 4> text{};
        (co_await ours_.send_some(text)).value();
    }
};
const coproc::testing::contract_row<receiving_some> recv_some_row("connection::recv_some");

class sending_some : public on_a_pipe {
    task<void> set_up() override {
        co_await on_a_pipe::set_up();
        const std::array<std::byte, kib> text{};
        for (bool full = false; !full;) {
            const auto sent = co_await coproc::timeout(0ms, ours_.send_some(text));
            full = !sent;
        }
    }
    task<result<void>> attempt() override {
        const std::array<std::byte, kib> text{};
        COPROC_CO_TRY(co_await ours_.send_some(text));
        co_return coproc::success();
    }
    task<void> release() override {
        std::array<std::byte, kib> into{};
        for (bool empty = false; !empty;) {
            const auto read = co_await coproc::timeout(1ms, theirs_.recv_some(into));
            empty = !read;
        }
    }
    const char* start_call() const override { return "sendmsg"; }
};
const coproc::testing::contract_row<sending_some> send_some_row("connection::send_some");

class becoming_readable : public on_a_pipe {
    task<result<void>> attempt() override {
        COPROC_CO_TRY(co_await theirs_.wait_readable());
        COPROC_CO_TRY(co_await theirs_.recv<int>());
        co_return coproc::success();
    }
    task<void> release() override { (co_await ours_.send(1)).value(); }
};
const coproc::testing::contract_row<becoming_readable> readable_row("connection::wait_readable");

}  // namespace

// -- what is sent arrives

namespace {

task<void> send_pattern(connection& to, std::size_t size) {
    const bytes data = pattern(size, size);
    (co_await to.send_bytes(data)).value();
}

task<void> expect_pattern(connection& from, std::size_t size) {
    const bytes received = (co_await from.recv_bytes()).value();
    CHECK(received.size() == size);
    CHECK(equal(received, pattern(size, size)));
}

/// A message of `size` bytes each way at the same time.
task<void> exchange(connection& one, connection& other, std::size_t size) {
    const auto body = [&](coproc::scope& s) -> task<result<void>> {
        s.spawn(send_pattern(one, size));
        s.spawn(send_pattern(other, size));
        s.spawn(expect_pattern(one, size));
        co_await expect_pattern(other, size);
        co_return coproc::success();
    };
    (co_await coproc::with_scope(body)).value();
}

struct part {
    int number;
    std::string text;
    std::optional<std::vector<std::string>> words;
};
struct whole {
    std::vector<part> parts;
    std::map<std::string, std::vector<double>> table;
    std::array<int, 3> three;
};

}  // namespace

CO_TEST_CASE("connection: messages of every size arrive intact, both ways at once",
             "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    for (const std::size_t around :
         {std::size_t{1}, 64 * kib, 128 * kib, 208 * kib, 256 * kib, mib, 2 * mib}) {
        // 24 is the size of a header.
        for (const std::size_t less : {0U, 1U, 2U, 24U, 25U, 26U}) {
            if (less <= around + 1) co_await exchange(ours, theirs, around + 1 - less);
        }
    }
    co_await exchange(ours, theirs, 64 * mib);
}

CO_TEST_CASE("connection: a message of 1 GiB arrives intact", "[connection][long]") {
    auto [ours, theirs] = coproc::pipe().value();
    const auto body = [&](coproc::scope& s) -> task<result<void>> {
        s.spawn(send_pattern(ours, kib * mib));
        co_await expect_pattern(theirs, kib * mib);
        co_return coproc::success();
    };
    (co_await coproc::with_scope(body)).value();
}

CO_TEST_CASE("connection: values of many types arrive as they were", "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    (co_await ours.send("a literal")).value();
    (co_await ours.send(std::string_view("a view"))).value();
    (co_await ours.send(std::string())).value();
    (co_await ours.send(42)).value();
    const whole sent{{{1, "one", std::nullopt}, {2, "", {{"a", "b"}}}},
                     {{"pi", {3.14, 3.141}}, {"none", {}}},
                     {7, 8, 9}};
    (co_await ours.send(sent)).value();
    const auto literal = (co_await theirs.recv<std::string>()).value();
    const auto view = (co_await theirs.recv<std::string>()).value();
    const auto empty = (co_await theirs.recv<std::string>()).value();
    const auto number = (co_await theirs.recv<int>()).value();
    const auto got = (co_await theirs.recv<whole>()).value();
    CHECK(literal == "a literal");
    CHECK(view == "a view");
    CHECK(empty.empty());
    CHECK(number == 42);
    REQUIRE(got.parts.size() == 2);
    CHECK(got.parts[1].words == sent.parts[1].words);
    CHECK_FALSE(got.parts[0].words.has_value());
    CHECK(got.table == sent.table);
    CHECK(got.three == sent.three);
}

CO_TEST_CASE("connection: a value may change as soon as send has been called", "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    std::string text = "before";
    auto sending = ours.send(text);
    text = "after";
    (co_await std::move(sending)).value();
    const auto got = (co_await theirs.recv<std::string>()).value();
    CHECK(got == "before");
}

CO_TEST_CASE("connection: a million small messages arrive once each and in order", "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    constexpr std::uint32_t count = 1'000'000;
    const auto send = [&]() -> task<result<void>> {
        for (std::uint32_t i = 0; i < count; ++i) {
            COPROC_CO_TRY(co_await ours.send(i));
        }
        ours.close();
        co_return coproc::success();
    };
    const auto rt = co_await coproc::current_runtime();
    const auto sending = rt.spawn(send());
    std::uint32_t expected = 0;
    result<std::uint32_t> got = co_await theirs.recv<std::uint32_t>();
    while (got && got.value() == expected) {
        ++expected;
        got = co_await theirs.recv<std::uint32_t>();
    }
    check_fails(got, errc::end_of_stream);
    CHECK(expected == count);
    (co_await sending).value();
}

namespace {

struct numbered {
    int sender;
    int number;
    std::string text;
};

std::size_t size_of(int sender, int number) {
    const int kind = (sender * 7 + number) % 50;
    return kind == 0 ? 300 * kib : static_cast<std::size_t>(kind * 40);
}

task<void> send_numbered(connection& to, int sender, int count) {
    for (int i = 0; i < count; ++i) {
        const numbered message{sender, i,
                               std::string(size_of(sender, i), static_cast<char>('a' + sender))};
        (co_await to.send(message)).value();
    }
}

/// Until the end of the stream.
task<void> receive_numbered(connection& from, std::vector<int>& next, int& mine) {
    for (;;) {
        const auto got = co_await from.recv<numbered>();
        if (!got) {
            CHECK(got.error() == errc::end_of_stream);
            co_return;
        }
        const numbered& message = got.value();
        const auto sender = static_cast<std::size_t>(message.sender);
        const bool intact = message.text == std::string(size_of(message.sender, message.number),
                                                        static_cast<char>('a' + message.sender));
        CHECK(intact);
        CHECK(message.number == next.at(sender)++);
        ++mine;
    }
}

}  // namespace

CO_TEST_CASE("connection: with many senders and receivers messages stay whole and in order",
             "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    std::vector<int> next(8);
    std::array<int, 4> received{};
    const auto body = [&](coproc::scope& s) -> task<result<void>> {
        for (int& mine : received) s.spawn(receive_numbered(theirs, next, mine));
        const auto send_all = [&](coproc::scope& senders) -> task<result<void>> {
            for (int i = 0; i < 8; ++i) senders.spawn(send_numbered(ours, i, 1000));
            co_return coproc::success();
        };
        COPROC_CO_TRY(co_await coproc::with_scope(send_all));
        ours.close();
        co_return coproc::success();
    };
    (co_await coproc::with_scope(body)).value();
    CHECK(next == std::vector<int>(8, 1000));
    for (const int mine : received) CHECK(mine > 1000);
}

CO_TEST_CASE("connection: a peer that does not read suspends the sender, and nobody else",
             "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    int sent = 0;
    const auto send = [&]() -> task<result<void>> {
        const bytes data(kib);
        for (; sent < 5000; ++sent) {
            COPROC_CO_TRY(co_await ours.send_bytes(data));
        }
        co_return coproc::success();
    };
    const auto rt = co_await coproc::current_runtime();
    const auto sending = rt.spawn(send());
    co_await turns(100);
    const int room = sent;
    co_await turns(100);
    CHECK(sent == room);
    CHECK(room > 10);
    CHECK(room < 1000);
    // One read of a buffer's size at a time, and not one message more than that is taken in.
    for (int i = 0; i < 5000; ++i) {
        const auto one = co_await theirs.recv_bytes();
        CHECK(one.value().size() == kib);
        CHECK(sent <= i + room + 128);
    }
    (co_await sending).value();
}

CO_TEST_CASE("connection: a simplex pipe goes from the second to the first", "[connection]") {
    auto [reader, writer] = coproc::pipe(coproc::simplex).value();
    (co_await writer.send(1)).value();
    const auto wrong_send = co_await reader.send(1);
    const auto wrong_recv = co_await writer.recv<int>();
    const auto wrong_bytes = co_await writer.recv_bytes();
    check_fails(wrong_send, errc::not_supported);
    check_fails(wrong_recv, errc::not_supported);
    check_fails(wrong_bytes, errc::not_supported);
    const auto one = (co_await reader.recv<int>()).value();
    CHECK(one == 1);
    reader.close();
    const auto to_nobody = co_await writer.send(2);
    check_fails(to_nobody, errc::end_of_stream);

    auto [reader2, writer2] = coproc::pipe(coproc::simplex).value();
    writer2.close();
    const auto end = co_await reader2.recv<int>();
    check_fails(end, errc::end_of_stream);
}

// -- ends

CO_TEST_CASE("connection: close here ends the waits in progress with closed", "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    co_await fill(ours);
    const auto rt = co_await coproc::current_runtime();
    const auto first = rt.spawn(ours.recv<int>());
    const auto second = rt.spawn(ours.recv_bytes());
    const auto third = rt.spawn(ours.wait_readable());
    const auto sender = rt.spawn(ours.send(1));
    const auto next_sender = rt.spawn(ours.send(2));
    co_await turns();
    CHECK_FALSE(first.done());
    CHECK_FALSE(sender.done());
    ours.close();
    ours.close();
    const auto a = co_await first;
    const auto b = co_await second;
    const auto c = co_await third;
    const auto d = co_await sender;
    const auto e = co_await next_sender;
    check_fails(a, errc::closed);
    check_fails(b, errc::closed);
    check_fails(c, errc::closed);
    check_fails(d, errc::closed);
    check_fails(e, errc::closed);
    CHECK_FALSE(ours.is_open());
    CHECK(ours.fd() == -1);
    const auto later = co_await ours.recv<int>();
    const auto fd = co_await ours.recv_fd();
    check_fails(later, errc::closed);
    check_fails(fd, errc::closed);
    const int drained = co_await drain(theirs);
    CHECK(drained > 0);
    const auto end = co_await theirs.recv<int>();
    check_fails(end, errc::end_of_stream);
}

CO_TEST_CASE("connection: a default one, and one moved from, is closed", "[connection]") {
    connection nothing;
    auto [ours, theirs] = coproc::pipe().value();
    connection moved = std::move(ours);
    for (connection* closed : {&nothing, &ours}) {
        CHECK_FALSE(closed->is_open());
        const auto sent = co_await closed->send(1);
        const auto received = co_await closed->recv<int>();
        const auto readable = co_await closed->wait_readable();
        check_fails(sent, errc::closed);
        check_fails(received, errc::closed);
        check_fails(readable, errc::closed);
        closed->close();
    }
    (co_await moved.send(1)).value();
    const auto closed_in_message = co_await theirs.send(nothing);
    check_fails(closed_in_message, errc::closed);
}

CO_TEST_CASE("connection: destroying it closes it", "[connection]") {
    std::optional<connection> ours;
    connection theirs;
    std::tie(ours, theirs) = coproc::pipe().value();
    const auto rt = co_await coproc::current_runtime();
    const auto waiting = rt.spawn(theirs.recv<int>());
    co_await turns();
    ours.reset();
    const auto end = co_await waiting;
    check_fails(end, errc::end_of_stream);
    const auto again = co_await theirs.wait_readable();
    CHECK(again.has_value());
}

CO_TEST_CASE("connection: it may be moved while it is being waited for", "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    const auto rt = co_await coproc::current_runtime();
    const auto waiting = rt.spawn(theirs.recv<int>());
    co_await turns();
    connection moved = std::move(theirs);
    (co_await ours.send(5)).value();
    const auto got = co_await waiting;
    CHECK(got.value() == 5);
}

// -- what is kept

CO_TEST_CASE("connection: a message of another type is kept", "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    (co_await ours.send(5)).value();
    const std::string plain = "plain";
    (co_await ours.send_bytes(plain)).value();
    const auto text = co_await theirs.recv<std::string>();
    const auto unsigned_one = co_await theirs.recv<unsigned>();
    const auto as_bytes = co_await theirs.recv_bytes();
    const auto as_fd = co_await theirs.recv_fd();
    std::array<std::byte, 100> into{};
    const auto as_bytes_into = co_await theirs.recv_bytes_into(into);
    check_fails(text, errc::type_mismatch);
    check_fails(unsigned_one, errc::type_mismatch);
    check_fails(as_bytes, errc::type_mismatch);
    check_fails(as_fd, errc::type_mismatch);
    check_fails(as_bytes_into, errc::type_mismatch);
    const auto five = co_await theirs.recv<int>();
    CHECK(five.value() == 5);
    const auto no_text = co_await theirs.recv<std::string>();
    check_fails(no_text, errc::type_mismatch);
    const auto size = co_await theirs.recv_bytes_into(into);
    CHECK(size.value() == 5);
}

CO_TEST_CASE("connection: a message that does not fit is kept for a larger buffer",
             "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    const bytes data = pattern(1000);
    (co_await ours.send_bytes(data)).value();
    (co_await ours.send_bytes(bytes())).value();
    bytes into(999);
    const auto small = co_await theirs.recv_bytes_into(into);
    const auto none = co_await theirs.recv_bytes_into({});
    check_fails(small, errc::message_too_large);
    check_fails(none, errc::message_too_large);
    into.resize(1000);
    const auto fits = co_await theirs.recv_bytes_into(into);
    CHECK(fits.value() == 1000);
    CHECK(equal(into, data));
    const auto empty = co_await theirs.recv_bytes_into({});
    CHECK(empty.value() == 0);
}

// -- cancellation

CO_TEST_CASE("connection: a receive canceled at any point leaves the message to the next",
             "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    const auto rt = co_await coproc::current_runtime();
    const bytes large = pattern(2 * mib);

    // Before anything has come.
    auto waiting = rt.spawn(theirs.recv<int>());
    co_await turns();
    waiting.cancel();
    const auto before = co_await waiting;
    check_fails(before, errc::canceled);
    (co_await ours.send(1)).value();

    // After it has come, and before the receiver was resumed.
    const auto first = co_await theirs.recv<int>();
    CHECK(first.value() == 1);
    auto woken = rt.spawn(theirs.recv<int>());
    co_await turns();
    (co_await ours.send(2)).value();
    woken.cancel();
    const auto at_once = co_await woken;
    check_fails(at_once, errc::canceled);
    const auto second = co_await theirs.recv<int>();
    CHECK(second.value() == 2);

    // When half of it has come; ten times on the way.
    const auto sending = rt.spawn(ours.send_bytes(large));
    for (int i = 0; i < 10; ++i) {
        auto receiving = rt.spawn(theirs.recv_bytes());
        (co_await coproc::yield()).value();
        receiving.cancel();
        const auto half = co_await receiving;
        check_fails(half, errc::canceled);
    }
    const auto all = co_await theirs.recv_bytes();
    CHECK(equal(all.value(), large));
    (co_await sending).value();
}

CO_TEST_CASE("connection: a hundred thousand impatient receives lose and repeat nothing",
             "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    constexpr int count = 100'000;
    // Now and then a millisecond later, as the time-outs are.
    const auto send = [&]() -> task<result<void>> {
        for (int i = 0; i < count; ++i) {
            COPROC_CO_TRY(co_await ours.send(i));
            for (int turn = i % 3; turn > 0; --turn) {
                COPROC_CO_TRY(co_await coproc::yield());
            }
            if (i % 200 == 0) {
                COPROC_CO_TRY(co_await coproc::sleep_for(1ms));
            }
        }
        co_return coproc::success();
    };
    const auto rt = co_await coproc::current_runtime();
    const auto sending = rt.spawn(send());
    int timed_out = 0;
    for (int expected = 0; expected < count;) {
        const auto got = co_await coproc::timeout(0ns, theirs.recv<int>());
        if (got) {
            REQUIRE(got.value() == expected);
            ++expected;
        } else {
            REQUIRE(got.error() == errc::timed_out);
            ++timed_out;
        }
    }
    CHECK(timed_out > 10);
    (co_await sending).value();
}

CO_TEST_CASE("connection: receives canceled from elsewhere lose and repeat nothing",
             "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    const auto rt = co_await coproc::current_runtime();
    std::mt19937 any(7);
    int sent = 0;
    int expected = 0;
    int canceled = 0;
    for (int round = 0; round < 100'000; ++round) {
        auto receiving = rt.spawn(theirs.recv<int>());
        const auto before = any() % 3;
        const auto after = any() % 3;
        for (unsigned i = 0; i < before; ++i) (co_await coproc::yield()).value();
        if (sent - expected < 5) (co_await ours.send(sent++)).value();
        for (unsigned i = 0; i < after; ++i) (co_await coproc::yield()).value();
        if (any() % 2 == 0) (co_await coproc::sleep_for(0us)).value();
        receiving.cancel();
        const auto got = co_await receiving;
        if (got) {
            REQUIRE(got.value() == expected);
            ++expected;
        } else {
            REQUIRE(got.error() == errc::canceled);
            ++canceled;
        }
    }
    for (; expected < sent; ++expected) {
        const auto got = co_await theirs.recv<int>();
        REQUIRE(got.value() == expected);
    }
    CHECK(canceled > 100);
    CHECK(sent > 100);
}

CO_TEST_CASE("connection: a send canceled before its first byte has sent nothing", "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    const int room = co_await fill(ours);
    const bytes large(10 * mib);
    const auto rt = co_await coproc::current_runtime();
    for (int i = 0; i < 3; ++i) {
        auto sending = rt.spawn(ours.send_bytes(large));
        auto queued = rt.spawn(ours.send(i));
        co_await turns();
        queued.cancel();
        sending.cancel();
        const auto sent = co_await sending;
        const auto never = co_await queued;
        check_fails(sent, errc::canceled);
        check_fails(never, errc::canceled);
    }
    CHECK(ours.is_open());
    const int drained = co_await drain(theirs);
    CHECK(drained == room);
    (co_await ours.send(5)).value();
    const auto five = co_await theirs.recv<int>();
    CHECK(five.value() == 5);
}

CO_TEST_CASE("connection: a message of up to 32 KiB goes in one piece or not at all",
             "[connection]") {
    for (const std::size_t size : {10'000U, 30'000U, 32'768U}) {
        auto [ours, theirs] = coproc::pipe().value();
        const bytes message(size);
        result<void> sent = coproc::success();
        for (int i = 0; sent && i < 1000; ++i) {
            sent = co_await coproc::timeout(1ms, ours.send_bytes(message));
        }
        check_fails(sent, errc::timed_out);
        CHECK(ours.is_open());
        const int drained = co_await drain(theirs);
        CHECK(drained > 0);
        (co_await ours.send(5)).value();
        const auto five = co_await theirs.recv<int>();
        CHECK(five.value() == 5);
    }
}

CO_TEST_CASE("connection: a send canceled in mid-message closes, and both sides are told",
             "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    (co_await ours.send(1)).value();
    const bytes large(10 * mib);
    const auto rt = co_await coproc::current_runtime();
    auto sending = rt.spawn(ours.send_bytes(large));
    const auto queued = rt.spawn(ours.send(2));
    const auto receiving = rt.spawn(ours.recv<int>());
    co_await turns();
    sending.cancel();
    const auto sent = co_await sending;
    const auto never = co_await queued;
    const auto received = co_await receiving;
    check_fails(sent, errc::canceled);
    check_fails(never, errc::closed);
    check_fails(received, errc::closed);
    CHECK_FALSE(ours.is_open());
    const auto whole_one = co_await theirs.recv<int>();
    CHECK(whole_one.value() == 1);
    const auto cut = co_await theirs.recv_bytes();
    check_fails(cut, errc::truncated);
    const auto still_cut = co_await theirs.recv_bytes();
    check_fails(still_cut, errc::truncated);
}

CO_TEST_CASE("connection: the loser of when_any loses nothing", "[connection]") {
    auto [a, a_peer] = coproc::pipe().value();
    auto [b, b_peer] = coproc::pipe().value();
    int from_a = 0;
    int from_b = 0;
    int sent = 0;
    for (int round = 0; round < 5000; ++round) {
        // Both at the same time, one, or while the receivers wait.
        const auto send = [&]() -> task<result<void>> {
            if (round % 3 == 0) {
                COPROC_CO_TRY(co_await coproc::yield());
            }
            COPROC_CO_TRY(co_await a_peer.send(sent));
            COPROC_CO_TRY(co_await b_peer.send(sent));
            ++sent;
            co_return coproc::success();
        };
        const auto rt = co_await coproc::current_runtime();
        const auto sending = rt.spawn(send());
        for (int i = 0; i < 2; ++i) {
            auto won = round % 2 == 0 ? 0 : 1;
            if (won == 0) {
                const auto first = co_await coproc::when_any(a.recv<int>(), b.recv<int>());
                won = static_cast<int>(first.index());
                const auto& got = won == 0 ? std::get<0>(first) : std::get<1>(first);
                REQUIRE(got.value() == (won == 0 ? from_a : from_b));
            } else {
                const auto first = co_await coproc::when_any(b.recv<int>(), a.recv<int>());
                won = 1 - static_cast<int>(first.index());
                const auto& got = won == 1 ? std::get<0>(first) : std::get<1>(first);
                REQUIRE(got.value() == (won == 0 ? from_a : from_b));
            }
            ++(won == 0 ? from_a : from_b);
        }
        (co_await sending).value();
    }
    CHECK(from_a + from_b == 10'000);
}

// -- handles

namespace {

unique_fd some_file() { return coproc::system::event_fd().value(); }

bool same_file(int one, int other) {
    return ::write(one, "12345678", 8) == 8 && coproc::system::is_readable(other);
}

struct parcel {
    std::string label;
    connection inside;
    std::vector<connection> more;
};

}  // namespace

CO_TEST_CASE("connection: send_fd sends a duplicate, and only recv_fd takes it", "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    const unique_fd file = some_file();
    (co_await ours.send_fd(file.get())).value();
    const auto mismatch = co_await theirs.recv<int>();
    check_fails(mismatch, errc::type_mismatch);
    const unique_fd received = (co_await theirs.recv_fd()).value();
    CHECK(received.get() != file.get());
    CHECK(same_file(file.get(), received.get()));
    const auto closed = co_await ours.send_fd(-1);
    check_fails(closed, errc::closed);
    const auto never_open = co_await ours.send_fd(99'999);
    REQUIRE_FALSE(never_open.has_value());
    CHECK(never_open.error() == std::errc::bad_file_descriptor);
    (co_await ours.send(1)).value();
    const auto one = co_await theirs.recv<int>();
    CHECK(one.value() == 1);
}

CO_TEST_CASE("connection: connections in a moved message leave the sender and work at the receiver",
             "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    auto [far, near] = coproc::pipe().value();
    parcel sent;
    sent.label = "parcel";
    sent.inside = std::move(far);
    std::vector<connection> ends_of_more;
    for (int i = 0; i < 5; ++i) {
        auto [one, other] = coproc::pipe().value();
        sent.more.push_back(std::move(one));
        ends_of_more.push_back(std::move(other));
    }
    const int number = sent.inside.fd();
    (co_await ours.send(coproc::moving(sent))).value();
    CHECK_FALSE(sent.inside.is_open());
    CHECK(sent.more.empty());
    CHECK(::fcntl(number, F_GETFD) == -1);

    std::optional<parcel> got = (co_await theirs.recv<parcel>()).value();
    CHECK(got->label == "parcel");
    (co_await near.send("hello")).value();
    const auto hello = co_await got->inside.recv<std::string>();
    CHECK(hello.value() == "hello");
    REQUIRE(got->more.size() == 5);
    for (std::size_t i = 0; i < 5; ++i) {
        (co_await got->more[i].send(static_cast<int>(i))).value();
        const auto back = co_await ends_of_more[i].recv<int>();
        CHECK(back.value() == static_cast<int>(i));
    }
    // Nobody else holds it: the end is seen when the receiver drops it.
    got.reset();
    const auto end = co_await near.recv<int>();
    check_fails(end, errc::end_of_stream);
}

CO_TEST_CASE("connection: a moving send that fails leaves everything as it was", "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    auto [far, near] = coproc::pipe().value();
    co_await fill(ours);
    const auto timed_out = co_await coproc::timeout(1ms, ours.send(coproc::moving(far)));
    check_fails(timed_out, errc::timed_out);
    theirs.close();
    const auto failed = co_await ours.send(coproc::moving(far));
    check_fails(failed, errc::end_of_stream);
    REQUIRE(far.is_open());
    (co_await far.send(1)).value();
    const auto one = co_await near.recv<int>();
    CHECK(one.value() == 1);
}

CO_TEST_CASE("connection: a message that nobody receives closes what is in it", "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    auto [far, near] = coproc::pipe().value();
    (co_await ours.send(coproc::moving(far))).value();
    theirs.close();
    const auto end = co_await near.recv<int>();
    check_fails(end, errc::end_of_stream);
    // Also one that has been sent through itself.
    auto [one, other] = coproc::pipe().value();
    (co_await one.send(coproc::moving(other))).value();
    CHECK_FALSE(other.is_open());
}

CO_TEST_CASE("connection: a message has 253 handles at most", "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    std::vector<connection> many;
    std::vector<connection> ends;
    const auto more = [&] {
        auto [one, other] = coproc::pipe().value();
        many.push_back(std::move(one));
        ends.push_back(std::move(other));
    };
    for (int i = 0; i < 254; ++i) more();
    const auto too_many = co_await ours.send(coproc::moving(many));
    check_fails(too_many, errc::message_too_large);
    CHECK(many.back().is_open());
    many.pop_back();
    ends.pop_back();
    (co_await ours.send(coproc::moving(many))).value();
    auto got = (co_await theirs.recv<std::vector<connection>>()).value();
    REQUIRE(got.size() == 253);
    for (std::size_t i = 0; i < 253; ++i) {
        (co_await got[i].send(static_cast<int>(i))).value();
        const auto number = co_await ends[i].recv<int>();
        CHECK(number.value() == static_cast<int>(i));
    }
}

CO_TEST_CASE("connection: one that travels takes its unread messages along", "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    auto [far, near] = coproc::pipe().value();
    const unique_fd file = some_file();
    for (int i = 0; i < 100; ++i) (co_await near.send(i)).value();
    (co_await near.send_fd(file.get())).value();
    // The first receive reads all of them into the buffer.
    const auto first = co_await far.recv<int>();
    CHECK(first.value() == 0);
    (co_await near.send(std::string("still in the socket"))).value();
    (co_await ours.send(coproc::moving(far))).value();
    connection traveled = (co_await theirs.recv<connection>()).value();
    for (int i = 1; i < 100; ++i) {
        const auto got = co_await traveled.recv<int>();
        CHECK(got.value() == i);
    }
    const auto received = co_await traveled.recv_fd();
    CHECK(same_file(file.get(), received.value().get()));
    const auto last = co_await traveled.recv<std::string>();
    CHECK(last.value() == "still in the socket");
    (co_await traveled.send(1)).value();
    const auto back = co_await near.recv<int>();
    CHECK(back.value() == 1);
}

CO_TEST_CASE("connection: a direction stays what it was when a connection travels",
             "[connection]") {
    auto [ours, theirs] = coproc::pipe().value();
    auto [reader, writer] = coproc::pipe(coproc::simplex).value();
    (co_await ours.send(coproc::moving(reader))).value();
    connection traveled = (co_await theirs.recv<connection>()).value();
    const auto wrong = co_await traveled.send(1);
    check_fails(wrong, errc::not_supported);
    (co_await writer.send(1)).value();
    const auto one = co_await traveled.recv<int>();
    CHECK(one.value() == 1);
}

// -- between processes

namespace {

task<int> echo(connection parent) {
    for (;;) {
        const auto got = co_await parent.recv_bytes();
        if (!got) co_return got.error() == errc::end_of_stream ? 0 : 1;
        (co_await parent.send_bytes(got.value())).value();
    }
}

/// Sends three whole messages and a part of a large one, says where it is by its silence.
task<int> die_in_mid_message(connection parent) {
    for (int i = 0; i < 3; ++i) (co_await parent.send(i)).value();
    const bytes large(16 * mib);
    (co_await parent.send_bytes(large)).value();
    co_return 0;
}

task<int> send_and_sleep(connection parent, coproc::event sent) {
    for (int i = 0; i < 3; ++i) (co_await parent.send(i)).value();
    sent.set().value();
    (co_await coproc::sleep_for(1h)).value();
    co_return 0;
}

task<int> count_messages(connection parent) {
    int count = 0;
    auto got = co_await parent.recv<int>();
    for (; got; ++count) got = co_await parent.recv<int>();
    co_return got.error() == errc::end_of_stream&& count == 200'000 ? 0 : 1;
}

task<int> answer_on(connection given) {
    const auto question = (co_await given.recv<std::string>()).value();
    (co_await given.send(question + "!")).value();
    co_return 0;
}

task<void> receive_all(connection from) {
    for (bool first = true;; first = false) {
        const auto got = co_await from.recv_bytes();
        if (!got) co_return;
        if (first) (co_await from.send_bytes(got.value())).value();
    }
}

}  // namespace

CO_TEST_CASE("connection: a child sends back what it gets, 0 bytes to 16 MiB",
             "[connection][process]") {
    auto [ours, theirs] = coproc::pipe().value();
    process child(echo, std::move(theirs));
    (co_await child.start()).value();
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, 64 * kib, mib, 16 * mib}) {
        const bytes data = pattern(size);
        (co_await ours.send_bytes(data)).value();
        const auto back = co_await ours.recv_bytes();
        CHECK(equal(back.value(), data));
    }
    ours.close();
    const auto status = co_await child.join();
    CHECK(status.value().code() == 0);
}

CO_TEST_CASE("connection: 200000 messages reach a child that reads as fast as it can",
             "[connection][process]") {
    auto [ours, theirs] = coproc::pipe().value();
    process child(count_messages, std::move(theirs));
    (co_await child.start()).value();
    int ticks = 0;
    bool over = false;
    const auto tick = [&]() -> task<void> {
        while (!over) {
            (co_await coproc::sleep_for(0s)).value();
            ++ticks;
        }
    };
    const auto rt = co_await coproc::current_runtime();
    const auto ticking = rt.spawn(tick());
    for (int i = 0; i < 200'000; ++i) (co_await ours.send(i)).value();
    over = true;
    (co_await ticking).value();
    ours.close();
    const auto status = co_await child.join();
    CHECK(status.value().code() == 0);
    // A sender that never has to wait gives the loop a turn every 128 messages.
    CHECK(ticks > 200'000 / 256);
}

CO_TEST_CASE(
    "connection: a child killed while it waits ends the stream at once, after its messages",
    "[connection][process]") {
    for (const bool unread : {false, true}) {
        auto [ours, theirs] = coproc::pipe().value();
        const auto all_sent = coproc::event::create().value();
        process child(send_and_sleep, std::move(theirs), all_sent);
        (co_await child.start()).value();
        // Never received there: the kernel resets the stream instead of ending it.
        if (unread) (co_await ours.send("to nobody")).value();
        (co_await all_sent.wait()).value();
        child.kill().value();
        for (int i = 0; i < 3; ++i) {
            const auto got = co_await ours.recv<int>();
            CHECK(got.value() == i);
        }
        const auto end = co_await ours.recv<int>();
        check_fails(end, errc::end_of_stream);
        const auto sent = co_await ours.send(1);
        check_fails(sent, errc::end_of_stream);
        const auto status = co_await child.join();
        CHECK(status.value().signal() == SIGKILL);
    }
}

CO_TEST_CASE("connection: a child killed in mid-message has truncated it",
             "[connection][process]") {
    for (const bool unread : {false, true}) {
        auto [ours, theirs] = coproc::pipe().value();
        process child(die_in_mid_message, std::move(theirs));
        (co_await child.start()).value();
        if (unread) (co_await ours.send("to nobody")).value();
        for (int i = 0; i < 3; ++i) {
            const auto got = co_await ours.recv<int>();
            CHECK(got.value() == i);
        }
        // The socket has no room for all of it, so once something of it is there, it is on its way.
        const auto begun = co_await coproc::timeout(1ms, ours.recv_bytes());
        check_fails(begun, errc::timed_out);
        while (!coproc::system::is_readable(ours.fd())) (co_await coproc::sleep_for(1ms)).value();
        child.kill().value();
        const auto cut = co_await ours.recv_bytes();
        check_fails(cut, errc::truncated);
        (co_await child.join()).value();
    }
}

CO_TEST_CASE("connection: one with unread messages travels to a child as an argument",
             "[connection][process]") {
    auto [far, near] = coproc::pipe().value();
    (co_await near.send(1)).value();
    (co_await near.send("question")).value();
    const auto one = co_await far.recv<int>();
    CHECK(one.value() == 1);
    process child(answer_on, std::move(far));
    (co_await child.start()).value();
    const auto answer = co_await near.recv<std::string>();
    CHECK(answer.value() == "question!");
    const auto end = co_await near.recv<std::string>();
    check_fails(end, errc::end_of_stream);
    (co_await child.join()).value();
}

namespace {

/// Ticks every millisecond until `over`; the longest time that a tick was late.
task<std::chrono::nanoseconds> latest_tick(const bool& over) {
    std::chrono::nanoseconds latest{};
    while (!over) {
        const auto due = coproc::clock::now() + 1ms;
        (co_await coproc::sleep_until(due)).value();
        latest = std::max<std::chrono::nanoseconds>(latest, coproc::clock::now() - due);
    }
    co_return latest;
}

/// The latest tick while 32 MiB are being sent for 100 ms to a child that reads them all, or that
/// has been stopped and reads none.
task<std::chrono::nanoseconds> latest_tick_beside(bool stopped) {
    auto [ours, theirs] = coproc::pipe().value();
    process child(receive_all, std::move(theirs));
    (co_await child.start()).value();
    (co_await ours.send_bytes(bytes(1))).value();
    (co_await ours.recv_bytes()).value();  // it has come up
    if (stopped) child.send_signal(SIGSTOP).value();
    const bytes large(32 * mib);
    bool over = false;
    const auto rt = co_await coproc::current_runtime();
    const auto ticking = rt.spawn(latest_tick(over));
    const auto until = coproc::clock::now() + 100ms;
    const auto sending = [&]() -> task<result<void>> {
        for (;;) {
            COPROC_CO_TRY(co_await ours.send_bytes(large));
        }
    };
    const auto sent = co_await coproc::timeout(until - coproc::clock::now(), sending());
    CHECK(sent.error() == errc::timed_out);
    over = true;
    const auto latest = co_await ticking;
    child.kill().value();
    (co_await child.join()).value();
    co_return latest.value();
}

}  // namespace

CO_TEST_CASE("connection: a stopped peer makes the loop at most 5 ms later than a reading one",
             "[connection][process][serial]") {
    // Whatever else the machine does makes ticks late as well: the best of five.
    auto reading = std::chrono::nanoseconds::max();
    auto stopped = std::chrono::nanoseconds::max();
    for (int i = 0; i < 5; ++i) {
        reading = std::min(reading, co_await latest_tick_beside(false));
        stopped = std::min(stopped, co_await latest_tick_beside(true));
    }
    CHECK(stopped / 1us <= reading / 1us + 5000);
}
