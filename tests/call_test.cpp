#include <coproc/call.hpp>

#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/queue.hpp>
#include <coproc/scope.hpp>
#include <coproc/sleep.hpp>
#include <coproc/this_process.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_all.hpp>

#include "channels/message_socket.hpp"
#include "support/co_test.hpp"
#include "support/contract.hpp"
#include "support/processes.hpp"
#include "words/system.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

using namespace std::chrono_literals;
using coproc::call;
using coproc::errc;
using coproc::error;
using coproc::result;
using coproc::task;
using coproc::detail::message_socket;
using coproc::testing::eventually;

namespace {

// -- functions that are called

int same(int number) { return number; }
void nothing() {}
const char* text() { return "a text"; }
const std::string& by_reference(const std::string& given) { return given; }
std::unique_ptr<int> boxed(std::unique_ptr<int> number) {
    ++*number;
    return number;
}
coproc::bytes reversed(coproc::bytes all) { return {all.rbegin(), all.rend()}; }

struct point {
    int x = 0;
    std::string name;
};
point moved(point from, int by) { return {from.x + by, from.name + "'"}; }

struct adder {
    int base;
    std::string unit;
    std::string operator()(int more) const { return std::to_string(base + more) + unit; }
};

result<int> half(int number) {
    if (number % 2 != 0) return error(errc::bad_message, "odd");
    return number / 2;
}
result<void> not_found() { return std::errc::no_such_file_or_directory; }

task<int> later(int number) {
    (co_await coproc::yield()).value();
    co_return number;
}
task<result<std::string>> later_or_never(std::string given) {
    (co_await coproc::sleep_for(1us)).value();
    if (given.empty()) co_return std::errc::invalid_argument;
    co_return given + "!";
}
task<void> later_nothing() { (co_await coproc::yield()).value(); }
task<result<void>> for_ever() { co_return co_await coproc::sleep_for(24h); }

void throws() { throw std::runtime_error("torn"); }
task<int> throws_later() {
    (co_await coproc::yield()).value();
    throw std::invalid_argument("too late");
}
void spin() {
    for (std::atomic<unsigned long> turns = 0;;) ++turns;
}
int die_by(int signal) {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
    return 0;
}
int leave(int code) { std::exit(code); }

std::string name_here() { return coproc::current_process().name(); }

std::vector<int> numbers(int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

bool nobody_left() { return coproc::active_children().empty(); }

// -- the operation contract

int wait_for(coproc::event end) {
    auto home = coproc::runtime::create().value();
    return home.run(end.wait()).has_value() ? 0 : 1;
}

class calling : public coproc::testing::operation_under_contract {
    task<void> set_up() override {
        end_ = coproc::event::create().value();
        co_return;
    }
    task<result<void>> attempt() override {
        COPROC_CO_TRY(co_await call(wait_for, *end_));
        co_return coproc::success();
    }
    task<void> release() override {
        end_->set().value();
        co_return;
    }
    task<void> tear_down() override {
        end_.reset();
        CHECK(nobody_left());
        co_return;
    }
    const char* start_call() const override { return "clone"; }
    bool has_processes() const override { return true; }

    std::optional<coproc::event> end_;
};
const coproc::testing::contract_row<calling> call_row("call");

}  // namespace

// -- values

CO_TEST_CASE("call: the value of a function, whatever it is, comes back", "[call][process]") {
    const auto number = co_await call(same, -70000);
    const auto none = co_await call(nothing);
    const auto words = co_await call(text);
    const auto reference = co_await call(by_reference, "given");
    const auto list = co_await call(numbers, 1000);
    point start{1, "p"};
    const auto structure = co_await call(moved, start, 41);
    const auto generic = co_await call([](auto x) { return x * 2; }, 1.5);
    adder add{40, " m"};
    const auto object = co_await call(add, 2);
    static_assert(std::is_same_v<decltype(words), const result<std::string>>);
    static_assert(std::is_same_v<decltype(reference), const result<std::string>>);
    static_assert(std::is_same_v<decltype(none), const result<void>>);
    CHECK(number.value() == -70000);
    CHECK(none.has_value());
    CHECK(words.value() == "a text");
    CHECK(reference.value() == "given");
    CHECK(list.value() == numbers(1000));
    CHECK(structure.value().x == 42);
    CHECK(structure.value().name == "p'");
    CHECK(start.name == "p");
    CHECK(generic.value() == 3.0);
    CHECK(object.value() == "42 m");
    CHECK(nobody_left());
}

CO_TEST_CASE("call: a result is not wrapped again, and neither is a task's value",
             "[call][process]") {
    const auto even = co_await call(half, 84);
    const auto soon = co_await call(later, 42);
    const auto checked = co_await call(later_or_never, "yes");
    const auto none = co_await call(later_nothing);
    static_assert(std::is_same_v<decltype(checked), const result<std::string>>);
    CHECK(even.value() == 42);
    CHECK(soon.value() == 42);
    CHECK(checked.value() == "yes!");
    CHECK(none.has_value());
}

CO_TEST_CASE("call: what cannot be copied goes there and comes back", "[call][process]") {
    const auto given = co_await call(boxed, std::make_unique<int>(41));
    auto named = std::make_unique<int>(1);
    const auto moving = co_await call(boxed, coproc::moving(named));
    CHECK(*given.value() == 42);
    CHECK(*moving.value() == 2);
    CHECK(named == nullptr);
}

CO_TEST_CASE("call: handles are arguments, and values", "[call][process]") {
    auto [ours, theirs] = coproc::pipe().value();
    const auto say = [](coproc::connection to) -> task<coproc::connection> {
        (co_await to.send("said")).value();
        auto [reading, writing] = coproc::pipe(coproc::simplex).value();
        (co_await writing.send(7)).value();
        co_return std::move(reading);
    };
    auto given_back = co_await call(say, std::move(theirs));
    const auto said = co_await ours.recv<std::string>();
    const auto seven = co_await given_back.value().recv<int>();
    CHECK(said.value() == "said");
    CHECK(seven.value() == 7);

    auto words = coproc::queue<std::string>::create().value();
    const auto put = [](coproc::queue<std::string> into) -> task<result<void>> {
        co_return co_await into.put("put");
    };
    const auto done = co_await call(put, words);
    const auto got = co_await words.get();
    CHECK(done.has_value());
    CHECK(got.value() == "put");

    coproc::connection closed;
    const auto refused = co_await call(say, std::move(closed));
    CHECK(refused.error() == errc::closed);
}

CO_TEST_CASE("call: 100 MB there and back", "[call][process]") {
    coproc::bytes all(100'000'000);
    for (std::size_t i = 0; i < all.size(); i += 4096) all[i] = std::byte(i / 4096);
    const auto back = co_await call(reversed, coproc::moving(all));
    REQUIRE(back.value().size() == 100'000'000);
    bool same_bytes = true;
    for (std::size_t i = 0; i < 100'000'000; i += 4096)
        same_bytes = same_bytes && back.value()[99'999'999 - i] == std::byte(i / 4096);
    CHECK(same_bytes);
    const auto build = [](std::size_t size) -> task<coproc::bytes> {
        co_return coproc::bytes(size);
    };
    const auto from_coroutine = co_await call(build, 10'000'000u);
    CHECK(from_coroutine.value().size() == 10'000'000);
}

CO_TEST_CASE("call: options are those of a process", "[call][process]") {
    const auto named = co_await call({.name = "worker"}, name_here);
    const auto quick = co_await call({.quick_exit = true}, same, 1);
    const auto spawned = co_await call({.method = coproc::start_method::spawn}, same, 2);
    const coproc::process_options kept{.name = "kept"};
    const auto by_name = co_await call(kept, name_here);
    CHECK(named.value() == "worker");
    CHECK(quick.value() == 1);
    CHECK(spawned.value() == 2);
    CHECK(by_name.value() == "kept");
}

CO_TEST_CASE("call: many at once, and calls in calls", "[call][process]") {
    std::vector<task<result<int>>> all;
    for (int i = 0; i < 20; ++i) all.push_back(call(same, i));
    const auto values = co_await coproc::when_all(std::move(all));
    for (int i = 0; i < 20; ++i) CHECK(values[static_cast<std::size_t>(i)].value() == i);
    const auto inner = [](int number) -> task<result<int>> {
        COPROC_CO_TRY(const int got, co_await call(later, number));
        co_return got + 1;
    };
    const auto nested = co_await call(inner, 41);
    CHECK(nested.value() == 42);
    CHECK(nobody_left());
}

// -- failures

CO_TEST_CASE("call: an exception comes back with its type and message", "[call][process]") {
    const auto thrown = co_await call({.name = "thrower"}, throws);
    const auto coroutine = co_await call(throws_later);
    const auto odd = co_await call([] { throw 7; });
    const auto system = co_await call([] { (void)not_found().value(); });
    const auto ours = co_await call([]() -> task<void> {
        (void)result<int>(errc::closed).value();
        co_return;
    });
    CHECK(thrown.error() == errc::child_failed);
    CHECK(thrown.error().child_type() == "std::runtime_error");
    CHECK(thrown.error().child_message() == "torn");
    CHECK(thrown.error().child_pid() > 0);
    CHECK(thrown.error().message().starts_with("call of thrower: in child process "));
    CHECK(coroutine.error().child_type() == "std::invalid_argument");
    CHECK(odd.error() == errc::child_failed);
    CHECK(odd.error().child_type() == "int");
    CHECK(system.error() == std::errc::no_such_file_or_directory);
    CHECK(system.error().child_type() == "std::system_error");
    CHECK(ours.error() == errc::closed);
    CHECK(nobody_left());
}

CO_TEST_CASE("call: a failed result comes back with its code, also one that an end of ours has",
             "[call][process]") {
    const auto odd = co_await call(half, 7);
    const auto system = co_await call(not_found);
    const auto coroutine = co_await call(later_or_never, "");
    const auto ended = co_await call([]() -> result<int> { return errc::end_of_stream; });
    const auto canceled = co_await call([]() -> result<int> { return errc::canceled; });
    CHECK(odd.error() == errc::bad_message);
    CHECK(odd.error().child_type() == "coproc::error");
    CHECK(odd.error().child_message().starts_with("odd"));
    CHECK(system.error() == std::errc::no_such_file_or_directory);
    CHECK(coroutine.error() == std::errc::invalid_argument);
    CHECK(ended.error() == errc::end_of_stream);
    CHECK(ended.error().child_pid() != 0);
    CHECK(canceled.error() == errc::canceled);
    CHECK(canceled.error().child_pid() != 0);
}

CO_TEST_CASE("call: a failure is its caller's business, and not printed", "[call][process]") {
    const coproc::unique_fd printed(::memfd_create("stderr", MFD_CLOEXEC));
    const coproc::unique_fd before(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
    ::dup2(printed.get(), STDERR_FILENO);
    const auto thrown = co_await call(throws);
    const auto failed = co_await call(not_found);
    ::dup2(before.get(), STDERR_FILENO);
    CHECK_FALSE(thrown.has_value());
    CHECK_FALSE(failed.has_value());
    CHECK(coproc::system::read_file(("/proc/self/fd/" + std::to_string(printed.get())).c_str())
              .value()
              .empty());
}

namespace {
void check_end(const error& why, const std::string& end) {
    CHECK(why == errc::child_failed);
    CHECK(why.child_pid() == 0);
    INFO(why.message());
    CHECK(why.message().find("ended with " + end) != std::string::npos);
    CHECK(nobody_left());
}
}  // namespace

CO_TEST_CASE("call: a child that ends without an answer is an error that says how it ended",
             "[call][process]") {
    const auto killed = co_await call(die_by, SIGKILL);
    check_end(killed.error(), "signal SIGKILL");
    const auto segment = co_await call(die_by, SIGSEGV);
    check_end(segment.error(), "signal SIGSEGV");
    const auto three = co_await call(leave, 3);
    check_end(three.error(), "exitcode 3");
    const auto zero = co_await call(leave, 0);
    check_end(zero.error(), "exitcode 0");
    const auto at_once = co_await call([] { ::_exit(0); });
    check_end(at_once.error(), "exitcode 0");
    const auto coroutine = co_await call([]() -> task<int> {
        std::exit(4);
        co_return 0;
    });
    check_end(coroutine.error(), "exitcode 4");
}

CO_TEST_CASE("call: how a child ends that has answered changes nothing", "[call][process]") {
    const auto answer = co_await call([] {
        std::atexit([] { ::raise(SIGKILL); });
        return 42;
    });
    CHECK(answer.value() == 42);
    CHECK(nobody_left());
}

CO_TEST_CASE("call: a value that cannot be sent is a failure of the function", "[call][process]") {
    const auto make = [] {
        std::vector<coproc::event> many;
        const auto one = coproc::event::create().value();
        for (int i = 0; i < 300; ++i) many.push_back(one);
        return many;
    };
    const auto too_many = co_await call(make);
    CHECK(too_many.error() == errc::message_too_large);
    CHECK(too_many.error().child_pid() != 0);
}

namespace {

/// Comes, but cannot be understood.
struct thrown_on_arrival {
    explicit thrown_on_arrival(bool memory) : no_memory(memory) {}
    bool no_memory;
};

}  // namespace

template <>
struct coproc::codec<thrown_on_arrival> {
    static void encode(encoder& into, const thrown_on_arrival& from) { into.put(from.no_memory); }
    static result<thrown_on_arrival> decode(decoder& from) {
        COPROC_TRY(const bool no_memory, from.get<bool>());
        if (no_memory) throw std::bad_alloc();
        throw std::logic_error("nonsense");
    }
};

CO_TEST_CASE("call: a decoder that throws is an error, and the child is not waited for",
             "[call][process]") {
    const auto answer_and_stay = [](bool no_memory) {
        std::atexit([] { ::pause(); });
        return thrown_on_arrival(no_memory);
    };
    const auto no_memory = co_await call(answer_and_stay, true);
    const auto nonsense = co_await call(answer_and_stay, false);
    CHECK(no_memory.error() == std::errc::not_enough_memory);
    CHECK(nonsense.error() == errc::bad_message);
    CHECK(nonsense.error().message().find("nonsense") != std::string::npos);
    CHECK(nobody_left());
}

// -- hostile children

namespace {

/// The pipe of the call that we are in: a hostile function finds it, too.
int pipe_of_answer() {
    for (int fd = 63; fd > 3; --fd) {
        if (coproc::system::is_unix_stream(fd)) return fd;
    }
    ::_exit(99);
}

struct raw_header {
    std::uint32_t magic = 0x63727063;
    std::uint32_t fds = 0;
    std::uint64_t size = 0;
    std::uint64_t type = 0;
};

enum class lie { other_type, garbage, half, huge, left_over, wrong_bytes, bad_failure, many_fds };

void answer_raw(lie which) {
    const int fd = pipe_of_answer();
    const auto write = [fd](const auto& what) {
        if (::write(fd, &what, sizeof what) != sizeof what) ::_exit(98);
    };
    const auto with = [&](raw_header header, std::uint64_t body) {
        write(header);
        write(body);
    };
    const std::uint64_t right = coproc::detail::fingerprint<std::string>();
    switch (which) {
        case lie::other_type:
            return with({.size = 8, .type = coproc::detail::fingerprint<int>()}, 0);
        case lie::garbage:
            return with({.magic = 1}, 2);
        case lie::half:
            return with({.size = 800, .type = right}, 3);
        case lie::huge:
            return with({.size = std::uint64_t{1} << 61, .type = right}, 4);
        case lie::left_over:
            return with({.size = 8, .type = right}, 1);
        case lie::wrong_bytes:
            return with({.size = 8, .type = right}, ~std::uint64_t{});
        case lie::bad_failure:
            return with({.size = 8, .type = 32}, ~std::uint64_t{});
        case lie::many_fds: {
            message_socket to{coproc::unique_fd(::dup(fd))};
            const std::vector<int> handles(100, STDIN_FILENO);
            const std::array<std::byte, 1> empty_text{};
            to.send_blocking({right, empty_text, handles}).value();
            return;
        }
    }
}

std::string lies_and_stays(lie which) {
    answer_raw(which);
    for (;;) ::pause();
}
std::string lies_and_leaves(lie which) {
    answer_raw(which);
    ::_exit(0);
}

}  // namespace

CO_TEST_CASE("call: nonsense for an answer is an error, and its child is killed",
             "[call][process]") {
    for (const lie which :
         {lie::other_type, lie::garbage, lie::left_over, lie::wrong_bytes, lie::bad_failure}) {
        const auto answer = co_await call(lies_and_stays, which);
        CAPTURE(static_cast<int>(which), answer.error().message());
        const bool other_type = which == lie::other_type;
        CHECK(answer.error() == (other_type ? errc::type_mismatch : errc::bad_message));
        CHECK(answer.error().child_pid() == 0);
        CHECK(nobody_left());
    }
}

CO_TEST_CASE("call: half an answer is none, and a length is not believed", "[call][process]") {
    for (const lie which : {lie::half, lie::huge}) {
        const auto answer = co_await call(lies_and_leaves, which);
        check_end(answer.error(), "exitcode 0 in the middle of its answer");
        const auto waited = co_await coproc::timeout(20ms, call(lies_and_stays, which));
        CHECK(waited.error() == errc::timed_out);
        CHECK(nobody_left());
    }
}

CO_TEST_CASE("call: handles that nobody has asked for are closed", "[call][process]") {
    const auto answer = co_await call(lies_and_leaves, lie::many_fds);
    CHECK(answer.value().empty());  // and the test finds no fd too many
}

CO_TEST_CASE("call: a child that closes its pipe and stays is waited for, until canceled",
             "[call][process]") {
    const auto silent = []() -> int {
        ::close(pipe_of_answer());
        for (;;) ::pause();
    };
    const auto waited = co_await coproc::timeout(20ms, call(silent));
    CHECK(waited.error() == errc::timed_out);
    CHECK(nobody_left());
}

namespace {

/// Leaves a process that has inherited everything, the pipe included, and that ends when nobody
/// reads from it any more.
void leave_grandchild() {
    if (::fork() != 0) return;
    ::alarm(60);
    ::pollfd gone{pipe_of_answer(), 0, 0};
    while (::poll(&gone, 1, -1) < 1) {}
    ::_exit(0);
}

}  // namespace

CO_TEST_CASE("call: a grandchild that keeps the pipe open holds nobody up", "[call][process]") {
    const auto answers = [](int size) {
        leave_grandchild();
        return std::string(static_cast<std::size_t>(size), 'x');
    };
    const auto crashes = [] {
        leave_grandchild();
        ::raise(SIGKILL);
    };
    const auto in_the_middle = []() -> std::string {
        leave_grandchild();
        return lies_and_leaves(lie::half);
    };
    const auto small = co_await call(answers, 10);
    const auto large = co_await call(answers, 10'000'000);
    CHECK(small.value().size() == 10);
    CHECK(large.value().size() == 10'000'000);
    const auto crashed = co_await call(crashes);
    check_end(crashed.error(), "signal SIGKILL");
    const auto cut = co_await call(in_the_middle);
    check_end(cut.error(), "exitcode 0 in the middle of its answer");
}

// -- cancellation

CO_TEST_CASE("call: a timeout ends an endless loop, and nothing is left of it", "[call][process]") {
    const auto plain = co_await coproc::timeout(20ms, call(spin));
    CHECK(plain.error() == errc::timed_out);
    CHECK(nobody_left());
    const auto deaf = [] {
        ::signal(SIGTERM, SIG_IGN);
        spin();
    };
    const auto stubborn = co_await coproc::timeout(20ms, call(deaf));
    CHECK(stubborn.error() == errc::timed_out);
    CHECK(nobody_left());
    const auto coroutine = co_await coproc::timeout(20ms, call(for_ever));
    CHECK(coroutine.error() == errc::timed_out);
    CHECK(nobody_left());
}

CO_TEST_CASE("call: a stopped child is killed, too", "[call][process]") {
    const auto stop = [] { ::raise(SIGSTOP); };
    const auto stopped = co_await coproc::timeout(50ms, call(stop));
    CHECK(stopped.error() == errc::timed_out);
    CHECK(nobody_left());
}

CO_TEST_CASE("call: a value that has come is not lost to a cancellation", "[call][process]") {
    auto answered = coproc::event::create().value();
    const auto stays = [](coproc::event said) {
        static std::optional<coproc::event> kept;
        kept = said;
        // Runs when the answer is on its way.
        std::atexit([] {
            kept->set().value();
            for (;;) ::pause();
        });
        return 42;
    };
    const auto rt = co_await coproc::current_runtime();
    auto calling_it = rt.spawn(call(stays, answered));
    (co_await answered.wait()).value();
    (co_await coproc::sleep_for(1ms)).value();  // a turn of the loop, for the answer's arrival
    calling_it.cancel();
    const auto value = co_await calling_it;
    CHECK(value.value() == 42);
    CHECK(nobody_left());
}

namespace {

/// A call whose arguments and value fill the sockets; canceled after so many turns of the loop.
/// True if it was too late.
task<bool> cancel_after(int turns) {
    const auto rt = co_await coproc::current_runtime();
    coproc::bytes large(3'000'000);
    auto one = rt.spawn(call(reversed, coproc::moving(large)));
    for (int i = 0; i < turns && !one.done(); ++i) (co_await coproc::detail::loop_turn()).value();
    one.cancel();
    const auto value = co_await one;
    CAPTURE(turns);
    // One that was being born is put away as soon as the fork server has told of it.
    const bool gone = co_await eventually(nobody_left);
    CHECK(gone);
    if (value) {
        CHECK(value.value().size() == 3'000'000);
        co_return true;
    }
    CHECK(value.error() == errc::canceled);
    co_return false;
}

}  // namespace

CO_TEST_CASE("call: canceled at any turn of the loop, it leaves nothing", "[call][process]") {
    // Turns come fast while a child is being started, so they are counted in growing steps.
    bool too_late = false;
    int tries = 0;
    for (int turns = 0; !too_late; turns += 1 + turns / 8) {
        too_late = co_await cancel_after(turns);
        ++tries;
        REQUIRE(tries < 300);
    }
    CHECK(tries > 3);
}

// -- the world's refusals

namespace {

/// Refuses one call by its number.
std::atomic<int> count = 0;
std::atomic<int> refused_number = 0;
std::atomic<const char*> refused_call = nullptr;

int refuse(const char* name) noexcept {
    if (++count != refused_number) return 0;
    refused_call = name;
    return std::strcmp(name, "waitid") == 0 ? ECHILD : EMFILE;
}

class refusing {
 public:
    explicit refusing(int number) {
        count = 0;
        refused_number = number;
        refused_call = nullptr;
        coproc::system::set_fault_hook(&refuse);
    }
    refusing(const refusing&) = delete;
    refusing& operator=(const refusing&) = delete;
    ~refusing() { coproc::system::set_fault_hook(nullptr); }
};

/// Calls a function n times, each time with another system call refused, until none is.
template <class Function>
task<int> refuse_each(Function function) {
    for (int n = 1;; ++n) {
        std::optional<refusing> one(n);
        const auto answer = co_await coproc::timeout(10s, call({.name = "unlucky"}, function, 42));
        one.reset();
        CAPTURE(n, refused_call.load());
        const bool gone = co_await eventually(nobody_left);  // one being born, see above
        CHECK(gone);
        if (answer) {
            CHECK(answer.value() == 42);
        } else {
            CHECK(answer.error() == std::errc::too_many_files_open);
            CHECK(answer.error().message().find("of unlucky: ") != std::string::npos);
        }
        if (refused_call == nullptr) co_return n;
        REQUIRE(n < 200);
    }
}

}  // namespace

CO_TEST_CASE("call: whichever system call is refused, it is a result and nothing is left",
             "[call][process]") {
    const int plain = co_await refuse_each(same);
    const int coroutine = co_await refuse_each(later);
    CHECK(plain > 8);
    CHECK(coroutine > 8);
}

CO_TEST_CASE("call: a child that cannot be killed does not hold its cancellation up",
             "[call][process]") {
    const auto unkillable = [](const char* name) noexcept {
        return std::strcmp(name, "pidfd_send_signal") == 0 ? EPERM : 0;
    };
    coproc::system::set_fault_hook(unkillable);
    const auto canceled = co_await coproc::timeout(20ms, call(spin));
    coproc::system::set_fault_hook(nullptr);
    CHECK(canceled.error() == errc::timed_out);
    for (const auto& left : coproc::active_children()) ::kill(left.pid, SIGKILL);
    const bool ended = co_await eventually([] { return nobody_left(); });
    CHECK(ended);
}
