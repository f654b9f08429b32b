// The examples print what they are said to print, and leave nobody behind.

#include "support/catch.hpp"
#include "support/command.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using coproc::testing::command;
using coproc::testing::ended_command;

std::string example(const std::string& name) {
    return std::string(COPROC_EXAMPLES_DIR) + "/" + name + "/" + name;
}

struct shown {
    ended_command ended;
    std::string pid;
};

/// Runs an example whose sleeps last `pace` times as long as in the tour.
shown show(const std::string& name, const std::string& pace) {
    command::options how;
    how.environment = {"COPROC_TOUR_PACE=" + pace};
    command run({example(name)}, how);
    shown one{{}, std::to_string(run.pid())};
    one.ended = run.finish();
    INFO(one.ended.out << one.ended.err);
    CHECK(one.ended.code == 0);
    CHECK(one.ended.left.empty());
    return one;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream from(text);
    for (std::string line; std::getline(from, line);) lines.push_back(line);
    return lines;
}

std::vector<std::string> sorted(std::vector<std::string> lines) {
    std::sort(lines.begin(), lines.end());
    return lines;
}

using texts = std::vector<std::string>;

/// Checks that `text` is five blocks, one for each argument, in any order, by processes of their
/// own whose parent is the example. In `block` the groups are name, argument, parent and pid.
void check_five_workers(const shown& one, const std::string& block) {
    const std::regex pattern(block);
    std::set<std::string> workers;
    std::set<std::string> pids;
    std::size_t matched = 0;
    const std::string& out = one.ended.out;
    INFO(out);
    for (std::sregex_iterator at(out.begin(), out.end(), pattern), end; at != end; ++at) {
        matched += static_cast<std::size_t>(at->length());
        workers.insert(at->str(1));
        pids.insert(at->str(4));
        CHECK(at->str(1) == "process " + at->str(2));
        CHECK(at->str(3) == one.pid);
    }
    CHECK(matched == out.size());
    CHECK(workers ==
          std::set<std::string>{"process 0", "process 1", "process 2", "process 3", "process 4"});
    CHECK(pids.size() == 5);
    CHECK(pids.count(one.pid) == 0);
    CHECK(one.ended.err.empty());
}

}  // namespace

TEST_CASE("examples: process_basic starts five processes, each with its argument", "[process]") {
    check_five_workers(show("process_basic", "0.05"),
                       "name: (.+), argument : (\\d)\nparent pid:(\\d+)  pid:(\\d+)\n\n");
}

TEST_CASE("examples: process_class runs five objects, each with its state", "[process]") {
    check_five_workers(show("process_class", "0.05"),
                       "Hello! name: (.+), argument: (\\d)\nparent pid: (\\d+), pid: (\\d+)\n\n");
}

TEST_CASE("examples: logging tells each process's steps in whole lines", "[process]") {
    const shown one = show("logging", "0.05");
    CHECK(sorted(lines_of(one.ended.out)) ==
          texts{"count: 0", "count: 1", "count: 2", "count: 3", "count: 4"});
    const texts log = lines_of(one.ended.err);
    const std::regex form(R"(\[(DEBUG|INFO)/(MainProcess|Process-[1-5])\] \S.*)");
    for (const auto& line : log) {
        INFO(line);
        CHECK(std::regex_match(line, form));
    }
    const auto place = [&](const std::string& beginning) {
        INFO(beginning << " in\n" << one.ended.err);
        const auto found = std::find_if(log.begin(), log.end(), [&](const std::string& line) {
            return line.compare(0, beginning.size(), beginning) == 0;
        });
        REQUIRE(found != log.end());
        return found;
    };
    for (int i = 1; i <= 5; ++i) {
        const std::string name = "Process-" + std::to_string(i);
        place("[DEBUG/MainProcess] started process " + name + " with pid ");
        const auto called = place("[INFO/" + name + "] child process calling its target");
        const auto left = place("[INFO/" + name + "] process exiting with exitcode 0");
        const auto seen = place("[INFO/MainProcess] process " + name + " ended with exitcode 0");
        CHECK(called < left);
        CHECK(left < seen);
    }
}

