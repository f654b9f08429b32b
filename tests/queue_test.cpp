#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/runtime.hpp>
#include <coproc/scope.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_all.hpp>
#include <coproc/when_any.hpp>

#include "support/co_test.hpp"
#include "support/contract.hpp"
#include "support/processes.hpp"

#include <array>
#include <csignal>
#include <filesystem>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using coproc::bytes;
using coproc::errc;
using coproc::process;
using coproc::queue;
using coproc::result;
using coproc::task;

namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

std::string text_of(std::size_t size) {
    std::string text(size, ' ');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
    return text;
}

template <class T>
void check_fails(const result<T>& outcome, errc why) {
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error() == why);
}

task<void> turns(int count = 3) {
    for (int i = 0; i < count; ++i) (co_await coproc::sleep_for(0s)).value();
}

// -- the operation contract

class getting : public coproc::testing::operation_under_contract {
    task<void> set_up() override {
        queue_.emplace(queue<int>::create().value());
        co_return;
    }
    task<result<void>> attempt() override {
        COPROC_CO_TRY(co_await queue_->get());
        co_return coproc::success();
    }
    task<void> release() override { (co_await queue_->put(1)).value(); }
    task<void> tear_down() override {
        queue_.reset();
        co_return;
    }

 protected:
    std::optional<queue<int>> queue_;
};
const coproc::testing::contract_row<getting> get_row("queue::get");

class getting_some : public getting {
    task<result<void>> attempt() override {
        COPROC_CO_TRY(const auto some, co_await queue_->get_some(10));
        CHECK_FALSE(some.empty());
        co_return coproc::success();
    }
};
const coproc::testing::contract_row<getting_some> get_some_row("queue::get_some");

class putting : public coproc::testing::operation_under_contract {
    task<void> set_up() override {
        queue_.emplace(queue<std::string>::create({.max_size = 1}).value());
        co_await fill();
    }
    task<result<void>> attempt() override {
        const std::string message(size_, 'x');
        COPROC_CO_TRY(co_await queue_->put(message));
        co_return coproc::success();
    }
    task<void> release() override { (co_await queue_->get()).value(); }
    task<void> tear_down() override {
        queue_.reset();
        co_return;
    }
    task<void> fill() { (co_await queue_->put("first")).value(); }

 protected:
    std::optional<queue<std::string>> queue_;
    std::size_t size_ = 8;
};
const coproc::testing::contract_row<putting> put_row("queue::put");

class putting_much : public putting {
 public:
    putting_much() { size_ = 100'000; }
};
const coproc::testing::contract_row<putting_much> put_large_row("queue::put of a large message");

}  // namespace

// -- one process

CO_TEST_CASE("queue: what is put is got, first in, first out", "[queue]") {
    auto q = queue<std::string>::create().value();
    CHECK(q.empty());
    (co_await q.put("Hello world")).value();
    const std::string name = "second";
    (co_await q.put(name)).value();
    (co_await q.emplace(3U, 'x')).value();
    CHECK(q.size() == 3);
    const auto first = co_await q.get();
    const auto second = co_await q.get();
    const auto third = co_await q.get();
    CHECK(first.value() == "Hello world");
    CHECK(second.value() == "second");
    CHECK(third.value() == "xxx");
    CHECK(q.empty());
}

CO_TEST_CASE("queue: messages of every size arrive intact", "[queue]") {
    auto q = queue<std::string>::create().value();
    const std::size_t sizes[] = {0,    1,    7,    8,        4000, 4079,    4080,    4081,    4095,
                                 8191, 8192, 8193, 64 * kib, mib,  mib + 1, 5 * mib, 60 * mib};
    for (const std::size_t size : sizes) {
        CAPTURE(size);
        const std::string sent = text_of(size);
        (co_await q.put(sent)).value();
        const auto got = co_await q.get();
        CHECK(got.value() == sent);
    }
    for (int round = 0; round < 3; ++round) {
        for (const std::size_t size : sizes) {
            if (size < 5 * mib) (co_await q.put(text_of(size))).value();
        }
        for (const std::size_t size : sizes) {
            if (size >= 5 * mib) continue;
            const auto got = co_await q.get();
            CHECK(got.value() == text_of(size));
        }
    }
}

