// expect: a pointer means nothing in another process
#include <coproc/codec.hpp>

#include <vector>

struct job {
    int id;
    std::vector<const char*> words;
};

void f(coproc::encoder& out, const job& j) { out.put(j); }
