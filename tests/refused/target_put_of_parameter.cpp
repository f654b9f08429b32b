// expect: return a task: this put refers to its message
#include <coproc/process.hpp>
#include <coproc/queue.hpp>

#include <string>

void f(coproc::queue<std::string> q) {
    coproc::process p([](coproc::queue<std::string> to, std::string text) { return to.put(text); },
                      q, "text");
}
