// Messages larger than a slice: copied bit by bit on their way in and out, between turns of the
// loop, and whole all the same.

#include <coproc/joinable_queue.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_all.hpp>

#include "support/co_test.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using coproc::bytes;
using coproc::errc;
using coproc::joinable_queue;
using coproc::process;
using coproc::queue;
using coproc::result;
using coproc::task;

namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

using words = std::vector<std::uint64_t>;

words counted_up(std::size_t size) {
    words made(size / sizeof(words::value_type));
    std::iota(made.begin(), made.end(), 1);
    return made;
}

std::chrono::nanoseconds waited_for_cpu() {
    long ran = 0;
    long waited = 0;
    std::ifstream("/proc/thread-self/schedstat") >> ran >> waited;
    return std::chrono::nanoseconds(waited);
}

/// Ticks every millisecond until `over()`; the longest time that a tick was late although there
/// was a CPU.
template <class Over>
task<long> latest_us(Over over) {
    std::chrono::nanoseconds latest{};
    while (!over()) {
        const auto due = coproc::clock::now() + 1ms;
        const auto before = waited_for_cpu();
        const auto slept = co_await coproc::sleep_until(due);
        slept.value();
        const auto busy = waited_for_cpu() - before;
        latest = std::max(latest, coproc::clock::now() - due - busy);
    }
    co_return latest / 1us;
}

/// What so much memory costs before anything is in it: next to nothing, but with a sanitizer, which
/// marks all of it, 16 ms for 256 MiB.
long us_to_reserve(std::size_t size) {
    const auto begin = coproc::clock::now();
    words memory;
    memory.reserve(size / sizeof(words::value_type));
    return (coproc::clock::now() - begin) / 1us;
}

/// Puts, and beside it ticks.
task<void> put_and_tick(queue<words> to, queue<long> latest, std::size_t size) {
    const words message = counted_up(size);
    const auto rt = co_await coproc::current_runtime();
    bool over = false;
    const auto ticking = rt.spawn(latest_us([&] { return over; }));
    (co_await coproc::sleep_for(5ms)).value();
    (co_await to.put(message)).value();
    over = true;
    const auto late = co_await ticking;
    (co_await latest.put(late.value())).value();
}

}  // namespace

CO_TEST_CASE("queue: a message of 1 GiB comes from a child, and holds up neither loop",
             "[queue][process][serial][long]") {
    const std::size_t size = std::getenv("COPROC_TEST_LONG") != nullptr ? 1024 * mib : 256 * mib;
    auto q = queue<words>::create({.max_bytes = size + 64 * kib}).value();
    auto latest = queue<long>::create().value();
    const auto rt = co_await coproc::current_runtime();
    bool is_on_time = false;
    // A machine that is busy is so now and then, a loop that is held up each time.
    for (int tries = 4; !is_on_time && tries > 0; --tries) {
        process child(put_and_tick, q, latest, size);
        (co_await child.start()).value();
        const auto getting = rt.spawn(q.get());
        const long ours = co_await latest_us([&] { return getting.done(); });
        const auto got = co_await getting;
        const long theirs = (co_await latest.get()).value();
        is_on_time = ours < 5000 + us_to_reserve(size) && theirs < 5000;
        const bool is_intact = got.value() == counted_up(size);
        CHECK(is_intact);
        CHECK(q.empty());
        CHECK((co_await child.join()).value().success());
    }
    CHECK(is_on_time);
}

namespace {

/// Comes out as it went in, before and after another one, also if two get at the same time.
template <class T>
task<void> check_intact(T message) {
    auto q = queue<T>::create().value();
    const T small(message.begin(), message.begin() + 1);
    T other = message;
    std::reverse(other.begin(), other.end());
    const std::vector<T> all{small, message, other, small};
    for (const T& each : all) {
        const auto put = co_await q.put(each);
        put.value();
    }
    const auto before = co_await q.get();
    CHECK((before.value() == small));
    const auto [first, second] = co_await coproc::when_all(q.get(), q.get());
    CHECK((first.value() == message));
    CHECK((second.value() == other));
    q.try_put(message).value();
    CHECK(q.size() == 2);
    const auto after = co_await q.get();
    CHECK((after.value() == small));
    CHECK((q.try_get().value() == message));
    CHECK(q.empty());
}

template <class T>
T text_of(std::size_t size) {
    T text(size, typename T::value_type());
    for (std::size_t i = 0; i < size; ++i) {
        text[i] = static_cast<typename T::value_type>('a' + i * 7 % 26);
    }
    return text;
}

/// Of a size that slices and blocks are no multiples of.
using pixel = std::array<std::uint8_t, 3>;
/// Larger than a slice.
using plane = std::array<std::uint8_t, 3 * mib / 2>;

}  // namespace

CO_TEST_CASE("queue: what is larger than a slice comes out as it went in", "[queue]") {
    co_await check_intact(text_of<std::string>(5 * mib + 1));
    co_await check_intact(text_of<std::u32string>(mib));
    co_await check_intact(text_of<std::vector<char>>(2 * mib));
    co_await check_intact(text_of<bytes>(3 * mib));
    co_await check_intact(counted_up(4 * mib));
    std::vector<pixel> picture(mib);
    for (std::size_t i = 0; i < picture.size(); ++i)
        picture[i] = {1, 2, static_cast<std::uint8_t>(i)};
    co_await check_intact(picture);
    std::vector<plane> planes(3);
    planes[2].fill(2);
    co_await check_intact(planes);
    // Each of these is decoded in one go.
    co_await check_intact(std::vector<std::string>(3, text_of<std::string>(mib)));
}

