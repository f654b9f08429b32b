// Queues whose producers and consumers are killed at random, all the time.

#include <coproc/connection.hpp>
#include <coproc/joinable_queue.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"
#include "support/processes.hpp"
#include "support/shared_board.hpp"
#include "support/storm.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using coproc::connection;
using coproc::joinable_queue;
using coproc::process;
using coproc::queue;
using coproc::task;
using coproc::testing::eventually;
using coproc::testing::shared_board;
using coproc::testing::storm;

namespace {

struct parcel {
    long producer;
    long number;
    std::string content;
};

std::string content_of(long producer, long number, std::size_t size) {
    return std::string(size, static_cast<char>('a' + (7 * number + producer) % 26));
}
parcel made(long producer, long number, std::mt19937& random) {
    constexpr std::size_t sizes[] = {8, 40, 200, 1000, 4000, 4090, 9000, 20'000, 65'000};
    std::size_t size = sizes[random() % 100 < 80 ? random() % 4 : random() % 9];
    if (random() % 1000 == 0) size = 300'000;
    return {producer, number, content_of(producer, number, random() % size + 1)};
}
bool is_intact(const parcel& one) {
    return one.content == content_of(one.producer, one.number, one.content.size());
}

/// What a consumer says of a message.
struct report {
    enum kind : int { got, done };
    kind what;
    bool intact;
    long producer;
    long number;
};

// -- in the children

/// Which of the consumers are in get(), or have not reported yet what it gave them.
struct notes {
    std::array<std::atomic<bool>, 1 << 16> may_have_one;
};

/// Says how many of its messages have been put, after each.
template <class Queue>
task<void> produce(Queue q, connection acknowledged, long producer) {
    std::mt19937 random(static_cast<unsigned>(producer));
    for (long number = 0;;) {
        std::vector<parcel> some;
        const long count = random() % 8 == 0 ? 3 : 1;
        for (long i = 0; i < count; ++i) some.push_back(made(producer, number++, random));
        coproc::result<void> put = coproc::success();
        if (count == 1) {
            put = co_await q.put(some.front());
        } else {
            put = co_await q.put_all(some);
        }
        put.value();
        put = co_await acknowledged.send(number);
        put.value();
    }
}
task<void> consume(queue<parcel> q, connection reports, long number, std::string path) {
    const shared_board<notes> seen(path);
    std::atomic<bool>& may_have_one = seen->may_have_one.at(static_cast<std::size_t>(number));
    std::mt19937 random(static_cast<unsigned>(number));
    for (;; may_have_one = false) {
        if (random() % 32 == 0) {  // with empty hands
            (co_await coproc::sleep_for(std::chrono::microseconds(random() % 1000))).value();
        }
        const auto patience =
            std::chrono::microseconds(random() % 4 == 0 ? random() % 300 : 1'000'000);
        may_have_one = true;
        const auto one = co_await coproc::timeout(patience, q.get());
        if (!one && one.error() == coproc::errc::timed_out) continue;
        const parcel& got = one.value();
        const report said{report::got, is_intact(got), got.producer, got.number};
        (co_await reports.send(said)).value();
    }
}
task<void> work(joinable_queue<parcel> q, connection reports, long number) {
    std::mt19937 random(static_cast<unsigned>(number));
    for (;;) {
        auto one = (co_await q.lease()).value();
        report said{report::got, is_intact(one.value()), one.value().producer, one.value().number};
        (co_await reports.send(said)).value();
        if (random() % 16 == 0) continue;  // dropped: back to the front
        one.done().value();
        said.what = report::done;
        (co_await reports.send(said)).value();
    }
}

// -- in the parent

enum class order { kept, any };

/// What has become of every message.
class ledger {
 public:
    task<void> read_acknowledgements(connection from, long producer) {
        while (const auto count = co_await from.recv<long>())
            acknowledged_[producer] = count.value();
    }
    task<void> read_reports(connection from, order expected) {
        std::map<long, long> last;
        while (const auto one = co_await from.recv<report>()) {
            const report& said = one.value();
            const auto before = last.try_emplace(said.producer, -1).first;
            if (expected == order::kept && said.number <= before->second) ++out_of_order;
            before->second = said.number;
            note(said);
        }
    }
    void note(const report& said) {
        if (!said.intact) ++damaged;
        fate& one = at(said);
        if (said.what == report::got && ++one.times == 2) ++repeated;
        if (said.what == report::done && ++one.done == 2) ++done_twice;
    }
    /// Messages that were acknowledged and that nobody has got.
    int lost() const {
        int count = 0;
        for (const auto& [producer, acknowledged] : acknowledged_) {
            const auto found = fates_.find(producer);
            for (long i = 0; i < acknowledged; ++i) {
                const auto place = static_cast<std::size_t>(i);
                const bool got = found != fates_.end() && place < found->second.size() &&
                                 found->second[place].times > 0;
                count += got ? 0 : 1;
            }
        }
        return count;
    }
    long acknowledged() const {
        long sum = 0;
        for (const auto& [producer, count] : acknowledged_) sum += count;
        return sum;
    }

