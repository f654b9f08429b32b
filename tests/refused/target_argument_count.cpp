// expect: the target cannot be called with these arguments
#include <coproc/process.hpp>

int work(int a, int b);

void f() { coproc::process p(work, 1); }
