// expect: they are passed as rvalues, so parameters are values or const references
#include <coproc/process.hpp>

#include <string>

int work(std::string& text);

void f() { coproc::process p(work, "text"); }