// The scenes with sleeps in them are races by design: two of them need much of the tour's time.

TEST_CASE("examples: daemon is terminated when main ends", "[process][serial]") {
    const shown one = show("daemon", "0.5");
    CHECK(one.ended.out == "Start\nMain process terminated\n");
    CHECK(one.ended.err.empty());
}

TEST_CASE("examples: daemon_join waits for the daemon", "[process]") {
    const shown one = show("daemon_join", "0.05");
    CHECK(one.ended.out == "Start\nExit\nMain process terminated\n");
    CHECK(one.ended.err.empty());
}

TEST_CASE("examples: process_exit shows three processes before, between and after their ends",
          "[process][serial]") {
    const shown one = show("process_exit", "0.5");
    CHECK(one.ended.err.empty());
    std::map<std::string, std::string> pids;
    std::string out = one.ended.out;
    std::smatch match;
    const std::regex start("Start name: (\\w+), pid:(\\d+)");
    for (std::string rest = out; std::regex_search(rest, match, start); rest = match.suffix()) {
        pids[match[1]] = match[2];
    }
    CHECK(pids.size() == 3);
    CHECK(std::set{pids["good_job"], pids["fail_job"], pids["kill_job"], one.pid}.size() == 4);
    CHECK(lines_of(out) == texts{
                               "Process check : <process(good_job, initial)>, False",
                               "Start name: good_job, pid:" + pids["good_job"],
                               "Process check : <process(fail_job, initial)>, False",
                               "Start name: fail_job, pid:" + pids["fail_job"],
                               "Process check : <process(kill_job, initial)>, False",
                               "Start name: kill_job, pid:" + pids["kill_job"],
                               "process check : <process(good_job, started)> True",
                               "process check : <process(fail_job, started)> True",
                               "process check : <process(kill_job, started)> True",
                               "Exit name:good_job, pid:" + pids["good_job"],
                               "Exit name:fail_job, pid:" + pids["fail_job"],
                               "Process check : <process(good_job, stopped)> False",
                               "Process check : <process(fail_job, stopped[1])> False",
                               "Process check : <process(kill_job, started)> True",
                               "Terminate process : <process(kill_job, started)>",
                               "Process name: good_job, exit code : 0",
                               "Process name: fail_job, exit code : 1",
                               "Process name: kill_job, exit code : -15",
                               "At the end: <process(kill_job, stopped[SIGTERM])>",
                           });
}

TEST_CASE("examples: call gets the value of a function or what has become of it", "[process]") {
    const shown one = show("call", "0.05");
    const std::regex pid("process \\d+");
    CHECK(lines_of(std::regex_replace(one.ended.out, pid, "process N")) ==
          texts{"honest: 3 words",
                "throwing: call of throwing: in child process N: std::runtime_error: no words in: "
                "three plain words",
                "crashing: call of crashing: process N ended with signal SIGABRT and without an "
                "answer: the child process has failed",
                "endless: timed out", "left: 0"});
    CHECK(one.ended.err.empty());
}

TEST_CASE("examples: event makes parent and child wait for each other", "[process]") {
    const shown one = show("event", "0.05");
    CHECK(one.ended.out ==
          "[child] ready\nThe child is ready: True, has gone: False\n[child] go!\n");
    CHECK(one.ended.err.empty());
}

TEST_CASE("examples: pipe brings a child's message to its parent", "[process]") {
    const shown one = show("pipe", "0.05");
    CHECK(sorted(lines_of(one.ended.out)) ==
          texts{"Received message : Hello World", "[child] send a message to pipe : Hello World"});
    CHECK(one.ended.err.empty());
}

TEST_CASE("examples: queue brings a message from one child to another", "[process]") {
    const shown one = show("queue", "0.05");
    CHECK(sorted(lines_of(one.ended.out)) == texts{"[get_data] get queue data : Hello world",
                                                   "[set_data] set queue data : Hello world"});
    CHECK(one.ended.err.empty());
}

TEST_CASE("examples: simple_queue brings numbers there and squares back", "[process]") {
    const shown one = show("simple_queue", "0.05");
    CHECK(one.ended.out == "1\n4\n9\n16\n25\n");
    CHECK(one.ended.err.empty());
}

