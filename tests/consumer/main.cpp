#include <coproc/coproc.hpp>

#include <iostream>

coproc::task<int> app() {
    std::cout << coproc::make_error_code(coproc::errc::end_of_stream).message() << '\n';
    co_return 0;
}

int main() { return coproc::run(app); }
