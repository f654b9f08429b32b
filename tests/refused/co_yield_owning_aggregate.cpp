// expect: name it first, then co_yield the name
// only: gcc<13
#include <coproc/generator.hpp>

#include <string>

struct job {
    int number;
    std::string path;
};

coproc::generator<job> jobs() { co_yield job{1, "a"}; }
