// Work that may do anything to itself, as functions that are called: each runs in a process of its
// own, and its value or what has become of it comes back.

#include <coproc/coproc.hpp>

#include "pace.hpp"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

long honest(const std::string& text) {
    std::istringstream words(text);
    return std::distance(std::istream_iterator<std::string>(words), {});
}
long throwing(const std::string& text) { throw std::runtime_error("no words in: " + text); }
long crashing(const std::string&) { std::abort(); }
long endless(const std::string&) {
    for (std::atomic<unsigned> turns = 0;; ++turns) continue;
}

using work = long (*)(const std::string&);

/// As work is called that is not trusted: plain arguments, no more than what was passed, so long.
coproc::task<void> show(std::string name, work untrusted, std::chrono::duration<double> limit) {
    const coproc::process_options options{.name = name, .method = coproc::start_method::spawn};
    const auto words =
        co_await coproc::timeout(limit, coproc::call(options, untrusted, "three plain words"));
    std::cout << name << ": ";
    if (words) {
        std::cout << words.value() << " words" << std::endl;
    } else {
        std::cout << words.error().message() << std::endl;
    }
}

coproc::task<void> app() {
    co_await show("honest", honest, 1min);
    co_await show("throwing", throwing, 1min);
    co_await show("crashing", crashing, 1min);
    co_await show("endless", endless, pace(1s));
    std::cout << "left: " << coproc::active_children().size() << std::endl;
}

int main() { return coproc::run(app); }
