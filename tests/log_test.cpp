#include <coproc/log.hpp>
#include <coproc/process.hpp>
#include <coproc/readiness.hpp>

#include "support/co_test.hpp"
#include "words/system.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using coproc::log_level;
using coproc::process;
using coproc::task;

namespace {

/// Fd 2 is a pipe as long as it lives, and coproc logs as before when it has gone.
class captured_stderr {
 public:
    captured_stderr()
        : saved_(coproc::system::duplicate(STDERR_FILENO).value()),
          ends_(coproc::system::pipe().value()) {
        ::dup2(ends_[1].get(), STDERR_FILENO);
        ends_[1].reset();
        coproc::system::set_nonblocking(ends_[0].get()).value();
    }
    ~captured_stderr() {
        restore();
        coproc::log_to(nullptr, log_level::off);
        coproc::detail::set_log_name("MainProcess");
    }
    captured_stderr(const captured_stderr&) = delete;
    captured_stderr& operator=(const captured_stderr&) = delete;

    int read_end() const { return ends_[0].get(); }
    /// Here, too, fd 2 is what it was.
    void restore() {
        if (saved_) ::dup2(saved_.get(), STDERR_FILENO);
        saved_.reset();
    }
    /// Takes what has been written so far.
    std::string text() {
        std::string all;
        std::array<char, 4096> piece;
        for (;;) {
            const auto count =
                coproc::system::read(ends_[0].get(), std::as_writable_bytes(std::span(piece)));
            if (!count || count.value() == 0) return all;
            all.append(piece.data(), count.value());
        }
    }
    /// The same until nobody has the pipe open for writing.
    task<std::string> all_text() {
        restore();
        std::string all;
        std::array<char, 65536> piece;
        for (;;) {
            const auto count =
                coproc::system::read(ends_[0].get(), std::as_writable_bytes(std::span(piece)));
            if (count && count.value() == 0) co_return all;
            if (count) all.append(piece.data(), count.value());
            if (!count) (co_await coproc::wait_readable(ends_[0].get())).value();
        }
    }

 private:
    coproc::detail::unique_fd saved_;
    std::array<coproc::detail::unique_fd, 2> ends_;
};

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::size_t begin = 0;
    while (begin < text.size()) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        lines.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return lines;
}

void log_all_levels() {
    coproc::log(log_level::debug, "d");
    coproc::log(log_level::info, "i");
    coproc::log(log_level::warning, "w");
    coproc::log(log_level::error, "e");
}

}  // namespace

TEST_CASE("log: without a destination nothing is logged", "[log]") {
    captured_stderr captured;
    log_all_levels();
    CHECK(captured.text().empty());
    CHECK_FALSE(coproc::log_enabled(log_level::error));
}

TEST_CASE("log: a line is [LEVEL/process name] text", "[log]") {
    captured_stderr captured;
    coproc::log_to_stderr(log_level::debug);
    log_all_levels();
    CHECK(captured.text() ==
          "[DEBUG/MainProcess] d\n[INFO/MainProcess] i\n"
          "[WARNING/MainProcess] w\n[ERROR/MainProcess] e\n");
    coproc::detail::set_log_name("process 0");
    coproc::log(log_level::info, "child process calling its target");
    CHECK(captured.text() == "[INFO/process 0] child process calling its target\n");
}

TEST_CASE("log: a text is written as it is, whatever is in it", "[log]") {
    captured_stderr captured;
    coproc::log_to_stderr();
    coproc::log(log_level::info, "{} %s {0:d} %n");
    coproc::log(log_level::info, "");
    coproc::log(log_level::info, std::string_view("a\0b", 3));
    coproc::log(log_level::info, std::string(3000, 'x'));
    CHECK(captured.text() == "[INFO/MainProcess] {} %s {0:d} %n\n[INFO/MainProcess] \n" +
                                 std::string("[INFO/MainProcess] a\0b\n", 23) +
                                 "[INFO/MainProcess] " + std::string(3000, 'x') + "\n");
}

