#pragma once
// The round trips of pipe_bench in other libraries and languages.

#include "flow.hpp"

namespace coproc::bench {

outcome asio_trips(const flow& what);  // pipe_bench_asio.cpp

/// So many that the start of the child does not count.
inline flow trips_of(std::uint64_t size, bool is_short) {
    const std::uint64_t count = size <= 1024 ? 4000 : size <= 64 * 1024 ? 1000 : 100;
    return {1, 1, size, is_short ? 10 : count};
}

template <class Run>
void add_trips(const std::string& contender, bool is_short, Run run) {
    for (const std::uint64_t size :
         {std::uint64_t{64}, std::uint64_t{64} << 10U, std::uint64_t{1} << 20U}) {
        const flow what = trips_of(size, is_short);
        add_case("round_trip/" + contender, size, [=] {
            return run(what);
        })->Unit(benchmark::kMicrosecond);
    }
}

inline void add_script_trips(const std::string& contender, bool is_short, const peer& one,
                             const std::string& script) {
    if (!has_peer(one)) return;
    add_trips(contender, is_short, [=](const flow& what) {
        return run_peer(
            one, script + " trip " + std::to_string(what.size) + ' ' + std::to_string(what.count));
    });
}

inline void add_pipe_peers(bool is_short) {
    add_trips("asio", is_short, asio_trips);
    add_script_trips("go", is_short, go, "");
    add_script_trips("node", is_short, node, "node_peer.js");
    add_script_trips("py_Pipe", is_short, python, "python_pipe.py");
    add_script_trips("py_uvloop", is_short, uvloop, "python_uvloop.py");
}

}  // namespace coproc::bench
