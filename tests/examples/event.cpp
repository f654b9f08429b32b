// Two events between two processes: the parent waits until the child is ready, the child until the
// parent says go. While they wait, neither uses the processor.

#include <coproc/coproc.hpp>

#include <iostream>

coproc::task<void> child(coproc::event ready, coproc::event go) {
    const auto& self = coproc::current_process();
    std::cout << "[" << self.name() << "] ready" << std::endl;
    ready.set().value();

    (co_await go.wait()).value();
    std::cout << "[" << self.name() << "] go!" << std::endl;
}

coproc::task<void> app() {
    const auto ready = coproc::event::create().value();
    const auto go = coproc::event::create().value();

    coproc::process p({.name = "child"}, child, ready, go);
    (co_await p.start()).value();

    (co_await ready.wait()).value();
    std::cout << "The child is ready: " << (ready.is_set() ? "True" : "False")
              << ", has gone: " << (go.is_set() ? "True" : "False") << std::endl;
    go.set().value();

    (co_await p.join()).value();
}

int main() { return coproc::run(app); }
