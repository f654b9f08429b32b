// A daemon that is waited for gets to its end.

#include <coproc/coproc.hpp>

#include "pace.hpp"

#include <chrono>
#include <iostream>
#include <thread>

using namespace std::chrono_literals;

void sleeper() {
    std::cout << "Start" << std::endl;
    std::this_thread::sleep_for(pace(5s));
    std::cout << "Exit" << std::endl;
}

coproc::task<void> app() {
    coproc::process d({.name = "daemon", .daemon = true}, sleeper);

    (co_await d.start()).value();
    (co_await d.join()).value();
    std::cout << "Main process terminated" << std::endl;
}

int main() { return coproc::run(app); }
