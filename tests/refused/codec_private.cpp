// expect: specialize coproc::codec, or coproc::enable_memcpy
#include <coproc/codec.hpp>

#include <map>

class account {
    int id_ = 0;
};

void f(coproc::decoder& in) { (void)in.get<std::map<int, account>>(); }