TEST_CASE("examples: epoll_host drives coproc by its own epoll loop", "[process]") {
    const shown one = show("epoll_host", "1");
    CHECK(sorted(lines_of(one.ended.out)) ==
          texts{"<process(Process-1, stopped)>", "<process(Process-2, stopped)>", "answer: 1",
                "answer: 16", "answer: 25", "answer: 4", "answer: 9", "the host's timer went on"});
    CHECK(one.ended.err.empty());
}

TEST_CASE("examples: asio_host answers its client although a request crashes or spins",
          "[process]") {
    const shown one = show("asio_host", "1");
    const texts lines = lines_of(one.ended.out);
    REQUIRE(lines.size() == 5);
    CHECK(lines[0] == "21: 42");
    CHECK(lines[1].find("crash: call of Process-2: process ") == 0);
    CHECK(lines[1].find(" ended with signal SIGABRT") != std::string::npos);
    CHECK(lines[2] == "spin: timed out");
    CHECK(lines[3] == "4711: 9422");
    CHECK(lines[4] == "the host's timer went on");
    CHECK(one.ended.err.empty());
}

TEST_CASE("examples: joinable_queue gives a dead worker's job to the next one", "[process]") {
    const shown one = show("joinable_queue", "0.05");
    CHECK(lines_of(one.ended.out) == texts{"[clumsy] begins washing up, and dies",
                                           "<process(clumsy, stopped[SIGKILL])>, 3 jobs are left",
                                           "[careful] does washing up", "[careful] does sweeping",
                                           "[careful] does dusting", "all is done"});
    CHECK(one.ended.err.empty());
}

// wordcount, compared with wc.

namespace {

struct sums {
    std::uint64_t lines = 0;
    std::uint64_t words = 0;
    std::uint64_t bytes = 0;

    friend bool operator==(const sums&, const sums&) = default;
    friend std::ostream& operator<<(std::ostream& out, const sums& one) {
        return out << one.lines << ' ' << one.words << ' ' << one.bytes;
    }
};

/// "  1   2   3 name"
std::pair<std::string, sums> parse(const std::string& line) {
    std::istringstream from(line);
    std::pair<std::string, sums> one;
    from >> one.second.lines >> one.second.words >> one.second.bytes >> one.first;
    INFO(line);
    REQUIRE(from);
    return one;
}

using table = std::map<std::string, sums>;

table table_of(const std::string& out) {
    table read;
    for (const auto& line : lines_of(out)) read.insert(parse(line));
    return read;
}

/// For messages of failed checks, too.
std::string text_of(const table& one) {
    std::ostringstream text;
    for (const auto& [name, sum] : one) text << sum << ' ' << name << '\n';
    return text.str();
}

/// All regular files under `root`, by extension and in total, as wc counts each of them.
table wc_table(const fs::path& root) {
    texts words{"wc", "--"};
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
        if (entry.symlink_status().type() != fs::file_type::regular) continue;
        files.push_back(entry.path());
        words.push_back(entry.path());
    }
    command::options c_locale;
    c_locale.environment = {"LC_ALL=C"};
    const auto ended = command(words, c_locale).finish();
    REQUIRE(ended.code == 0);
    const texts lines = lines_of(ended.out);
    REQUIRE(lines.size() == files.size() + 1);
    table read;
    read["total"] = parse(lines.back()).second;
    for (std::size_t i = 0; i < files.size(); ++i) {
        const sums one = parse(lines[i]).second;
        const std::string extension = files[i].extension();
        sums& row = read[extension.empty() ? "(none)" : extension];
        row.lines += one.lines;
        row.words += one.words;
        row.bytes += one.bytes;
    }
    return read;
}

/// The last line that wc prints for all regular files under `root`.
std::string wc_total(const fs::path& root) {
    const auto ended = command({"sh", "-c",
                                "find \"$1\" -type f -print0 | LC_ALL=C wc --files0-from=- | tail "
                                "-n 1",
                                "sh", root})
                           .finish();
    REQUIRE(ended.code == 0);
    return ended.out;
}