CO_TEST_CASE("queue: a hundred thousand messages stay in order, whatever their sizes", "[queue]") {
    auto q = queue<std::string>::create().value();
    std::size_t put = 0;
    std::size_t got = 0;
    const auto message = [](std::size_t i) { return std::to_string(i) + text_of(i * 37 % 6000); };
    const auto get_one = [&]() -> task<void> {
        const auto next = co_await q.get();
        REQUIRE(next.value() == message(got));
        ++got;
    };
    while (put < 100'000) {
        for (std::size_t i = 0; i < put % 97; ++i) (co_await q.put(message(put++))).value();
        (co_await q.put(message(put++))).value();
        while (got + put % 61 < put) co_await get_one();
    }
    while (got < put) co_await get_one();
    CHECK(q.empty());
}

CO_TEST_CASE("queue: max_size makes a put wait for a get", "[queue]") {
    auto q = queue<int>::create({.max_size = 2}).value();
    (co_await q.put(1)).value();
    CHECK_FALSE(q.full());
    (co_await q.put(2)).value();
    CHECK(q.full());
    check_fails(q.try_put(3), errc::would_block);
    const auto late = co_await coproc::timeout(5ms, q.put(3));
    check_fails(late, errc::timed_out);
    const auto rt = co_await coproc::current_runtime();
    const auto waiting = rt.spawn(q.put(3));
    co_await turns();
    CHECK_FALSE(waiting.done());
    const auto one = co_await q.get();
    CHECK(one.value() == 1);
    const auto put = co_await waiting;
    CHECK(put.has_value());
    const auto two = co_await q.get();
    const auto three = co_await q.get();
    CHECK(two.value() == 2);
    CHECK(three.value() == 3);
}

