// wordcount [-j N] PATH...
//
// Lines, words and bytes of files and of all files in folders, for each file name extension and in
// total, as `LC_ALL=C wc` counts them. N processes count (as many as there are processors); this
// one walks the folders, keeps each of them supplied with a few hundred kilobytes of work, and adds
// up. A worker that is killed is replaced, and what it had not finished is done again.

#include <coproc/coproc.hpp>

#include "wordcount_files.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

// What travels: files to a worker, and for each batch one answer.

struct batch {
    std::vector<std::string> files;
    std::uint64_t cost = 0;
    int deaths = 0;  // of workers that were at it
};

using answer = std::vector<counts>;  // of the files of a batch, in their order

// The worker.

/// Runs in a process of its own, until the other end of the pipe is closed.
coproc::task<coproc::result<void>> worker(coproc::connection work) {
    std::vector<unsigned char> buffer(256 * 1024);
    for (;;) {
        const auto next = co_await work.recv<batch>();
        if (!next && next.error() == coproc::errc::end_of_stream) co_return coproc::success();
        if (!next) co_return next.error();
        answer counted;
        for (const auto& file : next.value().files) counted.push_back(count_file(file, buffer));
        COPROC_CO_TRY(co_await work.send(counted));
    }
}

// The parent.

/// On a terminal, a line that shows how far we are.
const bool has_terminal = ::isatty(STDERR_FILENO) == 1;

void clear_progress() {
    if (has_terminal) std::fputs("\r\x1b[K", stderr);
}

void say(const std::string& what, const std::string& why) {
    clear_progress();
    std::fprintf(stderr, "wordcount: %s: %s\n", what.c_str(), why.c_str());
}

/// What is to be done, and what has been.
class project {
 public:
    explicit project(std::span<char* const> paths) : files_(paths) {}

    /// Adds to what a worker has been given as much as keeps it busy while its answers travel.
    /// False if that is nothing at all.
    bool supply(std::deque<batch>& given) {
        std::uint64_t cost = 0;
        for (const batch& one : given) cost += one.cost;
        while (cost < window) {
            std::optional<batch> more = next();
            if (!more) break;
            cost += more->cost;
            given.push_back(std::move(*more));
        }
        return !given.empty();
    }

    void add(const batch& done, const answer& counted) {
        for (std::size_t i = 0; i < counted.size(); ++i) {
            const std::filesystem::path file = done.files[i];
            if (counted[i].error != 0) fail(file, std::strerror(counted[i].error));
            by_extension_[file.extension()] += counted[i];
            total_ += counted[i];
        }
        files_done_ += counted.size();
    }

    /// A worker has died at the first of these. Its files are tried one by one, to find the one
    /// that kills; which is given up after its third worker.
    void take_back(std::deque<batch>& unfinished) {
        const batch suspect = std::move(unfinished.front());
        unfinished.pop_front();
        backlog_.insert(backlog_.end(), unfinished.begin(), unfinished.end());
        unfinished.clear();
        const int deaths = suspect.deaths + 1;
        for (const auto& file : suspect.files) {
            if (deaths == 3) {
                fail(file, "given up, three workers have died at it");
            } else {
                backlog_.push_back({{file}, suspect.cost / suspect.files.size(), deaths});
            }
        }
    }

    int failures() const { return failures_; }
    std::uint64_t files_done() const { return files_done_; }
    const counts& total() const { return total_; }
    const std::map<std::string, counts>& by_extension() const { return by_extension_; }

 private:
    static constexpr std::uint64_t file_cost = 16 * 1024;  // opening one, in bytes read meanwhile
    static constexpr std::uint64_t batch_cost = 512 * 1024;
    static constexpr std::uint64_t window = 2 * batch_cost;

    std::optional<batch> next() {
        batch made;
        if (!backlog_.empty()) {
            made = std::move(backlog_.front());
            backlog_.pop_front();
            return made;
        }
        while (made.cost < batch_cost) {
            std::optional<file_walk::found> file = files_.next();
            if (!file) break;
            if (file->error) {
                fail(file->path, file->error.message());
            } else {
                made.cost += file_cost + file->size;
                made.files.push_back(std::move(file->path));
            }
        }
        return made.files.empty() ? std::nullopt : std::optional(std::move(made));
    }

    void fail(const std::string& what, const std::string& why) {
        say(what, why);
        ++failures_;
    }

    file_walk files_;
    std::deque<batch> backlog_;
    std::map<std::string, counts> by_extension_;
    counts total_;
    std::uint64_t files_done_ = 0;
    int failures_ = 0;
};

