// A simple queue has put, get, empty and close: here the numbers go to a child and their squares
// come back, until the queue is closed.

#include <coproc/coproc.hpp>

#include <iostream>

coproc::task<void> square(coproc::simple_queue<int> numbers, coproc::simple_queue<int> squares) {
    for (;;) {
        const auto number = co_await numbers.get();
        if (!number) break;  // closed, and nothing is left
        (co_await squares.put(number.value() * number.value())).value();
    }
    squares.close().value();
}

coproc::task<void> app() {
    auto numbers = coproc::simple_queue<int>::create().value();
    auto squares = coproc::simple_queue<int>::create().value();

    coproc::process p({.name = "square"}, square, numbers, squares);
    (co_await p.start()).value();
    for (int i = 1; i <= 5; ++i) (co_await numbers.put(i)).value();
    numbers.close().value();

    for (;;) {
        const auto result = co_await squares.get();
        if (!result) break;
        std::cout << result.value() << std::endl;
    }
    (co_await p.join()).value();
}

int main() { return coproc::run(app); }
