// expect: a target is a function, a class without state or an aggregate with operator()
#include <coproc/process.hpp>

struct worker {
    int count;
    int run() const;
};

void f(const worker& w) { coproc::process p(&worker::run, w); }
