// expect: a view does not own what it shows
#include <coproc/codec.hpp>

#include <string_view>

struct job {
    int id;
    std::string_view text;
};

void f(coproc::decoder& in) { (void)in.get<job>(); }
