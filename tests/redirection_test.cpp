#include <coproc/redirection.hpp>

#include <coproc/connection.hpp>
#include <coproc/process.hpp>
#include <coproc/scope.hpp>
#include <coproc/sleep.hpp>

#include "support/co_test.hpp"
#include "support/processes.hpp"
#include "words/system.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <string>

using coproc::connection;
using coproc::errc;
using coproc::process;
using coproc::process_options;
using coproc::redirection;
using coproc::result;
using coproc::start_method;
using coproc::task;
using coproc::unique_fd;
using coproc::testing::run_to_end;
namespace fs = std::filesystem;

namespace {

constexpr std::array both{start_method::forkserver, start_method::spawn};

class scratch {
 public:
    scratch() {
        std::string name = (fs::temp_directory_path() / "coproc-redirect-XXXXXX").string();
        path_ = ::mkdtemp(name.data());
    }
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;
    ~scratch() { fs::remove_all(path_); }
    std::string file(const std::string& name) const { return path_ + "/" + name; }
    std::string content(const std::string& name) const {
        std::ifstream in(file(name));
        return std::string(std::istreambuf_iterator<char>(in), {});
    }

 private:
    std::string path_;
};

// -- targets

void print() {
    std::printf("by stdio\n");
    std::fflush(stdout);
    std::cout << "by stream" << std::endl;
    std::fputs("to stderr\n", stderr);
}
void copy() {
    std::string line;
    while (std::getline(std::cin, line)) std::cout << "<" << line << ">\n";
}
void print_much(std::size_t size) {
    const std::string text(size, 'x');
    std::fputs(text.c_str(), stdout);
}
int read_all() {
    std::string text(std::istreambuf_iterator<char>(std::cin), {});
    return static_cast<int>(text.size());
}
int count_fds() {
    int count = 0;
    for ([[maybe_unused]] const auto& one : fs::directory_iterator("/proc/self/fd")) ++count;
    return count;
}

task<int> code_of(process one) { co_return (co_await run_to_end(one)).value().code(); }

/// All that comes until the other end is gone.
task<std::string> read_to_end(connection from) {
    std::string text;
    for (;;) {
        std::array<char, 1000> piece{};
        const auto count = co_await from.recv_some(std::as_writable_bytes(std::span(piece)));
        if (!count) {
            CHECK(count.error() == errc::end_of_stream);
            co_return text;
        }
        text.append(piece.data(), count.value());
    }
}

/// The calling process without its fd 0, 1 or 2, for as long as this lives.
class without_fd {
 public:
    explicit without_fd(int fd) : fd_(fd), before_(::fcntl(fd, F_DUPFD_CLOEXEC, 3)) { ::close(fd); }
    without_fd(const without_fd&) = delete;
    without_fd& operator=(const without_fd&) = delete;
    ~without_fd() {
        ::dup2(before_, fd_);
        ::close(before_);
    }

 private:
    int fd_;
    int before_;
};

}  // namespace

CO_TEST_CASE("redirection: to files, which are emptied or appended to", "[process]") {
    const scratch folder;
    const std::string out = folder.file("out");
    const std::string log = folder.file("log");
    for (const start_method method : both) {
        std::ofstream(out) << "what was there before, and is longer than what will be";
        std::ofstream(log) << "before\n";
        process p({.method = method,
                   .standard_output = redirection::write(out),
                   .standard_error = redirection::append(log)},
                  print);
        (co_await run_to_end(p)).value();
        CHECK(folder.content("out") == "by stdio\nby stream\n");
        CHECK(folder.content("log") == "before\nto stderr\n");
        fs::remove(out);
        const int code = co_await code_of(process(
            {.method = method, .standard_output = redirection::append(out)}, print_much, 3));
        CHECK(code == 0);
        CHECK(folder.content("out") == "xxx");
    }
}

CO_TEST_CASE("redirection: from a file, and stderr to where stdout leads", "[process]") {
    const scratch folder;
    std::ofstream(folder.file("in")) << "one\ntwo\n";
    for (const start_method method : both) {
        process copying({.method = method,
                         .standard_input = redirection::read(folder.file("in")),
                         .standard_output = redirection::write(folder.file("out"))},
                        copy);
        (co_await run_to_end(copying)).value();
        CHECK(folder.content("out") == "<one>\n<two>\n");
        process printing({.method = method,
                          .standard_output = redirection::write(folder.file("out")),
                          .standard_error = redirection::to_output()},
                         print);
        (co_await run_to_end(printing)).value();
        CHECK(folder.content("out") == "by stdio\nby stream\nto stderr\n");
    }
}

