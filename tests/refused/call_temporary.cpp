// expect: name the message first and pass the name
// only: gcc<13
#include <coproc/call.hpp>

struct job {
    std::string name;
};
int work(job);

coproc::task<void> f() { (void)co_await coproc::call(work, job{"x"}); }
