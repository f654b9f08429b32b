// Five processes, each running worker() with an argument of its own.

#include <coproc/coproc.hpp>

#include <iostream>
#include <string>
#include <vector>

void worker(int count) {
    const auto& self = coproc::current_process();
    std::cout << "name: " << self.name() << ", argument : " << count << "\n"
              << "parent pid:" << self.parent_pid() << "  pid:" << self.pid() << "\n\n";
}

coproc::task<void> app() {
    std::vector<coproc::process> workers;
    for (int i = 0; i < 5; ++i) {
        const std::string name = "process " + std::to_string(i);
        auto& p = workers.emplace_back(coproc::process_options{.name = name}, worker, i);
        (co_await p.start()).value();
    }
    for (auto& p : workers) (co_await p.join()).value();
}

int main() { return coproc::run(app); }
