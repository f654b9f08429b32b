// Whatever processes can share, as an argument and in a message, with each start method: what a
// child does to it is seen by its parent.

#include <coproc/barrier.hpp>
#include <coproc/condition.hpp>
#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/joinable_queue.hpp>
#include <coproc/lock.hpp>
#include <coproc/process.hpp>
#include <coproc/queue.hpp>
#include <coproc/recursive_lock.hpp>
#include <coproc/semaphore.hpp>
#include <coproc/shared_array.hpp>
#include <coproc/shared_memory.hpp>
#include <coproc/shared_value.hpp>
#include <coproc/timeout.hpp>

#include "support/co_test.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

using namespace std::chrono_literals;
using coproc::connection;
using coproc::errc;
using coproc::process;
using coproc::start_method;
using coproc::task;

namespace {

// Parent and child tell each other that the other one may go on.
task<void> tell(connection& other) { (co_await other.send(1)).value(); }
task<void> hear(connection& other) { (co_await other.recv<int>()).value(); }

// -- the kinds: what is given to the child, what the child does to it, and how the parent sees that

struct events {
    coproc::event given = coproc::event::create().value();

    static task<void> act(coproc::event& theirs, connection&) {
        theirs.set().value();
        co_return;
    }
    task<void> see(connection&) { (co_await given.wait()).value(); }
};

const std::string word = "from a child";

template <class Queue>
struct queues {
    Queue given = Queue::create().value();

    static task<void> act(Queue& theirs, connection&) {
        const auto put = co_await theirs.put(word);
        put.value();
    }
    task<void> see(connection&) {
        const auto got = co_await given.get();
        CHECK(got.value() == word);
    }
};

/// The child does a job of the parent's.
struct joinable_queues {
    using queue = coproc::joinable_queue<std::string>;
    queue given = queue::create().value();

    static task<void> act(queue& theirs, connection&) {
        auto job = (co_await theirs.lease()).value();
        if (job.value() == word) job.done().value();
    }
    task<void> see(connection&) {
        (co_await given.put(word)).value();
        (co_await given.join()).value();
        CHECK(given.empty());
    }
};

template <class Lock>
struct locks {
    Lock given = Lock::create().value();

    static task<void> act(Lock& theirs, connection& parent) {
        const auto held = co_await theirs.acquire();
        if (!held) co_return;  // and the parent hears nothing
        co_await tell(parent);
        co_await hear(parent);
    }
    task<void> see(connection& child) {
        co_await hear(child);
        CHECK(given.is_locked());
        CHECK(given.try_acquire().error() == errc::would_block);
        co_await tell(child);
        const auto mine = co_await given.acquire();
        CHECK(mine.has_value());
    }
};

template <class Semaphore>
struct semaphores {
    static constexpr bool is_bounded = std::is_same_v<Semaphore, coproc::bounded_semaphore>;
    Semaphore given = Semaphore::create(2).value();

    static task<void> act(Semaphore& theirs, connection& parent) {
        if (is_bounded && theirs.release()) co_return;  // and the parent hears nothing
        const auto held = co_await theirs.acquire();
        if (!held) co_return;
        co_await tell(parent);
        co_await hear(parent);
    }
    task<void> see(connection& child) {
        co_await hear(child);
        CHECK(given.value() == 1);
        co_await tell(child);
    }
};

struct conditions {
    coproc::condition given = coproc::condition::create().value();

    static task<void> act(coproc::condition& theirs, connection& parent) {
        auto held = (co_await theirs.acquire()).value();
        co_await tell(parent);
        (co_await theirs.wait(held)).value();
        co_await tell(parent);
    }
    task<void> see(connection& child) {
        co_await hear(child);
        {
            const auto held = (co_await given.acquire()).value();
            given.notify().value();
        }
        co_await hear(child);
    }
};

struct barriers {
    coproc::barrier given = coproc::barrier::create(2).value();

    static task<void> act(coproc::barrier& theirs, connection&) {
        (co_await theirs.wait()).value();
    }
    task<void> see(connection&) { (co_await given.wait()).value(); }
};

struct memories {
    coproc::shared_memory given = coproc::shared_memory::create(4096).value();

    static task<void> act(coproc::shared_memory& theirs, connection& parent) {
        theirs.data()[4095] = std::byte{42};
        co_await tell(parent);
    }
    task<void> see(connection& child) {
        co_await hear(child);
        CHECK(given.data()[4095] == std::byte{42});
    }
};

struct values {
    coproc::shared_value<int> given = coproc::shared_value<int>::create(41).value();

