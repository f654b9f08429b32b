// How long does a whole program take that counts the words of a tree of files in N processes?
//
// wordcount/CONTENDER/N: the tree is /usr/include, or COPROC_BENCH_TREE. `coproc` is the example
// tests/examples/wordcount with -j N, from its start to its end. py_Pool and py_JoinableQueue are
// Python programs for the same (peers/python_wordcount.py): in a Pool, in chunks of files, and from
// a queue, one file at a time, as the example does. They do not name extensions, nor replace a
// worker that dies; they count whole files at once by bytes.count and bytes.split, in C.
// `bare` is N forked processes without a word between them: each walks the whole tree, and counts
// every Nth file with the example's function. Lines, words and bytes must be those of a count here,
// which also has the files in memory.

#include "../tests/examples/wordcount_files.hpp"
#include "ratios.hpp"
#include "workers.hpp"

#include <array>
#include <cinttypes>

namespace {

using namespace coproc::bench;

constexpr std::uint64_t most_workers = 4;

bool operator==(const counts& a, const counts& b) {
    return a.lines == b.lines && a.words == b.words && a.bytes == b.bytes && a.error == b.error;
}

/// Every `step`th file of the tree, from the `first` on.
counts count_part(std::string tree, std::uint64_t first, std::uint64_t step) {
    std::vector<unsigned char> buffer(256 * 1024);
    char* const path = tree.data();
    file_walk files({&path, 1});
    counts sum;
    for (std::uint64_t number = 0; const auto file = files.next(); ++number) {
        if (file->error) sum.error = file->error.value();
        if (number % step != first || file->error) continue;
        const counts one = count_file(file->path, buffer);
        if (one.error != 0) sum.error = one.error;
        sum += one;
    }
    return sum;
}

/// Whoever asks first brings the files into memory.
const counts& right_count(const std::string& tree) {
    static const counts right = count_part(tree, 0, 1);
    return right;
}

outcome bare(const std::string& tree, std::uint64_t workers) {
    const forked_memory<std::array<counts, most_workers>> parts;
    outcome measured = run_forked(
        workers, [&](std::uint64_t index) { (*parts)[index] = count_part(tree, index, workers); });
    counts sum;
    for (const counts& part : *parts) {
        sum += part;
        if (part.error != 0) measured.failure = "a file cannot be read";
    }
    if (!(sum == right_count(tree))) measured.failure = "a wrong count";
    return measured;
}

/// A program that prints the total in its last line.
outcome run_program(const std::string& command, const std::string& tree) {
    const std::string whole = "exec timeout 60 " + command + " '" + tree + "' 2>&1";
    const std::int64_t begin = now_ns();
    std::FILE* const output = ::popen(whole.c_str(), "r");
    if (output == nullptr) return {0, "popen"};
    std::array<char, 4096> line{};
    while (std::fgets(line.data(), line.size(), output) != nullptr) continue;
    const bool has_ended_well = ::pclose(output) == 0;
    const outcome measured{1e-9 * static_cast<double>(now_ns() - begin)};
    counts sum;
    const int found = std::sscanf(line.data(), "%" SCNu64 " %" SCNu64 " %" SCNu64 " total",
                                  &sum.lines, &sum.words, &sum.bytes);
    if (has_ended_well && found == 3 && sum == right_count(tree)) return measured;
    std::fprintf(stderr, "%s: %s", whole.c_str(), line.data());
    return {0, has_ended_well ? "a wrong count" : "a program failed"};
}

void add(const std::string& contender, const std::string& tree, std::uint64_t workers, auto run) {
    const auto measure = [=]() -> outcome {
        const counts& right = right_count(tree);
        if (right.error != 0 || right.bytes == 0) return {0, "the tree cannot be counted"};
        return run();
    };
    add_case("wordcount/" + contender, workers, measure)->Unit(benchmark::kMillisecond);
}

std::string tree_of(bool is_short) {
    if (is_short) return COPROC_BENCH_PEERS "/../../include";
    const char* const wanted = std::getenv("COPROC_BENCH_TREE");
    return wanted == nullptr ? "/usr/include" : wanted;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string tree = tree_of(is_short_run(argc, argv));
    const std::string script =
        std::string(python.command) + " '" COPROC_BENCH_PEERS "/python_wordcount.py' ";
    const bool with_python = has_python();
    for (std::uint64_t workers = 1; workers <= most_workers; workers *= 2) {
        const auto program = [=](const std::string& command) {
            return [=] { return run_program(command + std::to_string(workers), tree); };
        };
        add("bare", tree, workers, [=] { return bare(tree, workers); });
        add("coproc", tree, workers, program("'" COPROC_BENCH_WORDCOUNT "' -j "));
        if (!with_python) continue;
        add("py_JoinableQueue", tree, workers, program(script + "JoinableQueue "));
        add("py_Pool", tree, workers, program(script + "Pool "));
    }
    return run_all(argc, argv);
}
