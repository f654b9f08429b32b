// A program under which its shared library is replaced: says how children end before and after.
//   upgraded LIBRARY OTHER

#include <coproc/log.hpp>
#include <coproc/process.hpp>
#include <coproc/run.hpp>

#include <sys/prctl.h>

#include <filesystem>
#include <iostream>
#include <string>

using coproc::start_method;

namespace {

int three() { return 3; }

coproc::task<void> start(const char* what, start_method method) {
    coproc::process one({.method = method}, three);
    (co_await one.start()).value();
    const auto status = (co_await one.join()).value();
    std::cout << what << ": " << status.to_string() << " " << status.exception_message() << "\n";
}

coproc::task<int> upgrade(std::string library, std::string other) {
    co_await start("before", start_method::forkserver);
    std::filesystem::rename(other, library);
    co_await start("of the old server", start_method::forkserver);
    co_await start("spawned", start_method::spawn);
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);  // which asks for another server
    co_await start("of a new server", start_method::forkserver);
    co_return 0;
}

}  // namespace

int main(int, char** arguments) {
    if (auto code = coproc::run_if_child()) return *code;
    coproc::log_to_stderr(coproc::log_level::warning);
    return coproc::run(upgrade, arguments[1], arguments[2]);
}
