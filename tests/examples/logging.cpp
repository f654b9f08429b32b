// What coproc does, told on stderr: the parent's steps and those of its children, which inherit
// the level.

#include <coproc/coproc.hpp>

#include <iostream>

void worker(int count) { std::cout << "count: " << count << "\n"; }

coproc::task<void> app() {
    coproc::log_to_stderr(coproc::log_level::debug);

    for (int i = 0; i < 5; ++i) {
        coproc::process p(worker, i);  // named as Python would: Process-1, Process-2, …
        (co_await p.start()).value();
    }
}

int main() { return coproc::run(app); }
