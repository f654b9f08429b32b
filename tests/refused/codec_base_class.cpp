// expect: make the base a member, or specialize coproc::codec
#include <coproc/codec.hpp>

struct base {
    int id;
};
struct job : base {
    int more;
};

void f(coproc::encoder& out, const job& j) { out.put(j); }