TEST_CASE("log: lines below the level are not written", "[log]") {
    constexpr std::array levels{log_level::debug, log_level::info, log_level::warning,
                                log_level::error};
    for (std::size_t i = 0; i < levels.size(); ++i) {
        captured_stderr captured;
        coproc::log_to_stderr(levels[i]);
        log_all_levels();
        CHECK(lines_of(captured.text()).size() == levels.size() - i);
        for (std::size_t j = 0; j < levels.size(); ++j)
            CHECK(coproc::log_enabled(levels[j]) == (j >= i));
    }
}

TEST_CASE("log: level off switches off, and no line is of that level", "[log]") {
    captured_stderr captured;
    coproc::log_to_stderr(log_level::off);
    log_all_levels();
    coproc::log(log_level::off, "o");
    CHECK(captured.text().empty());
    CHECK_FALSE(coproc::log_enabled(log_level::error));
    CHECK_FALSE(coproc::log_enabled(log_level::off));
    coproc::log_to_stderr(log_level::debug);
    coproc::log(log_level::off, "o");
    CHECK(captured.text().empty());
}

TEST_CASE("log: log_to_stderr called again changes the level and adds no second line", "[log]") {
    captured_stderr captured;
    coproc::log_to_stderr(log_level::debug);
    coproc::log_to_stderr(log_level::info);
    coproc::log(log_level::info, "once");
    coproc::log(log_level::debug, "not any more");
    CHECK(captured.text() == "[INFO/MainProcess] once\n");
}

TEST_CASE("log: a sink gets level and text, and stderr nothing", "[log]") {
    captured_stderr captured;
    std::vector<std::pair<log_level, std::string>> got;
    coproc::log_to_stderr(log_level::debug);
    coproc::log_to([&](log_level level, std::string_view text) { got.emplace_back(level, text); },
                   log_level::info);
    log_all_levels();
    CHECK(captured.text().empty());
    REQUIRE(got.size() == 3);
    CHECK(got[0] == std::pair(log_level::info, std::string("i")));
    CHECK(got[1] == std::pair(log_level::warning, std::string("w")));
    CHECK(got[2] == std::pair(log_level::error, std::string("e")));

    coproc::log_to_stderr(log_level::error);
    log_all_levels();
    CHECK(got.size() == 3);
    CHECK(captured.text() == "[ERROR/MainProcess] e\n");
}

TEST_CASE("log: what a sink logs is dropped, and what it throws stays there", "[log]") {
    captured_stderr captured;
    int calls = 0;
    const auto sink = [&](log_level level, std::string_view) {
        ++calls;
        coproc::log(level, "from the sink");
        if (level == log_level::error) throw std::runtime_error("full");
    };
    coproc::log_to(sink, log_level::debug);
    log_all_levels();
    coproc::log(log_level::info, "after the exception");
    CHECK(calls == 5);
}