CO_TEST_CASE("redirection: /dev/null has nothing to say and takes everything", "[process]") {
    for (const start_method method : both) {
        const int nothing = co_await code_of(
            process({.method = method, .standard_input = redirection::null()}, read_all));
        CHECK(nothing == 0);
        const int printed = co_await code_of(
            process({.method = method,
                     .standard_output = redirection::null(),
                     .standard_error = redirection::null()},
                    [] { return std::puts("gone") >= 0 && std::fputs("gone\n", stderr) >= 0; }));
        CHECK(printed == 1);
    }
}

CO_TEST_CASE("redirection: to a connection, which carries bare bytes until the child has ended",
             "[process]") {
    for (const start_method method : both) {
        auto [ours, theirs] = coproc::pipe(coproc::simplex).value();
        process p({.method = method,
                   .standard_output = redirection::to(theirs),
                   .standard_error = redirection::to_output()},
                  print);
        theirs.close();  // before the start: the process has a duplicate
        (co_await p.start()).value();
        const std::string text = co_await read_to_end(std::move(ours));
        CHECK(text == "by stdio\nby stream\nto stderr\n");
        (co_await p.join()).value();
    }
}

CO_TEST_CASE("redirection: more output than a socket has room for arrives, all of it",
             "[process]") {
    constexpr std::size_t size = 3'000'000;
    auto [ours, theirs] = coproc::pipe().value();
    process p({.standard_output = redirection::to(theirs)}, print_much, size);
    (co_await p.start()).value();
    theirs.close();
    (co_await coproc::sleep_for(std::chrono::milliseconds(20))).value();  // the socket fills up
    const std::string text = co_await read_to_end(std::move(ours));
    CHECK(text == std::string(size, 'x'));
    const auto status = (co_await p.join()).value();
    CHECK(status.success());
}

CO_TEST_CASE("redirection: stdin from a connection ends when that is closed", "[process]") {
    for (const start_method method : both) {
        auto [to_child, input] = coproc::pipe().value();
        auto [from_child, output] = coproc::pipe().value();
        process p({.method = method,
                   .standard_input = redirection::to(input),
                   .standard_output = redirection::to(output)},
                  copy);
        input.close();
        output.close();
        (co_await p.start()).value();
        const std::string_view text = "hello\nworld\n";
        const auto sent = co_await to_child.send_some(std::as_bytes(std::span(text)));
        CHECK(sent.value() == text.size());
        to_child.close();
        const std::string answer = co_await read_to_end(std::move(from_child));
        CHECK(answer == "<hello>\n<world>\n");
        (co_await p.join()).value();
    }
}

