// What does it cost to call a function in a process of its own, and have its value back?
//
// call/CONTENDER: a fresh child for each call, which is told a number, doubles it, answers, and has
// ended. `bare` is the fork server of bare system calls (zygote.hpp); `coproc` calls by its fork
// server, `coproc_spawn` by exec, as untrusted work is called. py_ProcessPoolExecutor and py_Pool
// are a fresh executor, or pool, of one forked worker for each call, as with-statements make and
// end them. `go` executes itself, with the number as argument and the answer as output; `node`
// forks a script, and sends it the number as a message. Each answer is checked.

#include <coproc/call.hpp>
#include <coproc/run.hpp>
#include <coproc/runtime.hpp>

#include "ratios.hpp"
#include "workers.hpp"
#include "zygote.hpp"

#include <cstdlib>
#include <string>

namespace {

using namespace coproc::bench;

int twice(int number) { return 2 * number; }

coproc::task<int> call_twice(coproc::start_method method) {
    const coproc::process_options options{.method = method};
    const auto answer = co_await coproc::call(options, twice, 21);
    co_return answer.value();
}

template <class Call>
void measure(benchmark::State& state, const Call& call) {
    must(call() == 42);  // what is made once is not the question
    for (auto turn : state) {
        if (call() != 42) state.SkipWithError("a wrong answer");
    }
}

void bare(benchmark::State& state) {
    zygote server;
    measure(state, [&] { return server.run(twice, 21); });
}

template <coproc::start_method Method>
void with_coproc(benchmark::State& state) {
    auto home = coproc::runtime::create().value();
    measure(state, [&] { return home.run(call_twice(Method)); });
    home.run(home.shutdown()).value();
}

void add(const char* name, void (*measured)(benchmark::State&)) {
    benchmark::RegisterBenchmark(name, measured)->Unit(benchmark::kMicrosecond)->UseRealTime();
}

void add_peer(const std::string& name, const peer& one, const std::string& arguments, int count) {
    if (!has_peer(one)) return;
    const std::string all = arguments + ' ' + std::to_string(count);
    add_case("call/" + name, [=] { return run_peer(one, all); })->Unit(benchmark::kMicrosecond);
}

}  // namespace

int main(int argc, char** argv) {
    if (std::getenv("COPROC_BENCH_ZYGOTE") != nullptr) serve_as_zygote();
    if (auto code = coproc::run_if_child()) return *code;
    const bool is_short = is_short_run(argc, argv);
    add("call/bare", bare);
    add("call/coproc", with_coproc<coproc::start_method::forkserver>);
    add("call/coproc_spawn", with_coproc<coproc::start_method::spawn>);
    add_peer("go", go, "call", is_short ? 2 : 20);
    add_peer("node", node, "node_peer.js call", is_short ? 1 : 5);
    add_peer("py_Pool", python, "python_call.py Pool", is_short ? 1 : 10);
    add_peer("py_ProcessPoolExecutor", python, "python_call.py ProcessPoolExecutor",
             is_short ? 1 : 10);
    return run_all(argc, argv);
}