CO_TEST_CASE("queue: max_bytes bounds what waits, and a message of that size still fits",
             "[queue]") {
    auto q = queue<std::string>::create({.max_bytes = 100'000}).value();
    int count = 0;
    while (q.try_put(text_of(1000))) ++count;
    CHECK(count >= 95);
    CHECK(count <= 100);
    for (int i = 0; i < count; ++i) (co_await q.get()).value();
    const std::string largest = text_of(100'000 - 9);
    (co_await q.put(largest)).value();
    const auto got = co_await q.get();
    CHECK(got.value() == largest);
    const auto refused = co_await q.put(text_of(100'001));
    check_fails(refused, errc::message_too_large);
}

CO_TEST_CASE("queue: try_get and try_put never wait", "[queue]") {
    auto q = queue<std::string>::create({.max_size = 1}).value();
    check_fails(q.try_get(), errc::would_block);
    q.try_put(text_of(2 * mib)).value();
    check_fails(q.try_put("no room"), errc::would_block);
    CHECK(q.try_get().value() == text_of(2 * mib));
    q.try_put("small").value();
    CHECK(q.try_get().value() == "small");
    co_return;
}

CO_TEST_CASE("queue: of strings takes what a string is made of", "[queue]") {
    auto q = queue<std::string>::create().value();
    const std::string_view view = "view";
    (co_await q.put(view)).value();
    q.try_put(view).value();
    (co_await q.put("literal")).value();
    for (const char* text : {"view", "view", "literal"}) {
        const auto got = co_await q.get();
        CHECK(got.value() == text);
    }
}

CO_TEST_CASE("queue: after close puts fail, gets drain and then fail", "[queue]") {
    auto q = queue<int>::create().value();
    (co_await q.put(1)).value();
    q.close().value();
    const auto refused = co_await q.put(2);
    check_fails(refused, errc::closed);
    const auto one = co_await q.get();
    CHECK(one.value() == 1);
    const auto none = co_await q.get();
    check_fails(none, errc::closed);
}

CO_TEST_CASE("queue: close wakes everybody who waits", "[queue]") {
    auto empty = queue<int>::create().value();
    auto full = queue<int>::create({.max_size = 1}).value();
    (co_await full.put(1)).value();
    const auto rt = co_await coproc::current_runtime();
    const auto getting_one = rt.spawn(empty.get());
    const auto getting_other = rt.spawn(empty.get());
    const auto putting_one = rt.spawn(full.put(2));
    co_await turns();
    empty.close().value();
    full.close().value();
    const auto one = co_await getting_one;
    const auto other = co_await getting_other;
    const auto put = co_await putting_one;
    check_fails(one, errc::closed);
    check_fails(other, errc::closed);
    check_fails(put, errc::closed);
}

CO_TEST_CASE("queue: put_all and get_some move many at once", "[queue]") {
    auto q = queue<std::string>::create().value();
    std::vector<std::string> all;
    for (std::size_t i = 0; i < 1000; ++i) all.push_back(text_of(i * 13));
    (co_await q.put_all(all)).value();
    CHECK(q.size() == all.size());
    std::vector<std::string> got;
    while (got.size() < all.size()) {
        const auto some = co_await q.get_some(100);
        CHECK(some.value().size() == 100);
        got.insert(got.end(), some.value().begin(), some.value().end());
    }
    CHECK(got == all);
}

CO_TEST_CASE("queue: a put_all larger than the queue goes on as there is room", "[queue]") {
    auto q = queue<int>::create({.max_size = 10}).value();
    std::vector<int> all;
    for (int i = 0; i < 1000; ++i) all.push_back(i);
    const auto rt = co_await coproc::current_runtime();
    const auto putting_all = rt.spawn(q.put_all(all));
    for (int i = 0; i < 1000; ++i) {
        const auto got = co_await q.get();
        REQUIRE(got.value() == i);
    }
    const auto put = co_await putting_all;
    CHECK(put.has_value());
}

CO_TEST_CASE("queue: a put_all that is canceled has put some from the first on", "[queue]") {
    auto q = queue<int>::create({.max_size = 2}).value();
    const std::vector<int> all{1, 2, 3, 4};
    const auto late = co_await coproc::timeout(1ms, q.put_all(all));
    check_fails(late, errc::timed_out);
    CHECK(q.size() == 2);
    q.close().value();
    const auto one = co_await q.get();
    const auto two = co_await q.get();
    CHECK(one.value() == 1);
    CHECK(two.value() == 2);
    const auto none = co_await q.get();
    check_fails(none, errc::closed);
}

CO_TEST_CASE("queue: many waiters of one process are served in the order of their coming",
             "[queue]") {
    auto q = queue<int>::create().value();
    std::vector<int> served(100);
    const auto take = [&](int i) -> task<void> {
        served[static_cast<std::size_t>(i)] = (co_await q.get()).value();
    };
    const auto rt = co_await coproc::current_runtime();
    std::vector<coproc::spawned<void>> takers;
    for (int i = 0; i < 100; ++i) takers.push_back(rt.spawn(take(i)));
    co_await turns();
    for (int i = 0; i < 100; ++i) (co_await q.put(i)).value();
    for (const auto& taker : takers) (co_await taker).value();
    for (int i = 0; i < 100; ++i) CHECK(served[static_cast<std::size_t>(i)] == i);
}

CO_TEST_CASE("queue: gets that time out lose nothing", "[queue]") {
    auto q = queue<int>::create().value();
    constexpr int count = 20'000;
    int got = 0;
    int timeouts = 0;
    const auto take = [&]() -> task<void> {
        while (got < count) {
            const auto one =
                co_await coproc::timeout(std::chrono::microseconds(got % 3 * 50), q.get());
            if (!one) {
                ++timeouts;
                continue;
            }
            REQUIRE(one.value() == got);
            ++got;
        }
    };
    const auto rt = co_await coproc::current_runtime();
    const auto taking = rt.spawn(take());
    for (int i = 0; i < count; ++i) {
        (co_await q.put(i)).value();
        if (i % 7 == 0) (co_await coproc::yield()).value();
        if (i % 1000 == 0) (co_await coproc::sleep_for(1ms)).value();
    }
    (co_await taking).value();
    CHECK(timeouts > 0);
    CHECK(q.empty());
}

CO_TEST_CASE("queue: the loser of when_any loses nothing", "[queue]") {
    auto a = queue<int>::create().value();
    auto b = queue<int>::create().value();
    int from_a = 0;
    int from_b = 0;
    for (int i = 0; i < 2000; ++i) {
        if (i % 3 != 1) a.try_put(1).value();
        if (i % 3 != 0) b.try_put(1).value();
        const auto first = co_await coproc::when_any(a.get(), b.get());
        ++(first.index() == 0 ? from_a : from_b);
    }
    const auto left = static_cast<int>(a.size() + b.size());
    int put = 0;
    for (int i = 0; i < 2000; ++i) put += (i % 3 != 1) + (i % 3 != 0);
    CHECK(from_a + from_b + left == put);
}

CO_TEST_CASE("queue: a handle in a message is refused, and says where it may go", "[queue]") {
    auto q = queue<coproc::event>::create().value();
    const auto event = coproc::event::create().value();
    const auto refused = co_await q.put(event);
    check_fails(refused, errc::not_supported);
}

CO_TEST_CASE("queue: values of many types", "[queue]") {
    struct job {
        int id;
        std::filesystem::path file;
    };
    auto q = queue<job>::create().value();
    const job sent{7, "/tmp/x"};
    (co_await q.put(sent)).value();
    const auto got = co_await q.get();
    CHECK(got.value().id == 7);
    CHECK(got.value().file == "/tmp/x");
    auto pointers = queue<std::unique_ptr<int>>::create().value();
    auto five = std::make_unique<int>(5);
    (co_await pointers.put(coproc::moving(five))).value();
    CHECK(five == nullptr);
    (co_await pointers.put(std::make_unique<int>(6))).value();
    const auto first = co_await pointers.get();
    const auto second = co_await pointers.get();
    CHECK(*first.value() == 5);
    CHECK(*second.value() == 6);
}

CO_TEST_CASE("queue: a simple_queue puts, gets and closes", "[queue]") {
    auto q = coproc::simple_queue<std::string>::create().value();
    (co_await q.put("Hello")).value();
    CHECK_FALSE(q.empty());
    const auto got = co_await q.get();
    CHECK(got.value() == "Hello");
    q.close().value();
    const auto end = co_await q.get();
    check_fails(end, errc::closed);
}

// -- several processes

namespace {

task<void> put_numbers(queue<int> q, int count) {
    for (int i = 0; i < count; ++i) (co_await q.put(i)).value();
}
task<void> get_and_sum(queue<int> from, queue<long> to) {
    long sum = 0;
    for (;;) {
        const auto one = co_await from.get();
        if (!one) break;
        sum += one.value();
    }
    (co_await to.put(sum)).value();
}
task<void> echo(queue<std::string> from, queue<std::string> to) {
    for (;;) {
        const auto one = co_await from.get();
        if (!one) co_return;
        (co_await to.put(one.value())).value();
    }
}
/// Takes one and dies with it in hand.
task<void> take_and_die(queue<int> q) {
    (co_await q.get()).value();
    ::raise(SIGKILL);
}
task<void> wait_for_one(queue<int> q, coproc::event waiting, queue<int> to) {
    const auto rt = co_await coproc::current_runtime();
    const auto got = rt.spawn(q.get());
    (co_await coproc::sleep_for(1ms)).value();
    waiting.set().value();
    const auto one = co_await got;
    (co_await to.put(one.value())).value();
}

}  // namespace

CO_TEST_CASE("queue: a child puts, the parent gets", "[queue][process]") {
    auto q = queue<int>::create().value();
    process child(put_numbers, q, 10'000);
    (co_await child.start()).value();
    for (int i = 0; i < 10'000; ++i) {
        const auto got = co_await q.get();
        REQUIRE(got.value() == i);
    }
    const auto end = co_await child.join();
    CHECK(end.value().success());
}

CO_TEST_CASE("queue: three producers and three consumers lose and repeat nothing",
             "[queue][process]") {
    auto work = queue<int>::create({.max_size = 50}).value();
    auto sums = queue<long>::create().value();
    std::vector<process> producers;
    std::vector<process> consumers;
    for (int i = 0; i < 3; ++i) {
        (co_await producers.emplace_back(put_numbers, work, 5000).start()).value();
        (co_await consumers.emplace_back(get_and_sum, work, sums).start()).value();
    }
    for (process& one : producers) CHECK((co_await one.join()).value().success());
    work.close().value();
    long sum = 0;
    for (int i = 0; i < 3; ++i) sum += (co_await sums.get()).value();
    CHECK(sum == 3L * 5000 * 4999 / 2);
    for (process& one : consumers) CHECK((co_await one.join()).value().success());
}

CO_TEST_CASE("queue: large messages go to a child and back", "[queue][process]") {
    auto to = queue<std::string>::create().value();
    auto from = queue<std::string>::create().value();
    process child(echo, to, from);
    (co_await child.start()).value();
    for (const std::size_t size : {std::size_t{1}, 5 * kib, 100 * kib, 3 * mib, 20 * mib}) {
        const std::string sent = text_of(size);
        (co_await to.put(sent)).value();
        const auto back = co_await from.get();
        CHECK(back.value() == sent);
    }
    to.close().value();
    CHECK((co_await child.join()).value().success());
}

CO_TEST_CASE("queue: a consumer killed with a message in hand takes that one with it, and no other",
             "[queue][process]") {
    auto q = queue<int>::create().value();
    for (int i = 0; i < 3; ++i) (co_await q.put(i)).value();
    process victim(take_and_die, q);
    (co_await victim.start()).value();
    CHECK((co_await victim.join()).value().signal() == SIGKILL);
    CHECK(q.size() == 2);
    const auto next = co_await q.get();
    CHECK(next.value() == 1);
}

namespace {

/// A process that waits for a message, which it is going to pass on.
task<process> waiting_for_one(queue<int> from, queue<int> to) {
    const auto waits = coproc::event::create().value();
    process made(wait_for_one, from, waits, to);
    const auto started = co_await made.start();
    started.value();
    const auto begun = co_await waits.wait();
    begun.value();
    co_return made;
}

}  // namespace

CO_TEST_CASE("queue: a ring that a dying consumer had got is passed on", "[queue][process]") {
    auto q = queue<int>::create().value();
    auto got = queue<int>::create().value();
    process first = co_await waiting_for_one(q, got);
    process second = co_await waiting_for_one(q, got);
    // The first one cannot take what it is rung for, and then never will.
    first.send_signal(SIGSTOP).value();
    (co_await q.put(42)).value();
    first.kill().value();
    (co_await first.join()).value();
    const auto arrived = co_await got.get();
    CHECK(arrived.value() == 42);
    (co_await second.join()).value();
}

CO_TEST_CASE("queue: a ring that a stopped consumer has got does not let the others sleep",
             "[queue][process]") {
    auto q = queue<int>::create().value();
    auto got = queue<int>::create().value();
    process first = co_await waiting_for_one(q, got);
    process second = co_await waiting_for_one(q, got);
    first.send_signal(SIGSTOP).value();
    (co_await q.put(42)).value();
    const auto arrived = co_await coproc::timeout(30s, got.get());
    CHECK(arrived.value() == 42);
    (co_await second.join()).value();
    // The first one goes on when it can, and finds that there is nothing.
    first.send_signal(SIGCONT).value();
    (co_await q.put(43)).value();
    const auto last = co_await got.get();
    CHECK(last.value() == 43);
    (co_await first.join()).value();
}

namespace {

/// A text that cannot be decoded the first time.
struct shy {
    std::string text;
    static inline bool is_refused = false;
};

}  // namespace

template <>
struct coproc::codec<shy> {
    static void encode(encoder& into, const shy& from) { into.put(from.text); }
    static result<shy> decode(decoder& from) {
        COPROC_TRY(auto text, from.get<std::string>());
        if (std::exchange(shy::is_refused, false)) throw std::length_error("not now");
        return shy{std::move(text)};
    }
};

CO_TEST_CASE("queue: a large message goes back if decoding it throws", "[queue]") {
    auto q = queue<shy>::create().value();
    const shy first{text_of(100 * kib)};
    const shy second{text_of(50 * kib)};
    (co_await q.put(first)).value();
    (co_await q.put(second)).value();
    shy::is_refused = true;
    bool has_thrown = false;
    try {
        (void)co_await q.get();
    } catch (const std::length_error&) {
        has_thrown = true;
    }
    CHECK(has_thrown);
    CHECK(q.size() == 2);
    const auto again = co_await q.get();
    CHECK(again.value().text == first.text);
    const auto other = co_await q.get();
    CHECK(other.value().text == second.text);
}

CO_TEST_CASE("queue: get_some goes on behind a message whose decoding throws", "[queue]") {
    auto q = queue<shy>::create().value();
    const std::vector<shy> all{{"lost"}, {"b"}, {"c"}, {text_of(100 * kib)}};
    (co_await q.put_all(all)).value();
    shy::is_refused = true;
    const auto some = co_await q.get_some(all.size());
    REQUIRE(some.value().size() == 3);
    CHECK(some.value()[0].text == "b");
    CHECK(some.value()[1].text == "c");
    CHECK(some.value()[2].text == all[3].text);
    const auto told = co_await q.get_some(1);
    check_fails(told, errc::bad_message);
    CHECK(told.error().message().find("not now") != std::string::npos);
    CHECK(q.empty());

    // Alone, it is told at once; a large one can be got again.
    (co_await q.put(all[3])).value();
    shy::is_refused = true;
    const auto refused = co_await q.get_some(1);
    check_fails(refused, errc::bad_message);
    const auto again = co_await q.get_some(1);
    REQUIRE(again.value().size() == 1);
    CHECK(again.value()[0].text == all[3].text);
}

CO_TEST_CASE("queue: a queue travels through a connection", "[queue]") {
    auto [ours, theirs] = coproc::pipe().value();
    auto q = queue<std::string>::create().value();
    (co_await ours.send(q)).value();
    auto same = (co_await theirs.recv<queue<std::string>>()).value();
    (co_await same.put("through the other name")).value();
    const auto got = co_await q.get();
    CHECK(got.value() == "through the other name");
    (co_await ours.send(q)).value();
    const auto other = co_await theirs.recv<queue<int>>();
    check_fails(other, errc::type_mismatch);
}

// -- what put and get return

namespace {

task<result<void>> put_by_task(queue<int> q, int message) { return q.put(message); }

}  // namespace

CO_TEST_CASE("queue: a put or get happens when it is awaited, and is a task where one is wanted",
             "[queue]") {
    auto q = queue<int>::create().value();
    std::vector<task<result<void>>> puts;
    puts.push_back(q.put(1));
    puts.push_back(put_by_task(q, 2));
    auto third = q.put(3);
    { const auto dropped = q.put(4); }
    CHECK(q.empty());
    for (auto& one : puts) (co_await std::move(one)).value();
    (co_await std::move(third)).value();
    task<result<int>> first = q.get();
    auto second = q.get();
    CHECK(q.size() == 3);
    const int one = (co_await std::move(first)).value();
    const int two = (co_await std::move(second)).value();
    CHECK(one == 1);
    CHECK(two == 2);
    CHECK(q.size() == 1);
}

CO_TEST_CASE("queue: a put made a task has a copy of its message", "[queue]") {
    auto q = queue<std::string>::create().value();
    auto text = text_of(100'000);
    task<result<void>> later = q.put(text);
    text = "something else";
    (co_await std::move(later)).value();
    const auto got = co_await q.get();
    CHECK(got.value() == text_of(100'000));
}

CO_TEST_CASE("queue: a put that is awaited later has a copy of its message", "[queue]") {
    auto texts = queue<std::string>::create().value();
    auto numbers = queue<int>::create().value();
    task<result<void>> later = [&] {
        const std::string gone = text_of(300);
        return coproc::timeout(1s, texts.put(gone));
    }();
    const auto both = co_await coproc::with_scope([&](coproc::scope& s) -> task<void> {
        for (int i = 0; i < 3; ++i) {
            const std::string text = text_of(1000 + static_cast<std::size_t>(i));
            s.spawn(texts.put(text));
            s.spawn(numbers.put(i));
        }
        co_return;
    });
    both.value();
    (co_await std::move(later)).value();
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(texts.try_get().value() == text_of(1000 + i));
        CHECK(numbers.try_get().value() == static_cast<int>(i));
    }
    CHECK(texts.try_get().value() == text_of(300));
}

CO_TEST_CASE("queue: a message in many parts waits for room, and arrives intact", "[queue]") {
    struct parts {
        std::string first;
        int number;
        coproc::bytes last;
    };
    const parts sent{text_of(300'000), 7, coproc::bytes(1'200'000, std::byte{9})};
    auto q = queue<parts>::create({.max_bytes = 2 * mib}).value();
    (co_await q.put(sent)).value();
    const auto get_later = [](queue<parts> from) -> task<result<parts>> {
        co_await turns();
        co_return co_await from.get();
    };
    const auto [put, first] = co_await coproc::when_all(q.put(sent), get_later(q));
    put.value();
    CHECK(first.value().last == sent.last);
    const auto second = co_await q.get();
    CHECK(second.value().first == sent.first);
    CHECK(second.value().number == 7);
    CHECK(second.value().last == sent.last);
    const parts small{text_of(2000), 8, coproc::bytes(1000, std::byte{1})};
    (co_await q.put(small)).value();
    const auto third = co_await q.get();
    CHECK(third.value().first == small.first);
    CHECK(third.value().last == small.last);
}

CO_TEST_CASE("queue: a temporary message lives as long as its put", "[queue]") {
    auto q = queue<std::string>::create().value();
    auto large = q.put(text_of(100'000));
    auto small = q.emplace("Hello");
    (co_await std::move(large)).value();
    (co_await std::move(small)).value();
    const auto first = co_await q.get();
    const auto second = co_await q.get();
    CHECK(first.value() == text_of(100'000));
    CHECK(second.value() == "Hello");
}

CO_TEST_CASE("queue: a message that is not as long as its type is a bad one", "[queue]") {
    auto q = queue<int>::create().value();
    (co_await q.put(1)).value();
    (co_await q.get()).value();
    constexpr std::array<std::byte, 3> cut{};
    REQUIRE(coproc::detail::put_bytes_now(q.ref(), coproc::detail::message_bytes(cut)));
    (co_await q.put(2)).value();
    const auto refused = co_await q.get();
    check_fails(refused, errc::bad_message);
    const auto next = co_await q.get();
    CHECK(next.value() == 2);
}

TEST_CASE("queue: a runtime runs and spawns a put and a get as it does tasks", "[queue]") {
    auto home = coproc::runtime::create().value();
    auto q = queue<int>::create().value();
    const auto put = home.spawn(q.put(1));
    CHECK(home.run(q.get()).value() == 1);
    home.run(q.put(2)).value();
    CHECK(q.try_get().value() == 2);
}

TEST_CASE("queue: a target may return a put", "[queue][process]") {
    auto home = coproc::runtime::create().value();
    auto q = queue<int>::create().value();
    const auto give = [](queue<int> to) { return to.put(5); };
    const auto app = [&]() -> task<void> {
        process child(give, q);
        (co_await child.start()).value();
        const auto status = (co_await child.join()).value();
        CHECK(status.code() == 0);
    };
    home.run(app());
    CHECK(q.try_get().value() == 5);
}