namespace {

/// Until somebody has it in hand, and in the middle of it: the loop turns between slices.
template <class Queue>
task<void> in_the_middle_of_getting(const Queue& q) {
    while (!q.empty()) {
        const auto turned = co_await coproc::sleep_for(0s);
        turned.value();
    }
}

}  // namespace

CO_TEST_CASE("queue: a get that is canceled in the middle of a large message gives it back",
             "[queue]") {
    const auto rt = co_await coproc::current_runtime();
    auto q = queue<words>::create().value();
    const words message = counted_up(20 * mib);
    for (int i = 0; i < 3; ++i) {
        if (q.empty()) {
            const auto put = co_await q.put(message);
            put.value();
        }
        auto getting = rt.spawn(q.get());
        co_await in_the_middle_of_getting(q);
        REQUIRE_FALSE(getting.done());
        getting.cancel();
        const auto canceled = co_await getting;
        REQUIRE_FALSE(canceled.has_value());
        CHECK(canceled.error() == errc::canceled);
        CHECK(q.size() == 1);
    }
    const words small(1, 7);
    (co_await q.put(small)).value();
    const auto got = co_await q.get();
    CHECK((got.value() == message));
    const auto next = co_await q.get();
    CHECK((next.value() == small));
}

CO_TEST_CASE("joinable_queue: a lease that is canceled in the middle of a large message is none",
             "[queue]") {
    const auto rt = co_await coproc::current_runtime();
    auto q = joinable_queue<std::string>::create().value();
    const auto message = text_of<std::string>(20 * mib);
    (co_await q.put(message)).value();
    auto leasing = rt.spawn(q.lease());
    co_await in_the_middle_of_getting(q);
    CHECK(q.task_done().error() == errc::too_many_releases);
    REQUIRE_FALSE(leasing.done());
    leasing.cancel();
    const auto canceled = co_await leasing;
    CHECK(canceled.error() == errc::canceled);
    CHECK(q.task_done().error() == errc::too_many_releases);
    auto job = co_await q.lease();
    CHECK(job.value().value() == message);
    CHECK(job.value().returns() == 1);
    job.value().done().value();
    (co_await q.join()).value();
}

CO_TEST_CASE("joinable_queue: what is done is never the message that is still being copied",
             "[queue]") {
    const auto rt = co_await coproc::current_runtime();
    auto q = joinable_queue<std::string>::create().value();
    const auto large = text_of<std::string>(20 * mib);
    (co_await q.put(large)).value();
    (co_await q.put("small")).value();
    auto getting = rt.spawn(q.get());
    while (q.size() == 2) (co_await coproc::sleep_for(0s)).value();
    const auto small = co_await q.get();
    CHECK(small.value() == "small");
    q.task_done().value();
    CHECK(q.task_done().error() == errc::too_many_releases);
    REQUIRE_FALSE(getting.done());
    // Goes where the large one lies, if its blocks are free.
    const std::string next(20 * mib, 'x');
    (co_await q.put(next)).value();
    const auto got = co_await getting;
    CHECK(got.value() == large);
    q.task_done().value();
    const auto last = co_await q.get();
    CHECK(last.value() == next);
    q.task_done().value();
    (co_await q.join()).value();
}

namespace {

template <class Queue>
task<void> die_in_the_middle(Queue from) {
    const auto rt = co_await coproc::current_runtime();
    const auto getting = rt.spawn(from.get());
    co_await in_the_middle_of_getting(from);
    ::kill(::getpid(), SIGKILL);
}

/// A child dies in the middle of getting a message for which there is room just once.
template <class Queue>
task<void> let_one_die(Queue q, const words& message) {
    const auto put = co_await q.put(message);
    put.value();
    process child(die_in_the_middle<Queue>, q);
    const auto started = co_await child.start();
    started.value();
    const auto status = co_await child.join();
    CHECK(status.value().signal() == SIGKILL);
}

}  // namespace

CO_TEST_CASE("queue: killed in the middle of getting a large message", "[queue][process]") {
    const words message = counted_up(20 * mib);
    const coproc::queue_options room{.max_bytes = 30 * mib};
    auto plain = queue<words>::create(room).value();
    co_await let_one_die(plain, message);
    CHECK(plain.empty());
    const auto put = co_await coproc::timeout(60s, plain.put(message));
    CHECK(put.has_value());
    auto joinable = joinable_queue<words>::create(room).value();
    co_await let_one_die(joinable, message);
    auto again = co_await coproc::timeout(60s, joinable.lease());
    CHECK((again.value().value() == message));
    CHECK(again.value().returns() == 1);
}

namespace {

template <class T>
task<void> check_refused(std::size_t count, std::size_t size) {
    auto q = queue<T>::create().value();
    auto message = coproc::detail::make_encoder(q.ref());
    const bytes content(size);
    message->write_count(count);
    message->write(content);
    const auto put = co_await coproc::detail::put_message(q.ref(), std::move(message));
    put.value();
    const T empty;
    const auto put_behind = co_await q.put(empty);
    put_behind.value();
    const auto refused = co_await q.get();
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == errc::bad_message);
    const auto next = co_await q.get();
    CHECK(next.value().empty());
}

}  // namespace

CO_TEST_CASE("queue: a large message that is not as long as it says is a bad one", "[queue]") {
    for (const std::size_t count : {2 * mib - 1, 2 * mib + 1, std::size_t{0}, SIZE_MAX}) {
        co_await check_refused<std::string>(count, 2 * mib);
        co_await check_refused<words>(count, 16 * mib);
    }
    for (const std::size_t size : {16 * mib - 1, 16 * mib + 1}) {
        co_await check_refused<words>(2 * mib, size);
    }
}
