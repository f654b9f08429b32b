// expect: a pointer means nothing in another process
#include <coproc/shared_array.hpp>

struct node {
    int value;
    node* next;
};

void f() { (void)coproc::shared_array<node>::create(10); }
