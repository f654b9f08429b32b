// expect: use std::array or std::string
#include <coproc/codec.hpp>

void f(coproc::encoder& out) { out.put("text"); }
