// A program of another project: what its classes and functions and those of the library know of
// each other must not depend on which of them is in a shared library.

#include <coproc/coproc.hpp>

#include <iostream>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>

#ifdef COPROC_FOUND
static_assert(std::string_view(COPROC_FOUND) == COPROC_VERSION_STRING);
#endif
static_assert(COPROC_VERSION ==
              COPROC_VERSION_MAJOR * 10000 + COPROC_VERSION_MINOR * 100 + COPROC_VERSION_PATCH);

namespace {

int failures = 0;

void expect(bool holds, std::string_view what) {
    if (holds) return;
    std::cerr << "not so: " << what << "\n";
    ++failures;
}

struct shared_things {
    coproc::queue<std::string> words;
    coproc::event done;
    coproc::lock turn;
    coproc::shared_value<int> count;
    coproc::shared_array<int> numbers;
};

coproc::task<int> work(shared_things things) {
    auto add = [](int n) { return n + 1; };
    while (auto word = co_await things.words.get()) {
        auto held = co_await things.turn.acquire();
        things.numbers[0] += static_cast<int>(word.value().size());
        (co_await things.count.update(add)).value();
    }
    things.done.set().value();
    co_return 3;
}

/// A child by this method finds its target, its arguments and the shared objects.
coproc::task<coproc::result<void>> a_child_works(coproc::start_method method) {
    COPROC_CO_TRY(auto words, coproc::queue<std::string>::create());
    COPROC_CO_TRY(auto done, coproc::event::create());
    COPROC_CO_TRY(auto turn, coproc::lock::create());
    COPROC_CO_TRY(auto count, coproc::shared_value<int>::create(0));
    COPROC_CO_TRY(auto numbers, coproc::shared_array<int>::create(1));
    const shared_things things{words, done, turn, count, numbers};
    coproc::process p({.name = "worker", .method = method}, work, things);
    COPROC_CO_TRY(co_await p.start());
    COPROC_CO_TRY(co_await words.put("one"));
    COPROC_CO_TRY(co_await words.put("three"));
    COPROC_CO_TRY(words.close());
    COPROC_CO_TRY(co_await done.wait());
    COPROC_CO_TRY(const auto status, co_await p.join());
    expect(status.code() == 3, "the child ends with its code");
    expect(count.load() == 2 && numbers[0] == 8, "the child has worked");
    co_return coproc::success();
}

int parse(const std::string& text) { return std::stoi(text); }
int preloaded = 0;

/// Exceptions, errors, deadlines and virtual functions cross the border.
coproc::task<coproc::result<void>> borders_are_crossed() {
    COPROC_CO_TRY(const int number, co_await coproc::call(parse, "42"));
    expect(number == 42, "a value comes back");
    const auto thrown = co_await coproc::call(parse, "forty-two");
    expect(!thrown && thrown.error().child_type() == "std::invalid_argument", "an exception, too");
    auto was_preloaded = [] { return preloaded; };
    COPROC_CO_TRY(const int seen, co_await coproc::call(was_preloaded));
    expect(seen == 7, "the fork server has called what was to be preloaded");

    auto empty = coproc::queue<int>::create().value();
    const auto late = co_await coproc::timeout(std::chrono::milliseconds(1), empty.get());
    expect(!late && late.error() == coproc::errc::timed_out, "a wait ends in time");
    expect(late.error().code().category() == coproc::error_category(), "there is one category");
    expect(coproc::error(coproc::errc::end_of_stream) == std::errc::broken_pipe, "which is mapped");
    try {
        std::move(late).value();
        expect(false, "value() throws");
    } catch (const std::system_error& caught) {
        expect(caught.code() == coproc::errc::timed_out, "value() throws what one can catch");
    }
    auto add = [] { return 1 + 1; };
    COPROC_CO_TRY(const int sum, co_await coproc::offload(add));
    expect(sum == 2, "a thread of the pool works");
    auto [ours, theirs] = coproc::pipe().value();
    COPROC_CO_TRY(co_await ours.send_bytes(std::string("bytes")));
    COPROC_CO_TRY(const auto bytes, co_await theirs.recv_bytes());
    expect(bytes.size() == 5, "bytes go through a pipe");
    co_return coproc::success();
}

coproc::task<int> app() {
    (co_await a_child_works(coproc::start_method::forkserver)).value();
    (co_await a_child_works(coproc::start_method::spawn)).value();
    (co_await borders_are_crossed()).value();
    co_return failures;
}

}  // namespace

int main() {
    if (auto code = coproc::run_if_child()) return *code;
    coproc::log_to([](coproc::log_level, std::string_view text) { std::cerr << text << "\n"; },
                   coproc::log_level::warning);
    coproc::set_forkserver_preload([] { preloaded = 7; }).value();
    return coproc::run(app);
}
