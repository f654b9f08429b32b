#pragma once
// start_join of process_bench in other languages, which have no function to start, only a program:
// `node` is child_process.fork() of a script, with its channel, until its exit; `go` is os/exec of
// itself. As there, the parent has so many megabytes and fds.

#include "workers.hpp"

#include <initializer_list>

namespace coproc::bench {

/// The parents of all contenders: more memory, or more fds. 2 GB are only for some.
inline void add_parents(benchmark::internal::Benchmark* one) {
    one->Args({10, 0})->Args({500, 0});
    for (const std::int64_t fds : {100, 1000, 10'000}) one->Args({10, fds});
    one->Unit(benchmark::kMicrosecond);
}

inline void add_start_peer(const std::string& contender, const peer& one, const std::string& script,
                           int count) {
    if (!has_peer(one)) return;
    const auto measure = [=](benchmark::State& state) {
        const std::string arguments = script + " start " + std::to_string(state.range(0)) + ' ' +
                                      std::to_string(state.range(1)) + ' ' + std::to_string(count);
        for (auto turn : state) {
            const outcome measured = run_peer(one, arguments);
            if (measured.failure != nullptr) state.SkipWithError(measured.failure);
            state.SetIterationTime(measured.seconds);
        }
    };
    auto* const made = benchmark::RegisterBenchmark(("start_join/" + contender).c_str(), measure);
    add_parents(made);
    made->Args({2000, 0})->Iterations(1)->UseManualTime();
}

inline void add_start_peers() {
    add_start_peer("go", go, "", 20);
    add_start_peer("node", node, "node_peer.js", 5);
}

}  // namespace coproc::bench
