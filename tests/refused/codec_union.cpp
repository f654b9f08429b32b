// expect: use std::variant
#include <coproc/codec.hpp>

union number {
    int i;
    float f;
};
struct job {
    bool is_int;
    number n;
};

void f(coproc::encoder& out, const job& j) { out.put(j); }
