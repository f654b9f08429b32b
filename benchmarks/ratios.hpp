#pragma once
// A main() for benchmarks that come in sets: cases are named question/contender/argument, run
// interleaved in random order, and the medians are printed with their spread, and as ratios to the
// contenders "bare" and "coproc". A wrong result is a failed run.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace coproc::bench {

class ratio_reporter : public benchmark::ConsoleReporter {
 public:
    ratio_reporter() : ConsoleReporter(OO_Tabular) {}

    void ReportRuns(const std::vector<Run>& runs) override {
        ConsoleReporter::ReportRuns(runs);
        for (const Run& run : runs) {
            failed_ = failed_ || run.error_occurred;
            if (run.error_occurred) continue;
            std::string question = run.run_name.function_name;
            const std::size_t slash = question.find('/');
            const std::string contender = question.substr(slash + 1);
            question.resize(slash);
            figures& found =
                questions_[question + (run.run_name.args.empty() ? "" : "/" + run.run_name.args)]
                          [contender];
            if (run.aggregate_name == "median") found.median = run.GetAdjustedRealTime();
            if (run.aggregate_name == "cv") found.spread = run.real_accumulated_time;
        }
    }

    void Finalize() override {
        ConsoleReporter::Finalize();
        std::printf("\n%-24s %-16s %10s %10s %8s\n", "medians", "contender", "to bare", "to coproc",
                    "spread");
        for (const auto& [question, contenders] : questions_) {
            for (const auto& [contender, found] : contenders) {
                if (found.median == 0) continue;  // run only once
                std::printf("%-24s %-16s %10s %10s %7.0f%%\n", question.c_str(), contender.c_str(),
                            ratio(found, contenders, "bare").c_str(),
                            ratio(found, contenders, "coproc").c_str(), 100 * found.spread);
            }
        }
    }

    bool failed() const noexcept { return failed_; }

 private:
    struct figures {
        double median = 0;
        double spread = 0;
    };
    using set = std::map<std::string, figures>;

    static std::string ratio(const figures& of, const set& contenders, const char* to) {
        const auto one = contenders.find(to);
        if (one == contenders.end()) return "-";
        std::array<char, 32> text;
        std::snprintf(text.data(), text.size(), "%.2f", of.median / one->second.median);
        return text.data();
    }

    std::map<std::string, set> questions_;
    bool failed_ = false;
};

/// Whether the arguments ask for the shortest run there is, for benchmarks with counts of their
/// own.
inline bool is_short_run(int argc, char** argv) {
    const auto asks = [](const char* text) {
        return std::string_view(text) == "--benchmark_min_time=0.001";
    };
    return std::any_of(argv, argv + argc, asks);
}

/// Interleaved, nine times, unless the arguments say otherwise.
inline int run_all(int argc, char** argv) {
    std::vector<std::string> texts(argv, argv + argc);
    texts.insert(texts.begin() + 1,
                 {"--benchmark_enable_random_interleaving=true", "--benchmark_repetitions=9",
                  "--benchmark_report_aggregates_only=true", "--benchmark_min_time=0.05"});
    std::vector<char*> arguments;
    for (std::string& text : texts) arguments.push_back(text.data());
    int count = static_cast<int>(arguments.size());
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
    ratio_reporter reporter;
    benchmark::RunSpecifiedBenchmarks(&reporter);
    benchmark::Shutdown();
    return reporter.failed() ? 1 : 0;
}

}  // namespace coproc::bench