    int damaged = 0;
    int out_of_order = 0;
    int repeated = 0;
    int done_twice = 0;

 private:
    struct fate {
        int times = 0;
        int done = 0;
    };
    fate& at(const report& said) {
        auto& all = fates_[said.producer];
        const auto place = static_cast<std::size_t>(said.number);
        if (all.size() <= place) all.resize(place + 1);
        return all[place];
    }

    std::map<long, long> acknowledged_;
    std::map<long, std::vector<fate>> fates_;
};

constexpr coproc::queue_options limits{.max_size = 100, .max_bytes = 1'000'000};

/// So many messages fill an empty queue.
template <class Queue>
int filled(Queue& q, std::size_t size) {
    int count = 0;
    const parcel one{0, 0, content_of(0, 0, size)};
    while (q.try_put(one)) ++count;
    return count;
}
template <class Queue>
void drain(Queue& q) {
    while (const auto one = q.try_get()) {
        if constexpr (requires { q.task_done(); }) q.task_done().value();
    }
}

/// As good as a new one: the same goes in.
template <class Queue>
void check_as_new(Queue& q) {
    CHECK(q.empty());
    auto fresh = Queue::create(limits).value();
    for (const std::size_t size : {std::size_t{999'950}, std::size_t{60'000}, std::size_t{100}}) {
        CHECK(filled(q, size) == filled(fresh, size));
        drain(q);
        drain(fresh);
    }
}

/// `consumer(reports, number)` is a process that consumes.
template <class Queue, class Consumer>
task<void> rage(storm& around, Queue q, ledger& book, Consumer consumer, order expected) {
    const auto rt = co_await coproc::current_runtime();
    std::vector<coproc::spawned<void>> readers;
    around.add("producer", 3, [&](long number) {
        auto [ours, theirs] = coproc::pipe().value();
        readers.push_back(rt.spawn(book.read_acknowledgements(std::move(ours), number)));
        return process(produce<Queue>, q, std::move(theirs), number);
    });
    around.add("consumer", 3, [&](long number) {
        auto [ours, theirs] = coproc::pipe().value();
        readers.push_back(rt.spawn(book.read_reports(std::move(ours), expected)));
        return consumer(std::move(theirs), number);
    });
    co_await around.rage();
    for (const auto& one : readers) {
        const coproc::result<void> read = co_await one;
        read.value();
    }
    WARN("kills survived: " << around.kills() << ", messages: " << book.acknowledged());
    CHECK(around.failures() == 0);
    CHECK(around.kills("producer") > 0);
    CHECK(around.kills("consumer") > 0);
}

}  // namespace

CO_TEST_CASE("queue: in a storm of kills what is acknowledged arrives once, but for dead hands",
             "[queue][process][long]") {
    const auto seed = coproc::testing::storm_seed();
    CAPTURE(seed);
    storm around(seed);
    auto q = queue<parcel>::create(limits).value();
    ledger book;
    const shared_board<notes> seen;
    const auto consumer = [&](connection reports, long number) {
        return process(consume, q, std::move(reports), number, seen.path());
    };
    co_await rage(around, q, book, consumer, order::kept);
    while (const auto left = q.try_get()) {
        const parcel& one = left.value();
        book.note({report::got, is_intact(one), one.producer, one.number});
    }
    CHECK(book.damaged == 0);
    CHECK(book.out_of_order == 0);
    CHECK(book.repeated == 0);
    const long dead_hands = std::ranges::count_if(
        seen->may_have_one, [](const std::atomic<bool>& one) { return one.load(); });
    WARN("lost: " << book.lost() << ", dead hands: " << dead_hands << " of "
                  << around.kills("consumer"));
    CHECK(book.lost() <= dead_hands);
    check_as_new(q);
}

CO_TEST_CASE("joinable_queue: in a storm of kills all that is acknowledged is done",
             "[queue][process][long]") {
    const auto seed = coproc::testing::storm_seed();
    CAPTURE(seed);
    storm around(seed);
    auto q = joinable_queue<parcel>::create(limits).value();
    ledger book;
    const auto worker = [&](connection reports, long number) {
        return process(work, q, std::move(reports), number);
    };
    co_await rage(around, q, book, worker, order::any);
    // The workers that were killed last have given back what they had.
    while (const auto left = q.try_get()) {
        const parcel& one = left.value();
        book.note({report::got, is_intact(one), one.producer, one.number});
        q.task_done().value();
    }
    CHECK(book.damaged == 0);
    // done() that has found the queue locked is in force a moment later, unless its process dies.
    CHECK(book.done_twice <= around.kills("consumer"));
    CHECK(book.lost() == 0);
    const auto joined = co_await coproc::timeout(10s, q.join());
    CHECK(joined.has_value());
    check_as_new(q);
}
