// expect: this class hides its state (private members, constructors, virtual functions or lambda captures)
#include <coproc/codec.hpp>

void f(coproc::encoder& out, int n) {
    out.put([n] { return n; });
}
