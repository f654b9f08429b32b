#pragma once
// A main() for benchmarks that come in sets: cases are named question/contender/argument, run
// interleaved in random order, and the medians are printed as ratios to the contender "bare".

#include <benchmark/benchmark.h>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace coproc::bench {

class ratio_reporter : public benchmark::ConsoleReporter {
 public:
    ratio_reporter() : ConsoleReporter(OO_Tabular) {}

    void ReportRuns(const std::vector<Run>& runs) override {
        ConsoleReporter::ReportRuns(runs);
        for (const Run& run : runs) {
            if (run.error_occurred || run.aggregate_name != "median") continue;
            std::string question = run.run_name.function_name;
            const std::size_t slash = question.find('/');
            const std::string contender = question.substr(slash + 1);
            question.resize(slash);
            medians_[question + (run.run_name.args.empty() ? "" : "/" + run.run_name.args)]
                    [contender] = run.GetAdjustedRealTime();
        }
    }

    void Finalize() override {
        ConsoleReporter::Finalize();
        if (medians_.empty()) return;
        std::printf("\n%-28s %-12s %s\n", "median, to bare = 1", "contender", "ratio");
        for (const auto& [question, contenders] : medians_) {
            const auto bare = contenders.find("bare");
            if (bare == contenders.end()) continue;
            for (const auto& [contender, time] : contenders) {
                std::printf("%-28s %-12s %.2f\n", question.c_str(), contender.c_str(),
                            time / bare->second);
            }
        }
    }

 private:
    std::map<std::string, std::map<std::string, double>> medians_;
};

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
    return 0;
}

}  // namespace coproc::bench
