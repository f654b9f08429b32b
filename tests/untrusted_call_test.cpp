// What README shows of work that may do anything, word for word.

#include <coproc/coproc.hpp>

#include "support/co_test.hpp"
#include "words/system.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>

using namespace std::chrono_literals;

namespace {

std::string without_space(std::string text) {
    std::erase_if(text, [](unsigned char one) { return std::isspace(one) != 0; });
    return text;
}

/// The block of code of README.md that has this line.
std::string readme_block(const std::string& line) {
    const auto text = coproc::system::read_file(COPROC_SOURCE_DIR "/README.md").value();
    const std::string opening = "```cpp\n";
    const std::size_t begin = text.rfind(opening, text.find(line)) + opening.size();
    return text.substr(begin, text.find("```\n", begin) - begin);
}

/// What is written to std::cout meanwhile.
class captured_output {
 public:
    captured_output() : before_(std::cout.rdbuf(text_.rdbuf())) {}
    captured_output(const captured_output&) = delete;
    captured_output& operator=(const captured_output&) = delete;
    ~captured_output() { std::cout.rdbuf(before_); }
    std::string line() {
        std::string next;
        std::getline(text_, next);
        return next;
    }

 private:
    std::stringstream text_;
    std::streambuf* before_;
};

/// What crashes leaves none.
class no_cores {
 public:
    no_cores() {
        ::getrlimit(RLIMIT_CORE, &before_);
        const ::rlimit none{0, before_.rlim_max};
        ::setrlimit(RLIMIT_CORE, &none);
    }
    no_cores(const no_cores&) = delete;
    no_cores& operator=(const no_cores&) = delete;
    ~no_cores() { ::setrlimit(RLIMIT_CORE, &before_); }

 private:
    ::rlimit before_{};
};

#if !defined(__SANITIZE_ADDRESS__)  // whose shadow memory is larger than any limit

coproc::task<void> readme_of_untrusted_work() {
    auto crash = [](std::string) -> int { std::abort(); };
    auto spin = [](std::string) -> int {
        for (volatile int turns = 0;;) turns = turns + 1;
    };
    auto bomb = [](std::string text) {
        for (;;) text += text;
        return text;
    };
    const coproc::process_options untrusted{
        .method = coproc::start_method::spawn,
        .limits = {.address_space = 512 << 20, .cpu_seconds = 10}};
    auto crashed = co_await coproc::timeout(10s, coproc::call(untrusted, crash, "plain arguments"));
    auto endless = co_await coproc::timeout(50ms, coproc::call(untrusted, spin, "plain arguments"));
    auto greedy = co_await coproc::timeout(10s, coproc::call(untrusted, bomb, "plain arguments"));
    std::cout << crashed.error().message() << "\n"  // …process 4711 ended with signal SIGABRT…
              << endless.error().message() << "\n"  // timed out
              << greedy.error().message() << "\n";  // …std::bad_alloc…
}

#endif

}  // namespace

TEST_CASE("call: the test of untrusted work is README's example", "[call]") {
    const auto here = coproc::system::read_file(COPROC_SOURCE_DIR "/tests/untrusted_call_test.cpp");
    const std::string block = readme_block("auto crash = [](std::string) -> int { std::abort(); }");
    CHECK(block.size() > 500);
    CHECK_THAT(without_space(here.value()), Catch::Contains(without_space(block)));
}

#if !defined(__SANITIZE_ADDRESS__)

CO_TEST_CASE("call: a crash and an endless loop and a memory bomb are three errors as README says",
             "[call][process]") {
    const no_cores unwanted;
    captured_output said;
    co_await readme_of_untrusted_work();
    const std::string crashed = said.line();
    CHECK_THAT(crashed, Catch::Contains("ended with signal SIGABRT"));
    CHECK(said.line() == "timed out");
    CHECK_THAT(said.line(), Catch::Contains("std::bad_alloc"));
    CHECK(said.line().empty());
    CHECK(coproc::active_children().empty());
}

#endif