CO_TEST_CASE("redirection: to an fd, whatever its number, which stays the caller's", "[process]") {
    const scratch folder;
    for (const start_method method : both) {
        const unique_fd file(
            ::open(folder.file("out").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        std::optional<process> p;
        p.emplace(process_options{.method = method,
                                  .standard_output = redirection::to(file.get()),
                                  .standard_error = redirection::to(file.get())},
                  print);
        (co_await run_to_end(*p)).value();
        CHECK(folder.content("out") == "by stdio\nby stream\nto stderr\n");
        CHECK(::fcntl(file.get(), F_GETFD) == FD_CLOEXEC);

        // Its own stdout as its stderr, and the other way round.
        const unique_fd other(
            ::open(folder.file("err").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        std::fflush(stdout);
        const unique_fd out_before(::fcntl(1, F_DUPFD_CLOEXEC, 3));
        const unique_fd err_before(::fcntl(2, F_DUPFD_CLOEXEC, 3));
        ::ftruncate(file.get(), 0) == 0 ? ::dup2(file.get(), 1) : -1;
        ::dup2(other.get(), 2);
        const int code = co_await code_of(process({.method = method,
                                                   .standard_output = redirection::to(2),
                                                   .standard_error = redirection::to(1)},
                                                  print));
        ::dup2(out_before.get(), 1);
        ::dup2(err_before.get(), 2);
        CHECK(code == 0);
        CHECK(folder.content("err") == "by stdio\nby stream\n");
        CHECK(folder.content("out").find("to stderr\n") != std::string::npos);
    }
}

CO_TEST_CASE("redirection: a parent that has closed its own streams can give its child some",
             "[process]") {
    const scratch folder;
    std::ofstream(folder.file("in")) << "12345";
    for (const start_method method : both) {
        std::optional<without_fd> no_stdin(0);
        const int nothing = co_await code_of(process({.method = method}, read_all));
        const int five = co_await code_of(process(
            {.method = method, .standard_input = redirection::read(folder.file("in"))}, read_all));
        no_stdin.reset();
        CHECK(nothing == 0);
        CHECK(five == 5);
        std::fflush(stdout);
        std::optional<without_fd> no_stdout(1);
        const int code = co_await code_of(
            process({.method = method, .standard_output = redirection::write(folder.file("out"))},
                    print_much, 4));
        no_stdout.reset();
        CHECK(code == 0);
        CHECK(folder.content("out") == "xxxx");
    }
}

CO_TEST_CASE("redirection: what cannot be opened fails the start, which can be repeated",
             "[process]") {
    const scratch folder;
    struct refused {
        redirection where;
        std::errc why;
    };
    const std::string missing = folder.file("missing");
    const std::string below_missing = folder.file("missing/file");
    const std::string fifo = folder.file("fifo");
    const std::string directory = folder.file("");
    ::mkfifo(fifo.c_str(), 0600);
    for (const refused& one :
         {refused{redirection::read(missing), std::errc::no_such_file_or_directory},
          refused{redirection::write(below_missing), std::errc::no_such_file_or_directory},
          refused{redirection::append(directory), std::errc::is_a_directory},
          refused{redirection::write(fifo), std::errc::no_such_device_or_address},
          refused{redirection::to(12345), std::errc::bad_file_descriptor},
          refused{redirection::to(-1), std::errc::bad_file_descriptor}}) {
        process p({.standard_error = one.where}, print);
        const auto started = co_await p.start();
        REQUIRE_FALSE(started.has_value());
        CAPTURE(started.error().message());
        CHECK(started.error() == one.why);
        CHECK(p.to_string().find("initial") != std::string::npos);
    }
    connection closed;
    process no_connection({.standard_output = redirection::to(closed)}, print);
    const auto refused_start = co_await no_connection.start();
    CHECK(refused_start.error() == errc::closed);

    process later({.standard_input = redirection::read(missing)}, read_all);
    const auto too_early = co_await later.start();
    CHECK(too_early.error() == std::errc::no_such_file_or_directory);
    CHECK(too_early.error().message().find("standard_input " + missing) != std::string::npos);
    std::ofstream(missing) << "here";
    const auto status = (co_await run_to_end(later)).value();
    CHECK(status.code() == 4);
}

CO_TEST_CASE("redirection: a child has no fd more than without, nor the parent after the start",
             "[process]") {
    const scratch folder;
    for (const start_method method : both) {
        const int plain = co_await code_of(process({.method = method}, count_fds));
        auto [ours, theirs] = coproc::pipe().value();
        const int before = count_fds();
        process p({.method = method,
                   .working_directory = "/",
                   .standard_input = redirection::null(),
                   .standard_output = redirection::to(theirs),
                   .standard_error = redirection::write(folder.file("err"))},
                  count_fds);
        CHECK(count_fds() == before + 1);
        const auto status = (co_await run_to_end(p)).value();
        CHECK(status.code() == plain);
        p.close().value();
        CHECK(count_fds() == before);
    }
    const int before = count_fds();
    process never({.standard_output = redirection::to(1)}, print);
    CHECK(count_fds() == before + 1);
    never.close().value();
    CHECK(count_fds() == before);
}

CO_TEST_CASE("connection: bare bytes come as they are, and messages do not mix with them") {
    auto [ours, theirs] = coproc::pipe().value();
    std::array<std::byte, 4> into{};
    const auto none = co_await ours.recv_some({});
    CHECK(none.value() == 0);
    const std::string_view text = "bare bytes";
    const auto sent = co_await theirs.send_some(std::as_bytes(std::span(text)));
    CHECK(sent.value() == text.size());
    const auto first = co_await ours.recv_some(into);
    CHECK(first.value() == 4);
    const auto second = co_await ours.recv_some(into);
    CHECK(second.value() == 4);
    const auto third = co_await ours.recv_some(into);
    CHECK(third.value() == 2);
    theirs.close();
    const auto end = co_await ours.recv_some(into);
    CHECK(end.error() == errc::end_of_stream);
    const auto gone = co_await ours.send_some(into);
    CHECK(gone.error() == errc::end_of_stream);
    auto [receiving, sending] = coproc::pipe(coproc::simplex).value();
    const auto wrong_way = co_await receiving.send_some(into);
    CHECK(wrong_way.error() == errc::not_supported);
    const auto wrong_end = co_await sending.recv_some(into);
    CHECK(wrong_end.error() == errc::not_supported);
    receiving.close();
    const auto closed = co_await receiving.recv_some(into);
    CHECK(closed.error() == errc::closed);
}
