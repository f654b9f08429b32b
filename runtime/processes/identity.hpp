#pragma once
// What a process knows of its place in the family: filled in once, by the bootstrap.

#include <coproc/detail/code_place.hpp>
#include <coproc/detail/unique_fd.hpp>
#include <coproc/this_process.hpp>

#include <optional>
#include <string>
#include <vector>

namespace coproc {

struct process_identity {
    this_process self;
    /// The numbers of the processes on the way from the root: "", "1", "1:2".
    std::string path;
    std::string parent_name;
    int parent_pid = 0;
    /// The read end of the parent's lifeline: at its end when the parent is gone.
    detail::unique_fd lifeline;
    /// run or run_if_child has been called: this program can be started anew as a child.
    bool bootstrapped = false;
    /// As the program was started; children get the same.
    std::vector<std::string> arguments;
    /// Of the fork servers that this process makes.
    std::optional<detail::code_place> preload;

    void set(std::string name, bool daemon);
};

/// This process's. Written before any other thread can look, or never.
process_identity& identity() noexcept;

/// "Process-1:2" for the next process object of this process. Thread-safe.
struct next_name {
    std::string path;
    std::string name;
};
next_name take_next_name();

}  // namespace coproc
