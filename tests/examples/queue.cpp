// A queue between two processes: one puts a message, the other gets it.

#include <coproc/coproc.hpp>

#include <iostream>

coproc::task<void> set_data(coproc::queue<std::string> q) {
    const std::string text = "Hello world";
    std::cout << "[" << coproc::current_process().name() << "] set queue data : " << text
              << std::endl;
    (co_await q.put(text)).value();
}

coproc::task<void> get_data(coproc::queue<std::string> q) {
    const std::string text = (co_await q.get()).value();
    std::cout << "[" << coproc::current_process().name() << "] get queue data : " << text
              << std::endl;
}

coproc::task<void> app() {
    const auto q = coproc::queue<std::string>::create().value();

    coproc::process p1({.name = "set_data"}, set_data, q);
    (co_await p1.start()).value();
    coproc::process p2({.name = "get_data"}, get_data, q);
    (co_await p2.start()).value();

    (co_await p1.join()).value();
    (co_await p2.join()).value();
}

int main() { return coproc::run(app); }
