// expect: a capturing lambda cannot travel: give what it captures as arguments
#include <coproc/process.hpp>

void f(int n) {
    coproc::process p([n] { return n; });
}
