// expect: a pointer means nothing in another process
#include <coproc/process.hpp>

int work(int* counter);

void f(int& counter) { coproc::process p(work, &counter); }
