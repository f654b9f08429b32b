// What memory does a child have that waits?
//
// idle_child/CONTENDER: not a time but `bytes`: the memory that is a child's own, and its share of
// what it has in common with others, by the kernel's reckoning (PSS). The mean of ten children of a
// parent that has touched 10 MB. `coproc_spawn` executes the program anew; py_… are Python's.

#include <coproc/connection.hpp>
#include <coproc/process.hpp>
#include <coproc/run.hpp>
#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>

#include "ratios.hpp"
#include "workers.hpp"

#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int children_alive = 10;
constexpr std::size_t megabytes = 10;

coproc::task<void> say_and_idle(coproc::connection ready) {
    (co_await ready.send('r')).value();
    (void)co_await coproc::sleep_for(std::chrono::hours(24));
}

double pss_of(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
    std::string word;
    while (word != "Pss:" && file >> word) continue;
    double kib = 0;
    coproc::bench::must(static_cast<bool>(file >> kib));
    return kib * 1024;
}

coproc::task<double> mean_pss(coproc::start_method method) {
    std::vector<coproc::process> children;
    for (int i = 0; i < children_alive; ++i) {
        auto [ours, theirs] = coproc::pipe().value();
        const coproc::process_options options{.method = method};
        auto& child = children.emplace_back(options, say_and_idle, std::move(theirs));
        (co_await child.start()).value();
        (co_await ours.recv<char>()).value();
    }
    double sum = 0;
    for (const auto& child : children) sum += pss_of(child.pid());
    for (auto& child : children) child.kill().value();
    co_return sum / children_alive;
}

void idle_child(benchmark::State& state, coproc::start_method method) {
    const std::vector<char> ballast(megabytes << 20U, 'x');
    benchmark::DoNotOptimize(ballast.data());
    auto home = coproc::runtime::create().value();
    for (auto turn : state) state.counters["bytes"] = home.run(mean_pss(method));
    home.run(home.shutdown()).value();
}

void idle_python(benchmark::State& state, const std::string& method) {
    const std::string command = "python_process.py idle_" + method + " " +
                                std::to_string(megabytes) + " 0 " + std::to_string(children_alive);
    for (auto turn : state) {
        const auto measured = coproc::bench::run_python(command);
        if (measured.failure != nullptr) state.SkipWithError(measured.failure);
        state.counters["bytes"] = measured.seconds;
    }
}

void add(const std::string& contender, const std::function<void(benchmark::State&)>& measured) {
    const std::string name = "idle_child/" + contender;
    benchmark::RegisterBenchmark(name.c_str(), measured)->Iterations(1);
}

}  // namespace

int main(int argc, char** argv) {
    using coproc::start_method;
    if (auto code = coproc::run_if_child()) return *code;
    for (const auto& [name, method] : {std::pair("coproc", start_method::forkserver),
                                       std::pair("coproc_spawn", start_method::spawn)}) {
        add(name, [method](benchmark::State& state) { idle_child(state, method); });
    }
    if (!coproc::bench::is_short_run(argc, argv) && coproc::bench::has_python()) {
        for (const std::string method : {"fork", "forkserver", "spawn"}) {
            add("py_" + method, [method](benchmark::State& state) { idle_python(state, method); });
        }
    }
    return coproc::bench::run_all(argc, argv);
}
