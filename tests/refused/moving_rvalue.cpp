// expect: deleted function
#include <coproc/codec.hpp>

#include <memory>

void f() { (void)coproc::moving(std::make_unique<int>(1)); }
