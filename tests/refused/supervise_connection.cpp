// expect: one that cannot be copied, such as a connection, cannot be given to it
#include <coproc/connection.hpp>
#include <coproc/supervise.hpp>

void work(coproc::connection);

void f(coproc::connection end) { (void)coproc::supervise({}, work, std::move(end)); }