/// Until there is nothing more to do, or the worker is gone.
coproc::task<coproc::result<void>> talk(coproc::connection& to, project& work,
                                        std::deque<batch>& given) {
    std::size_t sent = 0;
    while (work.supply(given)) {
        for (; sent < given.size(); ++sent) {
            COPROC_CO_TRY(co_await to.send(given[sent]));
        }
        COPROC_CO_TRY(const auto counted, co_await to.recv<answer>());
        work.add(given.front(), counted);
        given.pop_front();
        --sent;
    }
    co_return coproc::success();
}

/// Starts a worker, and another when it dies before the work is done.
coproc::task<coproc::result<void>> employ(project& work, std::string name) {
    std::deque<batch> given;
    while (work.supply(given)) {
        COPROC_CO_TRY(auto ends, coproc::pipe());
        coproc::process p({.name = name, .kill_on_drop = true}, worker, std::move(ends.second));
        COPROC_CO_TRY(co_await p.start());

        const auto talked = co_await talk(ends.first, work, given);
        if (!talked && talked.error() == coproc::errc::canceled) co_return talked;
        ends.first.close();
        COPROC_CO_TRY(const auto status, co_await p.join());
        if (!status.success()) {
            say(name + " (pid " + std::to_string(p.pid()) + ")", "ended by " + status.to_string());
        }
        if (!given.empty()) work.take_back(given);
    }
    co_return coproc::success();
}

coproc::task<void> show_progress(const project& work) {
    for (;;) {
        const auto slept = co_await coproc::sleep_for(100ms);
        if (!slept) break;
        std::fprintf(stderr, "\r\x1b[K%ju files, %ju MB", std::uintmax_t{work.files_done()},
                     std::uintmax_t{work.total().bytes / 1'000'000});
    }
    clear_progress();
}

coproc::task<coproc::result<void>> count_all(project& work, int jobs) {
    const auto employ_all = [&](coproc::scope& workers) -> coproc::task<coproc::result<void>> {
        for (int i = 1; i <= jobs; ++i) workers.spawn(employ(work, "worker " + std::to_string(i)));
        co_return coproc::success();
    };
    const auto count = [&](coproc::scope& s) -> coproc::task<coproc::result<void>> {
        if (has_terminal) s.spawn(show_progress(work));
        const auto counted = co_await coproc::with_scope(employ_all);
        s.cancel();
        co_return counted;
    };
    co_return co_await coproc::with_scope(count);
}

/// One line for each extension, the largest first, and the total.
bool print(const project& work) {
    using line = std::pair<std::string, counts>;
    std::vector<line> lines(work.by_extension().begin(), work.by_extension().end());
    std::ranges::sort(lines, [](const line& a, const line& b) {
        return std::tie(b.second.bytes, a.first) < std::tie(a.second.bytes, b.first);
    });
    lines.emplace_back("total", work.total());
    const int width = static_cast<int>(std::to_string(work.total().bytes).size());
    for (const auto& [name, sum] : lines) {
        std::printf("%*ju %*ju %*ju %s\n", width, std::uintmax_t{sum.lines}, width,
                    std::uintmax_t{sum.words}, width, std::uintmax_t{sum.bytes},
                    name.empty() ? "(none)" : name.c_str());
    }
    return std::fflush(stdout) == 0;
}

void say_if_skipped(const char* path) {
    using std::filesystem::file_type;
    std::error_code unknown;
    switch (std::filesystem::symlink_status(path, unknown).type()) {
        case file_type::none:
        case file_type::not_found:
        case file_type::regular:
        case file_type::directory:
            break;
        default:
            say(path, "neither a file nor a folder, skipped");
    }
}

/// 0 if it is none.
int to_number(std::string_view text) {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

coproc::task<coproc::result<int>> wordcount(int argc, char** argv) {
    int jobs = coproc::usable_cpu_count();
    ::opterr = 0;  // the usage line says it all
    for (int option; (option = ::getopt(argc, argv, "j:")) != -1;) {
        jobs = option == 'j' ? to_number(::optarg) : 0;
        if (jobs <= 0) break;
    }
    if (jobs <= 0 || ::optind == argc) {
        std::fputs("usage: wordcount [-j N] PATH...\n", stderr);
        co_return 2;
    }
    const std::span paths(argv + ::optind, argv + argc);
    std::ranges::for_each(paths, say_if_skipped);
    project work(paths);
    COPROC_CO_TRY(co_await count_all(work, jobs));
    const int failed = work.failures();
    if (failed > 0) say("files and folders not counted", std::to_string(failed));
    co_return print(work) && failed == 0 ? 0 : 1;
}

int main(int argc, char** argv) { return coproc::run(wordcount, argc, argv); }
