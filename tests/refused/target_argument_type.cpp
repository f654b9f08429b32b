// expect: an argument cannot be converted to its parameter
#include <coproc/process.hpp>

#include <string>

int work(std::string text);

void f() { coproc::process p(work, 1.5); }
