// expect: what lies in shared memory is seen as bytes by every process
#include <coproc/shared_value.hpp>

#include <string>

void f() { (void)coproc::shared_value<std::string>::create("text"); }
