// wordcount [-j N] PATH...
//
// Lines, words and bytes of files and of all files in folders, for each file name extension and in
// total, as `LC_ALL=C wc` counts them. N processes count (as many as there are processors); this
// one walks the folders and adds up. The files are jobs in a joinable queue, so that those of a
// worker that is killed are counted by another one; and a worker that dies is replaced.

#include <coproc/coproc.hpp>

#include "wordcount_files.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
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

// What travels: jobs to whichever worker is free, and answers.

struct job {
    std::uint64_t number = 0;
    std::string file;
};

struct answer {
    std::uint64_t number = 0;
    std::string file;
    counts counted;
    bool given_up = false;
};

using jobs_queue = coproc::joinable_queue<job>;
using answers_queue = coproc::queue<answer>;

// The worker.

/// Runs in a process of its own, until there are no more jobs.
coproc::task<coproc::result<void>> worker(jobs_queue jobs, answers_queue answers) {
    std::vector<unsigned char> buffer(256 * 1024);
    for (;;) {
        auto next = co_await jobs.lease();
        if (!next && next.error() == coproc::errc::closed) co_return coproc::success();
        if (!next) co_return next.error();
        coproc::lease<job>& lease = next.value();
        answer found{lease.value().number, lease.value().file, {}, lease.returns() >= 3};
        if (!found.given_up) found.counted = count_file(found.file, buffer);
        COPROC_CO_TRY(co_await answers.put(found));
        // Whoever dies before this has the job done again, and answered twice.
        COPROC_CO_TRY(lease.done());
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
    static coproc::result<project> create(std::span<char* const> paths) {
        COPROC_TRY(auto jobs, jobs_queue::create({.max_size = 1000}));
        COPROC_TRY(auto answers, answers_queue::create());
        return project(paths, std::move(jobs), std::move(answers));
    }

    /// Until all files have been answered for: then the queues are closed.
    coproc::task<coproc::result<void>> hand_out() {
        while (std::optional<file_walk::found> file = files_.next()) {
            if (file->error) {
                fail(file->path, file->error.message());
                continue;
            }
            const job next{files_found_++, std::move(file->path)};
            COPROC_CO_TRY(co_await jobs_.put(next));
        }
        COPROC_CO_TRY(co_await jobs_.join());
        COPROC_CO_TRY(jobs_.close());
        COPROC_CO_TRY(answers_.close());
        co_return coproc::success();
    }

    coproc::task<coproc::result<void>> add_up() {
        for (;;) {
            const auto some = co_await answers_.get_some(100);
            if (!some && some.error() == coproc::errc::closed) co_return coproc::success();
            if (!some) co_return some.error();
            for (const answer& one : some.value()) add(one);
        }
    }

    /// Starts a worker, and another when it dies before the work is done.
    coproc::task<coproc::result<void>> employ(std::string name) {
        for (;;) {
            coproc::process p({.name = name, .kill_on_drop = true}, worker, jobs_, answers_);
            COPROC_CO_TRY(co_await p.start());
            COPROC_CO_TRY(const auto status, co_await p.join());
            if (status.success()) co_return coproc::success();
            say(name + " (pid " + std::to_string(p.pid()) + ")", "ended by " + status.to_string());
        }
    }

    int failures() const { return failures_; }
    std::uint64_t files_done() const { return files_done_; }
    const counts& total() const { return total_; }
    const std::map<std::string, counts>& by_extension() const { return by_extension_; }

 private:
    project(std::span<char* const> paths, jobs_queue jobs, answers_queue answers)
        : files_(paths), jobs_(std::move(jobs)), answers_(std::move(answers)) {}

    void add(const answer& one) {
        if (answered_.size() <= one.number) answered_.resize(2 * one.number + 1);
        if (answered_[one.number]) return;
        answered_[one.number] = true;
        ++files_done_;
        if (one.given_up) return fail(one.file, "given up, three workers have died at it");
        if (one.counted.error != 0) fail(one.file, std::strerror(one.counted.error));
        by_extension_[std::filesystem::path(one.file).extension()] += one.counted;
        total_ += one.counted;
    }

    void fail(const std::string& what, const std::string& why) {
        say(what, why);
        ++failures_;
    }

    file_walk files_;
    jobs_queue jobs_;
    answers_queue answers_;
    std::uint64_t files_found_ = 0;
    std::vector<bool> answered_;
    std::map<std::string, counts> by_extension_;
    counts total_;
    std::uint64_t files_done_ = 0;
    int failures_ = 0;
};

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
    const auto do_all = [&](coproc::scope& s) -> coproc::task<coproc::result<void>> {
        for (int i = 1; i <= jobs; ++i) s.spawn(work.employ("worker " + std::to_string(i)));
        s.spawn(work.hand_out());
        s.spawn(work.add_up());
        co_return coproc::success();
    };
    const auto count = [&](coproc::scope& s) -> coproc::task<coproc::result<void>> {
        if (has_terminal) s.spawn(show_progress(work));
        const auto counted = co_await coproc::with_scope(do_all);
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
    COPROC_CO_TRY(project work, project::create(paths));
    COPROC_CO_TRY(co_await count_all(work, jobs));
    const int failed = work.failures();
    if (failed > 0) say("files and folders not counted", std::to_string(failed));
    co_return print(work) && failed == 0 ? 0 : 1;
}

int main(int argc, char** argv) { return coproc::run(wordcount, argc, argv); }
