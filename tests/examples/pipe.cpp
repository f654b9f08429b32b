// A message from a child to its parent. Each end has one owner: the child's is moved to it.

#include <coproc/coproc.hpp>

#include <iostream>
#include <string>
#include <utility>

coproc::task<void> child(coproc::connection pipe) {
    const std::string msg = "Hello World";
    (co_await pipe.send(msg)).value();

    std::cout << "[" << coproc::current_process().name() << "] send a message to pipe : " << msg
              << std::endl;
}

coproc::task<void> app() {
    auto [parent_pipe, child_pipe] = coproc::pipe().value();

    coproc::process p({.name = "child"}, child, std::move(child_pipe));
    (co_await p.start()).value();

    std::cout << "Received message : " << (co_await parent_pipe.recv<std::string>()).value()
              << std::endl;
    (co_await p.join()).value();
}

int main() { return coproc::run(app); }