/// A folder for a test's files, which nobody else may look into unless opened.
class made_tree {
 public:
    made_tree() {
        std::string name = fs::temp_directory_path() / "coproc-XXXXXX";
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        root_ = fs::canonical(name);
        fs::permissions(root_, fs::perms(0755));
    }
    made_tree(const made_tree&) = delete;
    made_tree& operator=(const made_tree&) = delete;
    ~made_tree() {
        std::error_code ignored;
        fs::remove_all(root_, ignored);
    }

    const fs::path& root() const { return root_; }
    std::string path(const std::string& name) const { return root_ / name; }

    void write(const std::string& name, const std::string& content) const {
        fs::create_directories((root_ / name).parent_path());
        std::ofstream(root_ / name, std::ios::binary) << content;
    }
    /// A file with which no worker is ever done: 256 GiB of nothing.
    void write_endless(const std::string& name) const {
        write(name, "");
        fs::resize_file(root_ / name, std::uintmax_t{1} << 38);
    }

 private:
    fs::path root_;
};

std::string repeated(const std::string& text, std::size_t count) {
    std::string made;
    for (std::size_t i = 0; i < count; ++i) made += text;
    return made;
}

/// Everything that a counter of words can get wrong.
void fill(const made_tree& tree) {
    std::string all_bytes;
    for (int first = 0; first < 256; ++first) {
        for (int second = 0; second < 256; ++second) {
            all_bytes += static_cast<char>(first);
            all_bytes += static_cast<char>(second);
        }
    }
    tree.write("empty.txt", "");
    tree.write("no_newline.txt", "the last line has no end");
    tree.write("only_newlines.txt", "\n\n\n");
    tree.write("blanks.txt", "a\tb\vc\fd\re f\n \t\v\f\r\n");
    tree.write("pairs.bin", all_bytes);
    tree.write("high.bin",
               "\xc3\xa4\xc3\xb6 a\xff"
               "b \x80\x80\n\x7f \x01 x\x7f\n");
    tree.write("nothing_printable", "\x01\x02 \x7f\xff\n\xa0\n");
    tree.write("nul.bin", std::string("a\0b \0 \0c\0", 9));
    // Words, blanks and neutral bytes across the borders of every likely buffer.
    tree.write("long_word.txt", std::string(3'000'001, 'w'));
    tree.write("neutral.dat", "x" + std::string(1 << 20, '\xff') + "y " + std::string(70000, ' ') +
                                  std::string(70000, '\x01') + "z");
    tree.write("steps.dat", repeated("abc \xe9\n", 333'333));
    tree.write("deep/er/and/deeper/file.txt", "one two\n");
    tree.write(".hidden", "a dot file has no extension\n");
    tree.write("two.dots.txt", "1\n");
    tree.write("ends with a dot.", "1 2\n");
    tree.write("a space and\na newline.txt", "1 2 3\n");
    tree.write("not \xff utf-8.txt", "4 5 6\n");
    tree.write("-j", "a name that looks like an option\n");
    for (int i = 0; i < 300; ++i) {
        tree.write("many/" + std::to_string(i) + ".c", repeated("int x;\n", std::size_t(i)));
    }
    fs::create_symlink("no_newline.txt", tree.root() / "link.txt");
    fs::create_symlink("deep", tree.root() / "link_to_folder");
    fs::create_symlink("nowhere", tree.root() / "dangling");
    fs::create_symlink(".", tree.root() / "deep/loop");
    REQUIRE(::mkfifo(tree.path("fifo.txt").c_str(), 0600) == 0);
}

texts wordcount(const texts& arguments) {
    texts words{example("wordcount")};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return words;
}

/// The worker of `program` that has `file` open, as soon as there is one; never `except`.
::pid_t worker_at(const command& program, const std::string& file, ::pid_t except = 0) {
    ::pid_t found = 0;
    coproc::testing::wait_until("a worker reads " + file, [&] {
        for (const ::pid_t one : coproc::testing::children_of(program.pid())) {
            if (one != except && coproc::testing::has_open(one, file)) found = one;
        }
        return found != 0;
    });
    return found;
}

std::size_t times(const std::string& what, const std::string& text) {
    std::size_t count = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
    return count;
}

}  // namespace

TEST_CASE("examples: wordcount counts as wc does, whatever is in the files", "[process]") {
    const made_tree tree;
    fill(tree);
    const std::string expected = text_of(wc_table(tree.root()));
    for (const texts& options : {texts{}, texts{"-j", "1"}, texts{"-j5"}}) {
        texts arguments = options;
        arguments.push_back(tree.root());
        const auto ended = command(wordcount(arguments)).finish();
        CHECK(ended.code == 0);
        CHECK(ended.err.empty());
        CHECK(ended.left.empty());
        CHECK(text_of(table_of(ended.out)) == expected);
        CHECK(parse(lines_of(ended.out).back()).first == "total");
    }
}

TEST_CASE("examples: wordcount agrees with wc on /usr/include", "[process]") {
    const std::string expected = wc_total("/usr/include");
    for (const std::string jobs : {"1", "5"}) {
        const auto ended = command(wordcount({"-j", jobs, "/usr/include"})).finish();
        CHECK(ended.code == 0);
        CHECK(ended.err.empty());
        CHECK(ended.left.empty());
        CHECK(parse(lines_of(ended.out).back()).second == parse(expected).second);
    }
}

TEST_CASE("examples: wordcount prints aligned columns, the largest extension first", "[process]") {
    const made_tree tree;
    tree.write("a.b", "1\n");
    tree.write("a.c", "1 2 3 4 5 6\n");
    tree.write("b.c", "1\n");
    tree.write("a.a", "1\n");
    const auto ended = command(wordcount({tree.root(), tree.path("a.a")})).finish();
    CHECK(ended.out == " 2  7 14 .c\n 2  2  4 .a\n 1  1  2 .b\n 5 10 20 total\n");
}

TEST_CASE("examples: wordcount names what it cannot read, counts the rest, and exits with 1",
          "[process]") {
    const made_tree tree;
    tree.write("good.txt", "one two three\n");
    tree.write("locked.txt", "not for you\n");
    tree.write("locked/file.txt", "nor this\n");
    fs::permissions(tree.path("locked.txt"), fs::perms::none);
    fs::permissions(tree.path("locked"), fs::perms::none);
    command::options how;
    how.as_nobody = true;
    const auto ended = command(wordcount({tree.path("missing"), tree.root()}), how).finish();
    fs::permissions(tree.path("locked"), fs::perms(0755));
    CHECK(ended.code == 1);
    CHECK(ended.out == " 1  3 14 .txt\n 1  3 14 total\n");
    CHECK(sorted(lines_of(ended.err)) ==
          sorted({"wordcount: " + tree.path("missing") + ": No such file or directory",
                  "wordcount: " + tree.path("locked") + ": Permission denied",
                  "wordcount: " + tree.path("locked.txt") + ": Permission denied",
                  "wordcount: files and folders not counted: 3"}));
}

TEST_CASE("examples: wordcount does not follow a symbolic link that it is given", "[process]") {
    const made_tree tree;
    tree.write("file.txt", "one\n");
    fs::create_symlink("file.txt", tree.root() / "link");
    const auto ended = command(wordcount({tree.path("link"), tree.path("file.txt")})).finish();
    CHECK(ended.code == 0);
    CHECK(ended.out == "1 1 4 .txt\n1 1 4 total\n");
    CHECK(ended.err ==
          "wordcount: " + tree.path("link") + ": neither a file nor a folder, skipped\n");
}

TEST_CASE("examples: wordcount says how it is used", "[process]") {
    const std::vector<texts> wrong = {{},
                                      {"-j"},
                                      {"-j", "2"},
                                      {"-j", "0", "/"},
                                      {"-j", "-1", "/"},
                                      {"-j", "2x", "/"},
                                      {"-j", "", "/"},
                                      {"-x", "/"}};
    for (const texts& arguments : wrong) {
        const auto ended = command(wordcount(arguments)).finish();
        CHECK(ended.code == 2);
        CHECK(ended.out.empty());
        CHECK(ended.err == "usage: wordcount [-j N] PATH...\n");
    }
}

TEST_CASE("examples: wordcount replaces a worker that is killed, and the totals are right",
          "[process]") {
    const std::string jobs = GENERATE("1", "5");
    const made_tree tree;
    fill(tree);
    tree.write_endless("deep/big.txt");
    command program(wordcount({"-j", jobs, tree.root()}));
    const ::pid_t worker = worker_at(program, tree.path("deep/big.txt"));
    // The next worker shall be able to finish it, and must not see it earlier.
    program.send_signal(SIGSTOP);
    coproc::testing::kill_and_wait(worker);
    tree.write("deep/big.txt", repeated("many words in a line\n", 100'000));
    program.send_signal(SIGCONT);
    const auto ended = program.finish();
    CHECK(ended.code == 0);
    CHECK(text_of(table_of(ended.out)) == text_of(wc_table(tree.root())));
    const std::regex report("wordcount: worker [1-5] \\(pid " + std::to_string(worker) +
                            "\\): ended by signal SIGKILL\n");
    INFO(ended.err);
    CHECK(std::regex_match(ended.err, report));
    CHECK(ended.left.empty());
}

TEST_CASE("examples: wordcount gives up a file that has killed three workers", "[process]") {
    const std::string jobs = GENERATE("1", "5");
    const made_tree tree;
    fill(tree);
    const std::string expected = text_of(wc_table(tree.root()));
    tree.write_endless("big.txt");
    command program(wordcount({"-j", jobs, tree.root()}));
    ::pid_t worker = 0;
    for (int i = 0; i < 3; ++i) {
        worker = worker_at(program, tree.path("big.txt"), worker);
        coproc::testing::kill_and_wait(worker);
    }
    const auto ended = program.finish();
    CHECK(ended.code == 1);
    CHECK(text_of(table_of(ended.out)) == expected);
    INFO(ended.err);
    CHECK(times("ended by signal SIGKILL\n", ended.err) == 3);
    CHECK(times("wordcount: " + tree.path("big.txt") + ": given up", ended.err) == 1);
    CHECK(times("wordcount: files and folders not counted: 1\n", ended.err) == 1);
    CHECK(lines_of(ended.err).size() == 5);
    CHECK(ended.left.empty());
}

TEST_CASE("examples: wordcount ends with all its workers when it is interrupted", "[process]") {
    const int signal = GENERATE(SIGINT, SIGTERM);
    const made_tree tree;
    tree.write_endless("big.txt");
    command program(wordcount({"-j", "3", tree.root(), tree.root(), tree.root()}));
    worker_at(program, tree.path("big.txt"));
    program.send_signal(signal);
    const auto ended = program.finish();
    CHECK(ended.code == -signal);
    CHECK(ended.out.empty());
    CHECK(ended.err.empty());
    CHECK(ended.left.empty());
}

TEST_CASE("examples: wordcount's workers end when it is killed", "[process]") {
    const made_tree tree;
    tree.write_endless("big.txt");
    command program(wordcount({"-j", "3", tree.root(), tree.root(), tree.root()}));
    worker_at(program, tree.path("big.txt"));
    program.send_signal(SIGKILL);
    const auto ended = program.finish();  // its streams end when the last worker has ended
    CHECK(ended.code == -SIGKILL);
    CHECK(ended.out.empty());
}

TEST_CASE("examples: wordcount shows on a terminal how far it is, and obeys Ctrl-C", "[process]") {
    const made_tree tree;
    tree.write_endless("big.txt");
    tree.write("small.txt", "one two three\n");
    command::options how;
    how.on_terminal = true;
    command program(wordcount({tree.path("small.txt"), tree.path("big.txt")}), how);
    worker_at(program, tree.path("big.txt"));
    program.wait_for_error("\r\x1b[K1 files, 0 MB");
    program.type("\x03");
    const auto ended = program.finish();
    CHECK(ended.code == -SIGINT);
    CHECK(ended.out.empty());
    const std::string cleared = "\r\x1b[K";
    INFO(ended.err);
    REQUIRE(ended.err.size() > cleared.size());
    CHECK(ended.err.substr(ended.err.size() - cleared.size()) == cleared);
    CHECK(ended.left.empty());
}
