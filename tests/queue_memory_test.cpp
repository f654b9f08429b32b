// What queues cost in memory, in copies and in locks.

#include <coproc/queue.hpp>

#include "channels/byte_queue.hpp"
#include "support/co_test.hpp"
#include "support/counted_memory.hpp"
#include "support/scene.hpp"
#include "support/stepped.hpp"

#include <pthread.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

using coproc::bytes;
using coproc::queue;
using coproc::task;

namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

int large_pieces_during(const std::function<void()>& work) {
    return coproc::testing::pieces_during(128 * kib, work);
}

struct picture {
    int number;
    std::vector<double> points;
    bool operator==(const picture& other) const {
        return number == other.number && points == other.points;
    }
};

template <class T>
void check_copies(const T& message) {
    auto q = queue<T>::create().value();
    for (int i = 0; i < 3; ++i) {
        CHECK(large_pieces_during([&] { q.try_put(message).value(); }) == 0);
        std::optional<T> got;
        CHECK(large_pieces_during([&] { got = q.try_get().value(); }) == 1);
        CHECK(got == message);
    }
}

}  // namespace

TEST_CASE("queue: a large message is copied into the queue, and out of it, and nowhere else",
          "[queue]") {
    if (!coproc::testing::counts_memory) return;
    std::vector<std::string> kept;
    REQUIRE(large_pieces_during([&] { kept.emplace_back(256 * kib, 'x'); }) == 1);
    check_copies(std::string(256 * kib, 'x'));
    check_copies(bytes(256 * kib, std::byte{7}));
    check_copies(std::vector<long>(32 * kib, 7));
    check_copies(picture{3, std::vector<double>(32 * kib, 0.5)});
}

namespace {

/// What the memory of a queue takes at the moment.
std::size_t taken_by(const auto& q) {
    struct stat about{};
    REQUIRE(::fstat(q.ref()->fd(), &about) == 0);
    return static_cast<std::size_t>(about.st_blocks) * 512;
}

/// Puts as many as there is room for, of those sizes in turns; how many.
std::size_t fill(queue<std::string>& q, const std::vector<std::size_t>& sizes) {
    std::size_t count = 0;
    while (q.try_put(std::string(sizes[count % sizes.size()], 'x'))) ++count;
    return count;
}

/// Until `messages` have been put, or more, gets half of them and all of them in turns. The last
/// time as many fit as the first time.
void fill_and_drain(queue<std::string>& q, const std::vector<std::size_t>& sizes,
                    std::size_t messages) {
    const std::size_t most = fill(q, sizes);
    std::size_t put = most;
    for (int round = 0; put < messages; ++round) {
        const std::size_t left = round % 2 == 0 ? q.size() / 2 : 0;
        while (q.size() > left) q.try_get().value();
        put += fill(q, sizes);
    }
    while (!q.empty()) q.try_get().value();
    CHECK(fill(q, sizes) == most);
}

}  // namespace

TEST_CASE("queue: max_bytes bounds the memory that it takes", "[queue]") {
    constexpr std::size_t most = mib;
    using coproc::detail::block_size;
    // What an empty one has, a table of what blocks and cells there are, and some blocks ahead.
    const std::size_t fixed = taken_by(queue<std::string>::create({.max_bytes = most}).value()) +
                              64 * kib + 32 * block_size;
    SECTION("of large messages a block each is not full") {
        auto q = queue<std::string>::create({.max_bytes = most}).value();
        fill_and_drain(q, {60 * kib, 100 * kib, 200 * kib, 400 * kib}, 2000);
        const std::size_t messages = most / (60 * kib);
        CHECK(taken_by(q) <= most + messages * block_size + fixed);
        CHECK(taken_by(q) >= most / 2);
    }
    SECTION("of small ones, and of those in between, a block is half full at least") {
        for (const auto& sizes : std::vector<std::vector<std::size_t>>{
                 {1}, {0, 8, 20}, {4000}, {4088, 4089}, {5000}, {10, 300'000, 4000, 9000, 70}}) {
            auto q = queue<std::string>::create({.max_bytes = most}).value();
            fill_and_drain(q, sizes, 100'000);
            CAPTURE(sizes);
            CHECK(taken_by(q) <= 2 * most + fixed);
        }
    }
}

namespace {

/// So often does a process take a lock in what it does.
long locks_taken(const std::function<task<void>()>& work) {
    coproc::testing::stepped child([&] { coproc::testing::live_as_victim(work); });
    child.run_to_mark();
    const auto path = child.trace();
    return std::ranges::count(path, reinterpret_cast<std::uint64_t>(&::pthread_mutex_trylock));
}

}  // namespace

TEST_CASE("queue: twenty messages at once take as many locks as one", "[queue][process]") {
    if (!coproc::testing::counts_memory) return;  // nor can sanitizers' single steps be waited for
    auto q = queue<int>::create().value();
    const auto put = [&](std::size_t count) -> task<void> {
        const std::vector<int> all(count, 1);
        const auto done = co_await q.put_all(all);
        done.value();
    };
    const auto get = [&](std::size_t count) -> task<void> {
        const auto some = co_await q.get_some(count);
        CHECK(some.value().size() == count);
    };
    const long for_one = locks_taken([&] { return put(1); });
    CHECK(for_one >= 1);
    CHECK(locks_taken([&] { return put(20); }) == for_one);
    const long to_get_one = locks_taken([&] { return get(1); });
    CHECK(to_get_one >= 1);
    CHECK(locks_taken([&] { return get(20); }) == to_get_one);
    CHECK(q.empty());
}
