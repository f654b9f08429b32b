// The class form: an object with operator(). Its members travel to the child, which calls it.

#include <coproc/coproc.hpp>

#include <iostream>
#include <string>

struct worker {
    std::string greeting;
    int count = 0;

    void operator()() const {
        const auto& self = coproc::current_process();
        std::cout << greeting << " name: " << self.name() << ", argument: " << count << "\n"
                  << "parent pid: " << self.parent_pid() << ", pid: " << self.pid() << "\n\n";
    }
};

coproc::task<void> app() {
    for (int i = 0; i < 5; ++i) {
        const std::string name = "process " + std::to_string(i);
        const worker target{"Hello!", i};
        coproc::process p({.name = name}, target);
        (co_await p.start()).value();
        // The object may go: the process runs on, and run() joins it.
    }
}

int main() { return coproc::run(app); }