    static task<void> act(coproc::shared_value<int>& theirs, connection& parent) {
        (co_await theirs.update([](int n) { return n + 1; })).value();
        co_await tell(parent);
    }
    task<void> see(connection& child) {
        co_await hear(child);
        CHECK(given.load() == 42);
    }
};

/// Elements, and the lock beside them.
struct arrays {
    coproc::shared_array<int> given = coproc::shared_array<int>::create(10).value();

    static task<void> act(coproc::shared_array<int>& theirs, connection& parent) {
        const auto held = (co_await theirs.acquire()).value();
        theirs[3] += 42;
        co_await tell(parent);
        co_await hear(parent);
    }
    task<void> see(connection& child) {
        co_await hear(child);
        CHECK(given[3] == 42);
        CHECK(given.is_locked());
        co_await tell(child);
    }
};

/// The one kind that is not shared but given away.
struct connections {
    connection here;
    connection given;

    connections() {
        auto ends = coproc::pipe().value();
        here = std::move(ends.first);
        given = std::move(ends.second);
    }
    static task<void> act(connection& theirs, connection&) { (co_await theirs.send(word)).value(); }
    task<void> see(connection&) {
        const auto got = co_await here.recv<std::string>();
        CHECK(got.value() == word);
        const auto end = co_await here.recv<std::string>();
        CHECK(end.error() == errc::end_of_stream);
    }
};

// -- the ways to a child

template <class T>
struct letter {
    std::string title;
    T given;
};

template <class Kind>
using given_t = decltype(Kind::given);

template <class Kind>
task<void> use_argument(given_t<Kind> theirs, connection parent) {
    co_await Kind::act(theirs, parent);
}
template <class Kind>
task<void> use_message(connection parent) {
    auto got = co_await parent.recv<letter<given_t<Kind>>>();
    co_await Kind::act(got.value().given, parent);
}

template <class T>
T passed(T& given) {
    if constexpr (std::is_copy_constructible_v<T>) {
        return given;
    } else {
        return std::move(given);
    }
}

enum class way { argument, message };

task<void> start(process& child) { (co_await child.start()).value(); }

template <class T>
task<void> send(connection& to, T& given) {
    letter<T> sent{"enclosed", passed(given)};
    coproc::result<void> done = coproc::success();
    if constexpr (std::is_copy_constructible_v<T>) {
        done = co_await to.send(sent);
    } else {
        done = co_await to.send(coproc::moving(sent));
    }
    done.value();
}

template <class Kind>
task<void> check(way by, start_method method) {
    Kind shared;
    auto [here, there] = coproc::pipe().value();
    const coproc::process_options options{.method = method};
    std::optional<process> child;
    if (by == way::argument) {
        child.emplace(options, use_argument<Kind>, passed(shared.given), std::move(there));
        co_await start(*child);
    } else {
        child.emplace(options, use_message<Kind>, std::move(there));
        co_await start(*child);
        co_await send(here, shared.given);
    }
    co_await shared.see(here);
    const auto status = co_await child->join();
    CHECK(status.value().success());
}

struct row {
    const char* kind;
    task<void> (*check)(way by, start_method method);
};

const row rows[] = {
    {"event", &check<events>},
    {"queue", &check<queues<coproc::queue<std::string>>>},
    {"simple_queue", &check<queues<coproc::simple_queue<std::string>>>},
    {"joinable_queue", &check<joinable_queues>},
    {"lock", &check<locks<coproc::lock>>},
    {"recursive_lock", &check<locks<coproc::recursive_lock>>},
    {"semaphore", &check<semaphores<coproc::semaphore>>},
    {"bounded_semaphore", &check<semaphores<coproc::bounded_semaphore>>},
    {"condition", &check<conditions>},
    {"barrier", &check<barriers>},
    {"shared_memory", &check<memories>},
    {"shared_value", &check<values>},
    {"shared_array", &check<arrays>},
    {"connection", &check<connections>},
};

task<void> check_all(way by) {
    for (const auto method : {start_method::forkserver, start_method::spawn}) {
        for (const row& one : rows) {
            INFO(one.kind << (method == start_method::spawn ? ", spawned" : ", by the server"));
            const auto in_time = co_await coproc::timeout(30s, one.check(by, method));
            REQUIRE(in_time.has_value());
        }
    }
}

}  // namespace

CO_TEST_CASE(
    "process: whatever can be shared is the same object in a child that has it as argument",
    "[process]") {
    co_await check_all(way::argument);
}

CO_TEST_CASE(
    "process: whatever can be shared is the same object in a child that gets it in a message",
    "[process][connection]") {
    co_await check_all(way::message);
}
