// Jobs in a joinable queue are done even if a worker dies over one of them: it goes back to the
// queue, and the next worker gets it.

#include <coproc/coproc.hpp>

#include <csignal>
#include <iostream>

coproc::task<void> clumsy(coproc::joinable_queue<std::string> jobs) {
    const auto job = (co_await jobs.lease()).value();
    std::cout << "[clumsy] begins " << job.value() << ", and dies" << std::endl;
    ::raise(SIGKILL);
}

coproc::task<void> careful(coproc::joinable_queue<std::string> jobs) {
    for (;;) {
        auto job = co_await jobs.lease();
        if (!job) co_return;  // closed, and nothing is left
        std::cout << "[careful] does " << job.value().value() << std::endl;
        job.value().done().value();
    }
}

coproc::task<void> app() {
    auto jobs = coproc::joinable_queue<std::string>::create().value();
    for (const char* job : {"washing up", "sweeping", "dusting"}) (co_await jobs.put(job)).value();

    coproc::process first({.name = "clumsy"}, clumsy, jobs);
    (co_await first.start()).value();
    (co_await first.join()).value();
    std::cout << first << ", " << jobs.size() << " jobs are left" << std::endl;

    coproc::process second({.name = "careful"}, careful, jobs);
    (co_await second.start()).value();
    (co_await jobs.join()).value();
    std::cout << "all is done" << std::endl;
    jobs.close().value();
    (co_await second.join()).value();
}

int main() { return coproc::run(app); }
