// expect: the members of this aggregate cannot all be received
#include <coproc/codec.hpp>

#include <string>

struct job {
    int id;
    const std::string& text;
};

void f(coproc::encoder& out, const job& j) { out.put(j); }
