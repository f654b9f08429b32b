// expect: a pointer means nothing in another process
#include <coproc/call.hpp>

int* work();

void f() { (void)coproc::call(work); }
