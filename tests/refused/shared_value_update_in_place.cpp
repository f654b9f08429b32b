// expect: update wants a function that takes the value, not to be changed, and returns the new one
#include <coproc/shared_value.hpp>

void f(const coproc::shared_value<int>& total) {
    (void)total.update([](int& n) { return n++; });
}