TEST_CASE("log: a sink is called by one thread at a time", "[log]") {
    captured_stderr captured;
    int inside = 0;
    int together = 0;
    int lines = 0;
    coproc::log_to([&](log_level, std::string_view) {
        if (++inside > 1) ++together;
        ++lines;
        --inside;
    });
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([] {
            for (int i = 0; i < 10'000; ++i) coproc::log(log_level::info, "x");
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(lines == 40'000);
    CHECK(together == 0);
}

TEST_CASE("log: a reader of stderr that is gone ends nobody", "[log]") {
    // SIGPIPE is the host's business; here it is ignored, as in most servers.
    struct ignored_sigpipe {
        void (*before)(int) = ::signal(SIGPIPE, SIG_IGN);
        ~ignored_sigpipe() { ::signal(SIGPIPE, before); }
    };
    const ignored_sigpipe ignored;
    const coproc::detail::unique_fd saved = coproc::system::duplicate(STDERR_FILENO).value();
    {
        auto ends = coproc::system::pipe().value();
        ::dup2(ends[1].get(), STDERR_FILENO);
    }
    coproc::log_to_stderr();
    coproc::log(log_level::info, "to nobody");
    ::dup2(saved.get(), STDERR_FILENO);
    coproc::log_to(nullptr, log_level::off);
    SUCCEED();
}

// -- between processes

namespace {

void log_three_lines() {
    coproc::log(log_level::debug, "three lines: d");
    coproc::log(log_level::info, "three lines: i");
    coproc::log(log_level::error, "three lines: e");
}

/// A line's length and letters follow from its number, so that a torn one is noticed.
std::string numbered_line(int who, int number) {
    const auto letter = static_cast<char>('a' + (who + number) % 26);
    return "line " + std::to_string(number) + " " +
           std::string(static_cast<std::size_t>((who * 37 + number * 131) % 3000), letter) + ".";
}

void log_numbered_lines(int who) {
    for (int i = 0; i < 1000; ++i) coproc::log(log_level::warning, numbered_line(who, i));
}

task<void> run_child(process& child) {
    (co_await child.start()).value();
    const auto status = (co_await child.join()).value();
    CHECK(status.code() == 0);
}

/// The lines of `text` that log_three_lines has written.
std::vector<std::string> three_lines(const std::string& text) {
    std::vector<std::string> found;
    for (std::string& line : lines_of(text)) {
        if (line.find("three lines: ") != std::string::npos) found.push_back(std::move(line));
    }
    return found;
}

}  // namespace

CO_TEST_CASE("log: children inherit the level and stderr, and have their own names",
             "[log][process]") {
    captured_stderr captured;
    coproc::log_to_stderr(log_level::info);
    process child({.name = "process 0"}, log_three_lines);
    co_await run_child(child);
    const std::string text = co_await captured.all_text();
    const std::vector<std::string> expected{"[INFO/process 0] three lines: i",
                                            "[ERROR/process 0] three lines: e"};
    CHECK(three_lines(text) == expected);
    CHECK(text.find("[INFO/process 0] child process calling its target\n") != std::string::npos);
}

CO_TEST_CASE("log: children of a silent parent are silent", "[log][process]") {
    captured_stderr captured;
    process child(log_three_lines);
    co_await run_child(child);
    const std::string text = co_await captured.all_text();
    CHECK(text.empty());
}

CO_TEST_CASE("log: a sink stays in its process, whose children log to nowhere", "[log][process]") {
    captured_stderr captured;
    int lines = 0;
    coproc::log_to(
        [&](log_level, std::string_view text) {
            if (text.find("three lines") != std::string_view::npos) ++lines;
        },
        log_level::debug);
    process child(log_three_lines);
    co_await run_child(child);
    const std::string text = co_await captured.all_text();
    CHECK(text.empty());
    CHECK(lines == 0);
}

CO_TEST_CASE("log: eight processes writing to one pipe tear no line", "[log][process]") {
    captured_stderr captured;
    coproc::log_to_stderr(log_level::warning);
    std::vector<process> children;
    children.reserve(8);
    std::map<std::string, std::vector<std::string>> lines;
    for (int who = 0; who < 8; ++who) {
        const std::string name = "writer " + std::to_string(who);
        children.emplace_back(coproc::process_options{.name = name}, log_numbered_lines, who);
        (co_await children.back().start()).value();
    }
    const std::string text = co_await captured.all_text();
    for (const std::string& line : lines_of(text)) {
        const std::size_t end = std::min(line.find("] "), line.size());
        lines[line.substr(0, end)].push_back(end < line.size() ? line.substr(end + 2) : "");
    }
    for (auto& child : children) (co_await child.join()).value();
    CHECK(lines.size() == 8);
    for (int who = 0; who < 8; ++who) {
        std::vector<std::string> expected;
        for (int i = 0; i < 1000; ++i) expected.push_back(numbered_line(who, i));
        CHECK((lines["[WARNING/writer " + std::to_string(who)] == expected));
    }
}
