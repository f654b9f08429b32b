#include <coproc/this_process.hpp>

#include <coproc/readiness.hpp>

#include "processes/children.hpp"
#include "processes/identity.hpp"
#include "words/system.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>

namespace coproc {

void process_identity::set(std::string name, bool daemon) {
    self.name_ = std::move(name);
    self.daemon_ = daemon;
}

process_identity& identity() noexcept {
    // Never destroyed: it is asked until the very end of the process.
    // NOLINTNEXTLINE(bugprone-unhandled-exception-at-new): nothing can be done without it
    static process_identity& instance = *new process_identity;
    return instance;
}

next_name take_next_name() {
    static std::atomic<int> taken = 0;
    const std::string number = std::to_string(++taken);
    const std::string path = identity().path.empty() ? number : identity().path + ":" + number;
    return {path, "Process-" + path};
}

int this_process::pid() const noexcept { return ::getpid(); }

int this_process::parent_pid() const noexcept { return ::getppid(); }

const this_process& current_process() noexcept { return identity().self; }

bool parent::is_alive() const noexcept { return !system::is_readable(lifeline_); }

task<result<void>> parent::join() const { return wait_readable(lifeline_); }

std::optional<parent> parent_process() {
    const process_identity& mine = identity();
    if (!mine.lifeline) return std::nullopt;
    return parent(mine.parent_name, mine.parent_pid, mine.lifeline.get());
}

std::vector<process_info> active_children() { return detail::children::instance().active(); }

int cpu_count() noexcept { return static_cast<int>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN))); }

namespace {

/// The whole processors of "max 100000" or "150000 100000" (cgroup v2's cpu.max), if limited.
std::optional<int> quota_of(const std::string& path) {
    const auto text = system::read_file(path.c_str());
    if (!text) return std::nullopt;
    const char* end = text.value().data() + text.value().size();
    long quota = 0;
    long period = 0;
    const auto [rest, failed] = std::from_chars(text.value().data(), end, quota);
    if (failed != std::errc{} || rest == end) return std::nullopt;
    if (std::from_chars(rest + 1, end, period).ec != std::errc{} || period <= 0)
        return std::nullopt;
    return static_cast<int>((quota + period - 1) / period);
}

/// The smallest quota on the way from the process's cgroup to the root.
std::optional<int> cgroup_quota() {
    const auto own = system::read_file("/proc/self/cgroup");
    if (!own || !own.value().starts_with("0::/")) return std::nullopt;
    std::string group = own.value().substr(3, own.value().find('\n') - 3);
    std::optional<int> smallest;
    for (;; group.resize(group.rfind('/'))) {
        if (const auto quota = quota_of("/sys/fs/cgroup" + group + "/cpu.max")) {
            smallest = std::min(*quota, smallest.value_or(*quota));
        }
        if (group.find_last_not_of('/') == std::string::npos) return smallest;
    }
}

}  // namespace

int usable_cpu_count() noexcept {
    ::cpu_set_t allowed;
    const bool known = ::sched_getaffinity(0, sizeof allowed, &allowed) == 0;
    const int by_affinity = known ? CPU_COUNT(&allowed) : cpu_count();
    return std::max(1, std::min(by_affinity, cgroup_quota().value_or(by_affinity)));
}

}  // namespace coproc
