// expect: other values come back through a connection
#include <coproc/process.hpp>

#include <string>

std::string work();

void f() { coproc::process p(work); }
