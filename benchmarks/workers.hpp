#pragma once
// Contenders whose work is done in processes of their own, which start together: forked ones, and
// programs in other languages.

#include <benchmark/benchmark.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace coproc::bench {

/// What works only in a small program like this one: no benchmark goes on after it.
inline void must(bool held) {
    if (!held) std::abort();
}

inline constexpr unsigned long_enough = 60;  ///< seconds, after which a worker hangs

inline std::int64_t now_ns() {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Seconds per message, or whatever is counted; or what is wrong.
struct outcome {
    double seconds = 0;
    const char* failure = nullptr;
};

/// Lets go of everybody who waits for it, at once: an end of file.
class start_line {
 public:
    start_line() {
        if (::pipe(ready_) != 0 || ::pipe(go_) != 0) std::abort();
    }
    start_line(const start_line&) = delete;
    start_line& operator=(const start_line&) = delete;
    ~start_line() {
        for (const int fd : {ready_[0], ready_[1], go_[0]}) ::close(fd);
    }

    void wait() const {
        ::close(go_[1]);
        char byte = 0;
        if (::write(ready_[1], &byte, 1) != 1 || ::read(go_[0], &byte, 1) != 0) std::abort();
    }
    /// When the last of `count` is waiting; says when that was.
    std::int64_t go(std::uint64_t count) const {
        char byte = 0;
        for (; count > 0; --count) {
            if (::read(ready_[0], &byte, 1) != 1) std::abort();
        }
        const std::int64_t begin = now_ns();
        ::close(go_[1]);
        return begin;
    }

 private:
    int ready_[2];
    int go_[2];
};

/// Where producers wait until the last consumer has ended.
class finish_line {
 public:
    finish_line() {
        if (::pipe(ends_) != 0) std::abort();
    }
    finish_line(const finish_line&) = delete;
    finish_line& operator=(const finish_line&) = delete;
    ~finish_line() { ::close(ends_[0]); }

    /// Of everybody but the consumers.
    void leave() const { ::close(ends_[1]); }
    void wait() const {
        leave();
        char byte = 0;
        if (::read(ends_[0], &byte, 1) != 0) std::abort();
    }

 private:
    int ends_[2];
};

/// A T that forked processes share.
template <class T>
class forked_memory {
 public:
    forked_memory()
        : place_(new(::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                            -1, 0)) T()) {}
    forked_memory(const forked_memory&) = delete;
    forked_memory& operator=(const forked_memory&) = delete;
    ~forked_memory() { ::munmap(place_, sizeof(T)); }
    T* operator->() const noexcept { return place_; }
    T& operator*() const noexcept { return *place_; }

 private:
    T* place_;
};

template <class Work>
pid_t fork_worker(const Work& work) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    ::alarm(long_enough);
    work();
    ::_exit(0);
}

inline bool all_end_well(std::span<const pid_t> workers) {
    bool well = true;
    for (const pid_t worker : workers) {
        int status = 0;
        well = ::waitpid(worker, &status, 0) == worker && status == 0 && well;
    }
    return well;
}

/// Seconds from the start of `count` forked processes, which do work(index), to the end of the
/// last.
template <class Work>
outcome run_forked(std::uint64_t count, const Work& work) {
    const start_line line;
    std::vector<pid_t> workers;
    for (std::uint64_t index = 0; index < count; ++index) {
        workers.push_back(fork_worker([&] {
            line.wait();
            work(index);
        }));
    }
    const std::int64_t begin = line.go(count);
    if (!all_end_well(workers)) return {0, "a worker failed"};
    return {1e-9 * static_cast<double>(now_ns() - begin)};
}

/// A program of others that measures itself: its command, to which the arguments are added.
struct peer {
    const char* name;
    const char* command;
    const char* check;  ///< a command that succeeds where it is installed
};

// The distribution's Python, which has the distribution's uvloop.
inline constexpr peer python{"python3", "/usr/bin/python3", "/usr/bin/python3 -c pass"};
inline constexpr peer uvloop{"python3-uvloop", python.command,
                             "/usr/bin/python3 -c 'import uvloop'"};
inline constexpr peer node{"node", "node", "node -e 0"};
/// Built with the benchmarks where there is a Go compiler.
inline constexpr peer go{"go", "'" COPROC_BENCH_GO "'", "test -x '" COPROC_BENCH_GO "'"};

/// Says so if it is missing.
inline bool has_peer(const peer& one) {
    if (std::system((std::string(one.check) + " >/dev/null 2>&1").c_str()) == 0) return true;
    std::fprintf(stderr, "%s: not there, skipped\n", one.name);
    return false;
}

/// What it prints: seconds. It runs in the folder of the scripts; a wrong result is a failed exit.
inline outcome run_peer(const peer& one, const std::string& arguments) {
    const std::string command = "cd '" COPROC_BENCH_PEERS "' && exec timeout " +
                                std::to_string(long_enough) + ' ' + one.command + ' ' + arguments;
    std::FILE* const output = ::popen(command.c_str(), "r");
    if (output == nullptr) return {0, "popen"};
    outcome read;
    if (std::fscanf(output, "%lf", &read.seconds) != 1) read.failure = "no figure from a peer";
    if (::pclose(output) != 0) read.failure = "a peer failed";
    return read;
}

inline outcome run_python(const std::string& arguments) { return run_peer(python, arguments); }
inline bool has_python() { return has_peer(python); }

/// One run of it is one repetition, which times itself.
template <class Run>
benchmark::internal::Benchmark* add_case(const std::string& name, Run run) {
    const auto once = [run](benchmark::State& state) {
        for (auto turn : state) {
            const outcome measured = run();
            if (measured.failure != nullptr) state.SkipWithError(measured.failure);
            state.SetIterationTime(measured.seconds);
        }
        state.SetItemsProcessed(1);
    };
    benchmark::internal::Benchmark* const made = benchmark::RegisterBenchmark(name.c_str(), once);
    return made->Iterations(1)->UseManualTime();
}

template <class Run>
benchmark::internal::Benchmark* add_case(const std::string& name, std::uint64_t size, Run run) {
    return add_case(name, std::move(run))->Arg(static_cast<std::int64_t>(size));
}

}  // namespace coproc::bench
