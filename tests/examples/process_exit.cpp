// Three ends of a process: by return, by an exit code, by a signal; and what a process object says
// before, between and after.

#include <coproc/coproc.hpp>

#include "pace.hpp"

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

void sleep_between_two_lines(std::chrono::seconds duration) {
    const auto& self = coproc::current_process();
    std::cout << "Start name: " << self.name() << ", pid:" << self.pid() << std::endl;
    std::this_thread::sleep_for(pace(duration));
    std::cout << "Exit name:" << self.name() << ", pid:" << self.pid() << std::endl;
}

int good_job() {
    sleep_between_two_lines(5s);
    return 0;
}

int fail_job() {
    sleep_between_two_lines(5s);
    std::exit(1);  // return 1 does the same
}

int kill_job() {
    sleep_between_two_lines(10s);
    return 0;
}

std::string_view is_alive(const coproc::process& p) { return p.is_alive() ? "True" : "False"; }

coproc::task<void> app() {
    std::vector<coproc::process> process_list;
    const std::pair<const char*, int (*)()> jobs[] = {
        {"good_job", good_job}, {"fail_job", fail_job}, {"kill_job", kill_job}};
    for (const auto& [name, job] : jobs) {
        auto& p = process_list.emplace_back(coproc::process_options{.name = name}, job);

        std::cout << "Process check : " << p << ", " << is_alive(p) << std::endl;
        (co_await p.start()).value();
        (co_await coproc::sleep_for(pace(0.3s))).value();
    }

    for (const auto& p : process_list) {
        std::cout << "process check : " << p << " " << is_alive(p) << std::endl;
    }

    (co_await coproc::sleep_for(pace(5s))).value();

    for (auto& p : process_list) {
        std::cout << "Process check : " << p << " " << is_alive(p) << std::endl;

        if (p.is_alive()) {
            std::cout << "Terminate process : " << p << std::endl;
            p.terminate().value();
        }
    }

    for (auto& p : process_list) {
        // Without the join, the process just terminated may not have an exit code yet.
        (co_await p.join()).value();
        std::cout << "Process name: " << p.name() << ", exit code : " << *p.exit_code()
                  << std::endl;
    }
    std::cout << "At the end: " << process_list.back() << std::endl;
}

int main() { return coproc::run(app); }
