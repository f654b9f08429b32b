#pragma once
// What the requests of http_server ask for; it is done in child processes, and nothing here knows
// of that, or of HTTP.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

/// Costs CPU time.
inline std::string count_primes(long below) {
    long count = 0;
    for (long number = 2; number < below; ++number) {
        bool prime = true;
        for (long divisor = 2; prime && divisor * divisor <= number; ++divisor) {
            prime = number % divisor != 0;
        }
        count += prime ? 1 : 0;
    }
    return std::to_string(count) + "\n";
}

/// Reads what a stranger has sent.
inline std::string count_words(const std::string& text) {
    std::istringstream words(text);
    using word = std::istream_iterator<std::string>;
    return std::to_string(std::distance(word(words), {})) + "\n";
}

/// Prints more than anybody would keep in memory.
inline void count_up(long to) {
    for (long number = 1; number <= to && std::cout; ++number) std::cout << number << '\n';
}

// Code as it is, sometimes.

inline std::string abort_at_once() { std::abort(); }
inline std::string never_end() {
    for (std::atomic<unsigned> turns = 0;; ++turns) continue;
}
inline std::string devour_memory() {
    std::vector<std::string> all;
    for (;;) all.emplace_back(1 << 20, 'x');
}
