// Children that are cloned from the fork server: whose they are, what they have, what becomes of
// them when the server dies.

#include <coproc/forkserver.hpp>

#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/log.hpp>
#include <coproc/process.hpp>
#include <coproc/scope.hpp>
#include <coproc/shared_memory.hpp>
#include <coproc/sleep.hpp>
#include <coproc/this_process.hpp>
#include <coproc/timeout.hpp>

#include "processes/losses.hpp"
#include "support/co_test.hpp"
#include "support/command.hpp"
#include "support/processes.hpp"
#include "words/system.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using coproc::connection;
using coproc::errc;
using coproc::process;
using coproc::process_options;
using coproc::result;
using coproc::start_method;
using coproc::task;
using coproc::testing::ask;
using coproc::testing::children_of;
using coproc::testing::eventually;
using coproc::testing::is_running;
using coproc::testing::run_to_end;

namespace {

constexpr process_options by_server{.method = start_method::forkserver};
constexpr process_options by_spawn{.method = start_method::spawn};

int give(int code) { return code; }

task<void> send_pids(connection to) {
    const std::vector<int> pids{::getpid(), ::getppid(), ::gettid()};
    (co_await to.send(pids)).value();
}

task<int> wait_for_word(connection from) { co_return (co_await from.recv<int>()).value(); }

/// The child that is nobody's process object, nor about to be one's; 0 if there is none.
::pid_t server_pid() {
    const auto found = children_of(::getpid());
    std::set<::pid_t> pids(found.begin(), found.end());
    for (const auto& one : coproc::active_children()) pids.erase(one.pid);
    return pids.empty() ? 0 : *pids.begin();
}

/// Which must be there: kill(0) would be for all of us.
void signal_server(int number) {
    const ::pid_t server = server_pid();
    REQUIRE(server > 0);
    ::kill(server, number);
}

/// What has been logged while it lives.
class log_lines {
 public:
    log_lines() {
        coproc::log_to([this](coproc::log_level, std::string_view text) { all_.append(text); },
                       coproc::log_level::warning);
    }
    log_lines(const log_lines&) = delete;
    log_lines& operator=(const log_lines&) = delete;
    ~log_lines() { coproc::log_to({}, coproc::log_level::off); }
    std::size_t count(const std::string& part) const {
        std::size_t found = 0;
        for (std::size_t at = 0; (at = all_.find(part, at)) != std::string::npos; ++at) ++found;
        return found;
    }

 private:
    std::string all_;
};

/// The servers made while it lives begin with `function`.
class preloaded {
 public:
    explicit preloaded(void (*function)()) { coproc::set_forkserver_preload(function).value(); }
    preloaded(const preloaded&) = delete;
    preloaded& operator=(const preloaded&) = delete;
    ~preloaded() { coproc::set_forkserver_preload(nullptr).value(); }
};

}  // namespace

// -- whose they are

CO_TEST_CASE("forkserver: its children are the application's own", "[process][forkserver]") {
    const auto pids = (co_await ask<std::vector<int>>(by_server, send_pids)).value();
    CHECK(pids.at(1) == ::getpid());
    CHECK(pids.at(0) == pids.at(2));
    CHECK(server_pid() != 0);
    process seven(by_server, give, 7);
    const auto status = (co_await run_to_end(seven)).value();
    CHECK(status.code() == 7);
    CHECK(status.usage().max_rss > 0);
}

CO_TEST_CASE("forkserver: there is one for all starts of a runtime", "[process][forkserver]") {
    process first(give, 0);
    (co_await run_to_end(first)).value();
    const ::pid_t server = server_pid();
    for (int i = 0; i < 20; ++i) {
        process next(give, i);
        const auto status = (co_await run_to_end(next)).value();
        CHECK(status.code() == i);
    }
    CHECK(server_pid() == server);
    CHECK(coproc::active_children().empty());
}

CO_TEST_CASE("forkserver: spawn needs none", "[process][forkserver]") {
    process p(by_spawn, give, 0);
    (co_await run_to_end(p)).value();
    CHECK(server_pid() == 0);
}

CO_TEST_CASE("forkserver: two hundred starts at once", "[process][forkserver]") {
    const auto start_one = [](int code) -> task<result<void>> {
        process p(give, code);
        COPROC_CO_TRY(const auto status, co_await run_to_end(p));
        CHECK(status.code() == code);
        co_return coproc::success();
    };
    const auto body = [&](coproc::scope& all) -> task<result<void>> {
        for (int i = 0; i < 200; ++i) all.spawn(start_one, i);
        co_return coproc::success();
    };
    (co_await coproc::with_scope(body)).value();
}

// -- what they have

namespace {

using facts = std::map<std::string, std::string>;

void note_limits(facts& all) {
    for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
        ::rlimit limit{};
        ::getrlimit(static_cast<__rlimit_resource>(resource), &limit);
        all["limit " + std::to_string(resource)] =
            std::to_string(limit.rlim_cur) + " " + std::to_string(limit.rlim_max);
    }
}

void note_environment(facts& all) {
    for (char** variable = ::environ; *variable != nullptr; ++variable) {
        const std::string text = *variable;
        all["variable " + text.substr(0, text.find('='))] = text;
    }
}

/// What the open fds are; numbers of sockets and pipes are not compared.
void note_fds(facts& all) {
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
        const int fd = std::stoi(entry.path().filename());
        if (target == "/proc/" + std::to_string(::getpid()) + "/fd") continue;
        if (fd > 2) target.resize(std::min(target.size(), target.find('[')));
        all["fd " + std::to_string(fd)] = target;
    }
}

/// Everything that a program can see of how it was started.
facts all_facts() {
    facts all;
    note_limits(all);
    note_environment(all);
    note_fds(all);
    const auto status = coproc::system::read_file("/proc/self/status").value();
    for (const char* line :
         {"Name",   "Umask",  "PPid",   "Uid",        "Gid",     "Groups",      "Threads",
          "SigPnd", "ShdPnd", "SigBlk", "SigIgn",     "SigCgt",  "CapInh",      "CapPrm",
          "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Cpus_allowed"}) {
        const std::size_t at = status.find(std::string("\n") + line + ":");
        const std::size_t begin = line == std::string("Name") ? 0 : at + 1;
        all[line] = status.substr(begin, status.find('\n', begin) - begin);
    }
    all["cmdline"] = coproc::system::read_file("/proc/self/cmdline").value();
    all["directory"] = std::filesystem::read_symlink("/proc/self/cwd").string();
    all["nice"] = std::to_string(::getpriority(PRIO_PROCESS, 0));
    all["session"] = std::to_string(::getsid(0));
    all["group"] = std::to_string(::getpgid(0));
    all["dumpable"] = std::to_string(::prctl(PR_GET_DUMPABLE));
    all["slack"] = std::to_string(::prctl(PR_GET_TIMERSLACK));
    return all;
}

task<void> send_facts(connection to) { (co_await to.send(all_facts())).value(); }

/// Of one of the fork server and of a spawned one.
task<std::vector<facts>> facts_of_children() {
    std::vector<facts> both;
    both.push_back((co_await ask<facts>(by_server, send_facts)).value());
    both.push_back((co_await ask<facts>(by_spawn, send_facts)).value());
    co_return both;
}

/// What they have in common: everything.
const facts& same(const std::vector<facts>& both) {
    for (const auto& [name, value] : both.at(1)) {
        CAPTURE(name);
        CHECK((both.at(0).contains(name) ? both.at(0).at(name) : "nothing") == value);
    }
    CHECK(both.at(0).size() == both.at(1).size());
    return both.at(0);
}

/// Changes what children have from their parent, and puts it back.
class changes {
 public:
    changes() : directory_(std::filesystem::current_path()), umask_(::umask(027)) {
        ::sched_getaffinity(0, sizeof cpus_, &cpus_);
        ::getrlimit(RLIMIT_CORE, &core_);
        ::getrlimit(RLIMIT_NOFILE, &files_);
        output_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        std::filesystem::current_path("/proc");
        ::setenv("COPROC_TEST_CHANGED", "yes = no", 1);
        ::unsetenv("COPROC_TEST_BEFORE");
        ::rlimit core{0, core_.rlim_max};
        ::setrlimit(RLIMIT_CORE, &core);
        ::rlimit files{files_.rlim_cur - 10, files_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &files);
        ::cpu_set_t one{};
        CPU_SET(::sched_getcpu(), &one);
        ::sched_setaffinity(0, sizeof one, &one);
        const int null = ::open("/dev/zero", O_WRONLY | O_CLOEXEC);
        ::dup2(null, STDOUT_FILENO);
        ::close(null);
    }
    changes(const changes&) = delete;
    changes& operator=(const changes&) = delete;
    ~changes() {
        std::filesystem::current_path(directory_);
        ::umask(umask_);
        ::unsetenv("COPROC_TEST_CHANGED");
        ::setrlimit(RLIMIT_CORE, &core_);
        ::setrlimit(RLIMIT_NOFILE, &files_);
        ::sched_setaffinity(0, sizeof cpus_, &cpus_);
        ::dup2(output_, STDOUT_FILENO);
        ::close(output_);
    }

 private:
    std::filesystem::path directory_;
    ::mode_t umask_;
    ::cpu_set_t cpus_{};
    ::rlimit core_{};
    ::rlimit files_{};
    int output_;
};

}  // namespace

CO_TEST_CASE("forkserver: its children cannot be told from spawned ones", "[process][forkserver]") {
    ::setenv("COPROC_TEST_BEFORE", "1", 1);
    const auto all_before = co_await facts_of_children();
    std::vector<facts> all_changed;
    {
        const changes made;
        all_changed = co_await facts_of_children();
    }
    const auto all_after = co_await facts_of_children();
    const facts& before = same(all_before);
    const facts& changed = same(all_changed);
    const facts& after = same(all_after);
    CHECK(changed.at("variable COPROC_TEST_CHANGED") == "COPROC_TEST_CHANGED=yes = no");
    CHECK(before.contains("variable COPROC_TEST_BEFORE"));
    CHECK_FALSE(changed.contains("variable COPROC_TEST_BEFORE"));
    CHECK(changed.at("directory") == "/proc");
    CHECK(changed.at("Umask") == "Umask:\t0027");
    CHECK(changed.at("fd 1") == "/dev/zero");
    CHECK(changed.at("limit 7") != before.at("limit 7"));
    ::unsetenv("COPROC_TEST_BEFORE");
    CHECK_FALSE(after.contains("variable COPROC_TEST_CHANGED"));
    CHECK(after.at("directory") == before.at("directory"));
    CHECK(after.at("fd 1") == before.at("fd 1"));
}

namespace {

/// A process that has given up privileges after it has started a child with them.
task<void> give_up_privileges(connection to) {
    (void)co_await ask<facts>(by_server, send_facts);
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const auto found = co_await facts_of_children();
    (co_await to.send(found)).value();
}

task<void> change_group(connection to) {
    (void)co_await ask<facts>(by_server, send_facts);
    ::setpgid(0, 0);
    const auto found = co_await facts_of_children();
    (co_await to.send(found)).value();
}

task<void> close_stdout(connection to) {
    (void)co_await ask<facts>(by_server, send_facts);
    ::close(STDOUT_FILENO);
    ::fcntl(STDIN_FILENO, F_SETFD, FD_CLOEXEC);
    const auto found = co_await facts_of_children();
    (co_await to.send(found)).value();
}

}  // namespace

CO_TEST_CASE("forkserver: what the application has given up, its children do not have",
             "[process][forkserver]") {
    const auto poorer = (co_await ask<std::vector<facts>>({}, give_up_privileges)).value();
    CHECK(same(poorer).at("NoNewPrivs") == "NoNewPrivs:\t1");
    const auto elsewhere = (co_await ask<std::vector<facts>>({}, change_group)).value();
    CHECK(same(elsewhere).at("group") == same(elsewhere).at("PPid").substr(6));
    const auto closed = (co_await ask<std::vector<facts>>({}, close_stdout)).value();
    CHECK(same(closed).at("fd 0") == "/dev/null");
    CHECK(same(closed).at("fd 1") == "/dev/null");
}

namespace {

int lock_and_die(const coproc::shared_memory& memory) {
    auto* const mutex = reinterpret_cast<::pthread_mutex_t*>(memory.data().data());
    if (::pthread_mutex_lock(mutex) != 0) return 1;
    ::kill(::getpid(), SIGKILL);
    return 2;
}

int knows_its_locks() {
    ::pthread_mutexattr_t checking;
    ::pthread_mutexattr_init(&checking);
    ::pthread_mutexattr_settype(&checking, PTHREAD_MUTEX_ERRORCHECK);
    ::pthread_mutex_t mutex;
    ::pthread_mutex_init(&mutex, &checking);
    if (::pthread_mutex_lock(&mutex) != 0 || ::pthread_mutex_lock(&mutex) != EDEADLK) return 1;
    int unlocked = 0;
    std::thread([&] { unlocked = ::pthread_mutex_unlock(&mutex); }).join();
    if (unlocked != EPERM || ::pthread_mutex_unlock(&mutex) != 0) return 2;
    return ::gettid() == ::getpid() ? 0 : 3;
}

}  // namespace

CO_TEST_CASE("forkserver: mutexes know their owner, and its death, in the children",
             "[process][forkserver]") {
    auto memory = coproc::shared_memory::create(sizeof(::pthread_mutex_t)).value();
    auto* const mutex = reinterpret_cast<::pthread_mutex_t*>(memory.data().data());
    ::pthread_mutexattr_t robust;
    ::pthread_mutexattr_init(&robust);
    ::pthread_mutexattr_setpshared(&robust, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    ::pthread_mutex_init(mutex, &robust);
    process dying(by_server, lock_and_die, memory);
    const auto killed = (co_await run_to_end(dying)).value();
    CHECK(killed.signal() == SIGKILL);
    CHECK(::pthread_mutex_lock(mutex) == EOWNERDEAD);
    CHECK(::pthread_mutex_consistent(mutex) == 0);
    CHECK(::pthread_mutex_unlock(mutex) == 0);
    process careful(by_server, knows_its_locks);
    const auto status = (co_await run_to_end(careful)).value();
    CHECK(status.code() == 0);
}

namespace {

task<void> become_nobody(connection to) {
    (void)co_await ask<facts>(by_server, send_facts);
    const bool is_nobody =
        ::setresgid(65534, 65534, 65534) == 0 && ::setresuid(65534, 65534, 65534) == 0;
    std::vector<facts> found;
    if (is_nobody) found = co_await facts_of_children();
    found.push_back({{"server", server_pid() != 0 ? "there" : "none"}});
    (co_await to.send(found)).value();
}

task<void> leave_network(connection to) {
    (void)co_await ask<facts>(by_server, send_facts);
    std::vector<std::string> found;
    if (::unshare(CLONE_NEWNET) == 0) {
        const auto here = std::filesystem::read_symlink("/proc/self/ns/net").string();
        const auto there = co_await ask<std::string>(by_server, [](connection back) -> task<void> {
            const auto name = std::filesystem::read_symlink("/proc/self/ns/net").string();
            (co_await back.send(name)).value();
        });
        found = {here, there.value()};
    }
    (co_await to.send(found)).value();
}

}  // namespace

CO_TEST_CASE("forkserver: a program that becomes somebody else has children of its kind",
             "[process][forkserver]") {
    if (::getuid() != 0) co_return;
    const auto found = (co_await ask<std::vector<facts>>({}, become_nobody)).value();
    REQUIRE(found.size() == 3);
    CHECK(same(found).at("Uid") == "Uid:\t65534\t65534\t65534\t65534");
    CHECK(found.at(2).at("server") == "there");
    const auto spaces = (co_await ask<std::vector<std::string>>({}, leave_network)).value();
    if (!spaces.empty()) CHECK(spaces.at(0) == spaces.at(1));
}

namespace {

/// What its children are when it has made one change to itself, and whether that made a new server.
task<std::vector<facts>> facts_after(bool (*change)()) {
    (void)co_await ask<facts>(by_server, send_facts);
    const ::pid_t before = server_pid();
    std::vector<facts> found;
    if (!change()) co_return found;
    found = co_await facts_of_children();
    const auto is_replaced = [before] {
        const ::pid_t now = server_pid();
        return now != 0 && now != before;
    };
    const bool has_new_server = co_await eventually(is_replaced);
    found.push_back({{"server", has_new_server ? "new" : "as before"}});
    co_return found;
}

bool join_only(::gid_t group) { return ::setgroups(1, &group) == 0; }

/// Has one more group before and after, but not the same.
task<void> change_groups(connection to) {
    std::vector<facts> found;
    const auto change = [] { return join_only(4242); };
    if (join_only(4241)) found = co_await facts_after(change);
    (co_await to.send(found)).value();
}

/// Of the capabilities that are in use, all but one that nothing here needs.
bool give_up_one_capability() {
    ::__user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<::__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) != 0) return false;
    const std::uint32_t before = sets.front().effective;
    sets.front().effective &= ~(std::uint32_t{1} << CAP_NET_RAW);
    return sets.front().effective != before && ::syscall(SYS_capset, &header, sets.data()) == 0;
}

task<void> give_up_a_capability(connection to) {
    const auto found = co_await facts_after(give_up_one_capability);
    (co_await to.send(found)).value();
}

}  // namespace

CO_TEST_CASE("forkserver: a change of the groups alone or of one capability makes a new server",
             "[process][forkserver]") {
    if (::getuid() != 0) {
        WARN("needs root");
        co_return;
    }
    const auto changed = (co_await ask<std::vector<facts>>({}, change_groups)).value();
    REQUIRE(changed.size() == 3);
    CHECK(same(changed).at("Groups").starts_with("Groups:\t4242"));
    CHECK(changed.at(2).at("server") == "new");
    const auto poorer = (co_await ask<std::vector<facts>>({}, give_up_a_capability)).value();
    if (poorer.empty()) {
        WARN("has no such capability");
        co_return;
    }
    (void)same(poorer);
    CHECK(poorer.at(2).at("server") == "new");
}

namespace {

int is_in_group(int wanted) { return ::getpgrp() == wanted ? 0 : 1; }

/// A process group is nothing that a child of the server takes on by itself.
task<void> start_in_two_groups(connection to) {
    const int old = ::getpgrp();
    int wrong = 0;
    for (int round = 0; round < 6; ++round) {
        const int group = round % 2 == 0 ? old : ::getpid();
        if (::setpgid(0, group) != 0) ++wrong;
        const auto start_one = [&wrong, group]() -> task<void> {
            process p(by_server, is_in_group, group);
            const auto status = co_await run_to_end(p);
            if (!status || status.value().code() != 0) ++wrong;
        };
        const auto body = [&](coproc::scope& all) -> task<void> {
            for (int i = 0; i < 20; ++i) all.spawn(start_one());
            co_return;
        };
        (co_await coproc::with_scope(body)).value();
    }
    const int self = ::getpid();
    const auto only_server = [self] { return children_of(self).size() == 1; };
    if (!co_await eventually(only_server)) ++wrong;
    (co_await to.send(wrong)).value();
}

}  // namespace

CO_TEST_CASE("forkserver: many starts when its children could not become as the program is",
             "[process][forkserver]") {
    const auto wrong = co_await ask<int>({}, start_in_two_groups);
    CHECK(wrong.value() == 0);
}

CO_TEST_CASE("forkserver: an environment of any size travels, as it is", "[process][forkserver]") {
    process first(by_server, give, 0);
    (co_await run_to_end(first)).value();
    std::vector<std::string> texts;
    for (int i = 0; i < 10; ++i) {
        texts.push_back("COPROC_BIG_" + std::to_string(i) + "=" + std::string(100000, 'x'));
    }
    texts.insert(texts.end(), {"TWICE=1", "TWICE=2", "without equals", "EMPTY="});
    std::vector<char*> variables;
    for (std::string& text : texts) variables.push_back(text.data());
    variables.push_back(nullptr);
    char** const before = ::environ;
    const auto count = [] {
        int found = 0;
        for (char** one = ::environ; *one != nullptr; ++one) ++found;
        return std::string(::getenv("TWICE") != nullptr ? ::getenv("TWICE") : "") == "1" ? found
                                                                                         : 99;
    };
    const auto count_none = [] { return ::environ != nullptr && *::environ == nullptr ? 0 : 1; };
    ::environ = variables.data();
    process p(by_server, count);
    const auto many = co_await run_to_end(p);
    ::environ = variables.data() + texts.size();
    process q(by_server, count_none);
    const auto none = co_await run_to_end(q);
    ::environ = before;
    CHECK(many.value().code() == 14);
    CHECK(none.value().code() == 0);
}

namespace {

task<void> send_binding(connection to) {
    const char* found = ::getenv("LD_BIND_NOW");
    (co_await to.send(std::string(found != nullptr ? found : "none"))).value();
}
task<void> send_binding_of_child(connection to) {
    ::setenv("LD_BIND_NOW", "", 1);
    const auto found = co_await ask<std::string>(by_server, send_binding);
    (co_await to.send(found.value())).value();
}

}  // namespace

CO_TEST_CASE("forkserver: how it is loaded is not to be seen in its children",
             "[process][forkserver]") {
    ::unsetenv("LD_BIND_NOW");
    const auto of_child = co_await ask<std::string>(by_server, send_binding);
    CHECK(of_child.value() == "none");
    const auto of_grandchild = co_await ask<std::string>(by_server, send_binding_of_child);
    CHECK(of_grandchild.value().empty());
}

// -- preloading

namespace {

int built = 0;
::pid_t built_in = 0;

void build() {
    ++built;
    built_in = ::getpid();
}
void build_and_throw() { throw std::runtime_error("no dictionary"); }
void build_with_a_thread() {
    std::thread([] { ::pause(); }).detach();
}

task<void> send_built(connection to) {
    const std::vector<int> found{built, built_in, ::getpid()};
    (co_await to.send(found)).value();
}

}  // namespace

CO_TEST_CASE("forkserver: what is preloaded is built once, for all children",
             "[process][forkserver]") {
    const preloaded dictionary(build);
    for (int i = 0; i < 3; ++i) {
        const auto found = (co_await ask<std::vector<int>>(by_server, send_built)).value();
        CHECK(found.at(0) == 1);
        CHECK(found.at(1) == server_pid());
        CHECK(found.at(2) != server_pid());
    }
    CHECK(built == 0);
}

namespace {

task<void> expect_spawned(void (*function)(), std::string reason) {
    const preloaded bad(function);
    const log_lines lines;
    for (int code = 0; code < 3; ++code) {
        process p(by_server, give, code);
        const auto status = (co_await run_to_end(p)).value();
        CHECK(status.code() == code);
        CHECK(server_pid() == 0);
    }
    CHECK(lines.count("no fork server") == 1);
    CHECK(lines.count(reason) == 1);
}

}  // namespace

CO_TEST_CASE("forkserver: where preloading throws, processes are spawned, and one line says why",
             "[process][forkserver]") {
    co_await expect_spawned(build_and_throw, "no dictionary");
}

CO_TEST_CASE("forkserver: where preloading makes a thread, processes are spawned",
             "[process][forkserver]") {
    co_await expect_spawned(build_with_a_thread, "thread");
}

CO_TEST_CASE("forkserver: what the clone is refused for is the start's error",
             "[process][forkserver]") {
    const preloaded refusing([] {
        coproc::system::set_fault_hook(
            [](const char* call) noexcept { return std::strcmp(call, "clone") == 0 ? EAGAIN : 0; });
    });
    process p(by_server, give, 0);
    const auto started = co_await p.start();
    CHECK(started.error() == std::errc::resource_unavailable_try_again);
    CHECK(p.to_string().find("initial") != std::string::npos);
}

CO_TEST_CASE("forkserver: where the clone is not allowed, processes are spawned",
             "[process][forkserver]") {
    const preloaded forbidding([] {
        coproc::system::set_fault_hook(
            [](const char* call) noexcept { return std::strcmp(call, "clone") == 0 ? EPERM : 0; });
    });
    const log_lines lines;
    process p(by_server, give, 4);
    const auto status = (co_await run_to_end(p)).value();
    CHECK(status.code() == 4);
    CHECK(lines.count("no fork server") == 1);
}

CO_TEST_CASE("forkserver: there is one also where memory cannot be shared",
             "[process][forkserver]") {
    coproc::system::set_fault_hook([](const char* call) noexcept {
        return std::strcmp(call, "memfd_create") == 0 ? ENOSYS : 0;
    });
    process p(by_server, give, 4);
    const auto status = co_await run_to_end(p);
    coproc::system::set_fault_hook(nullptr);
    CHECK(status.value().code() == 4);
    CHECK(server_pid() != 0);
}

// -- what becomes of them when the server dies

CO_TEST_CASE("forkserver: its children outlive it, and the next start makes another",
             "[process][forkserver]") {
    auto [ours, theirs] = coproc::pipe().value();
    process waiting(by_server, wait_for_word, std::move(theirs));
    (co_await waiting.start()).value();
    const ::pid_t first = server_pid();
    signal_server(SIGKILL);
    const bool has_gone = co_await eventually([&] { return server_pid() == 0; });
    CHECK(has_gone);
    process next(by_server, give, 5);
    const auto status = (co_await run_to_end(next)).value();
    CHECK(status.code() == 5);
    CHECK(server_pid() != 0);
    CHECK(server_pid() != first);
    CHECK(waiting.is_alive());
    (co_await ours.send(9)).value();
    const auto end = (co_await waiting.join()).value();
    CHECK(end.code() == 9);
}

namespace {

/// Servers made while the file is there take it away and die at a call of theirs; if they are told
/// so, all that they have born gets a signal before.
struct deadly {
    static inline const std::string file =
        std::filesystem::temp_directory_path() / ("coproc_deadly_" + std::to_string(::getpid()));
    static inline const char* deadly_call = nullptr;
    static inline ::pid_t server = 0;
    static inline int signal_to_children = 0;
    static inline bool only_once = true;

    static int hook(const char* call) noexcept {
        if (::getpid() != server || std::strcmp(call, deadly_call) != 0) return 0;
        if (only_once) ::unlink(path().c_str());
        for (const ::pid_t one : children_of(::getppid())) {
            if (one != server) ::kill(one, signal_to_children);
        }
        ::kill(server, SIGKILL);
        return 0;
    }
    /// The test's, whose child the server is.
    static std::string path() {
        return std::filesystem::temp_directory_path() /
               ("coproc_deadly_" + std::to_string(::getppid()));
    }
    static void prepare() {
        if (!std::filesystem::exists(path())) return;
        std::ifstream(path()) >> call_ >> signal_to_children;
        deadly_call = call_.c_str();
        server = ::getpid();
        coproc::system::set_fault_hook(&hook);
    }

    explicit deadly(const std::string& call, int to_children = 0) : prepares_(prepare) {
        std::ofstream(file) << call << ' ' << to_children;
    }
    deadly(const deadly&) = delete;
    deadly& operator=(const deadly&) = delete;
    ~deadly() { ::unlink(file.c_str()); }

 private:
    static inline std::string call_;
    preloaded prepares_;
};

void prepare_to_die_always() {
    deadly::only_once = false;
    deadly::prepare();
}

}  // namespace

CO_TEST_CASE("forkserver: killed at any of its calls, it loses nobody, and nobody runs twice",
             "[process][forkserver]") {
    const auto increment = [](const coproc::shared_memory& runs) {
        return ++*reinterpret_cast<int*>(runs.data().data());
    };
    for (const char* call : {"recvmsg", "clone", "sendmsg"}) {
        CAPTURE(call);
        const deadly server(call);
        auto runs = coproc::shared_memory::create(sizeof(int)).value();
        process p(by_server, increment, runs);
        const auto status = (co_await run_to_end(p)).value();
        CHECK(status.code() == 1);
        CHECK_FALSE(std::filesystem::exists(deadly::file));
        // The next call begins with no server.
        if (server_pid() != 0) signal_server(SIGKILL);
        const bool has_gone = co_await eventually([] { return server_pid() == 0; });
        CHECK(has_gone);
    }
}

CO_TEST_CASE("forkserver: a child that ends with it, before either could tell, is no zombie",
             "[process][forkserver]") {
    // One that is stopped is given time, but not for ever.
    const int signal = GENERATE(SIGKILL, SIGSTOP);
    CAPTURE(signal);
    const deadly server("sendmsg", signal);
    process p(by_server, give, 3);
    const auto status = (co_await run_to_end(p)).value();
    CHECK(status.code() == 3);
    CHECK_FALSE(std::filesystem::exists(deadly::file));
    // The next server.
    const bool is_reaped = co_await eventually([] { return children_of(::getpid()).size() == 1; });
    CHECK(is_reaped);
}

CO_TEST_CASE("forkserver: if none lives long enough, processes are spawned",
             "[process][forkserver]") {
    const deadly servers("recvmsg");
    const preloaded always(prepare_to_die_always);
    const log_lines lines;
    for (int code = 0; code < 3; ++code) {
        process p(by_server, give, code);
        const auto status = (co_await run_to_end(p)).value();
        CHECK(status.code() == code);
    }
    CHECK(server_pid() == 0);
    CHECK(lines.count("several times in a row") == 1);
}

CO_TEST_CASE("forkserver: one is tried again when what has ended them is over",
             "[process][forkserver]") {
    const log_lines lines;
    {
        const deadly servers("recvmsg");
        const preloaded always(prepare_to_die_always);
        process p(by_server, give, 0);
        (co_await run_to_end(p)).value();
    }
    CHECK(server_pid() == 0);
    const auto limit = coproc::clock::now() + 20s;
    while (server_pid() == 0 && coproc::clock::now() < limit) {
        (co_await coproc::sleep_for(10ms)).value();
        process p(by_server, give, 3);
        const auto status = (co_await run_to_end(p)).value();
        CHECK(status.code() == 3);
    }
    CHECK(server_pid() != 0);
    CHECK(lines.count("no fork server") == 1);
}

TEST_CASE("forkserver: the pause after losses doubles up to a minute and a birth ends it",
          "[forkserver]") {
    coproc::detail::losses all;
    coproc::clock::time_point now;
    const auto check_pause = [&](std::chrono::seconds length) {
        CHECK(all.is_pause(now));
        now += length - 1ms;
        CHECK(all.is_pause(now));
        now += 1ms;
        CHECK_FALSE(all.is_pause(now));
    };
    for (int round = 0; round < 2; ++round) {
        CHECK_FALSE(all.add(now));
        CHECK_FALSE(all.add(now));
        CHECK_FALSE(all.is_pause(now));
        CHECK(all.add(now));
        for (const auto length : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s, 60s}) {
            check_pause(length);
            CHECK_FALSE(all.add(now));
        }
        all.forget();
        CHECK_FALSE(all.is_pause(now));
    }
}

namespace {

/// Where the servers write down who they are.
std::filesystem::path pid_file(::pid_t application) {
    return std::filesystem::temp_directory_path() /
           ("coproc_server_" + std::to_string(application));
}

void write_pid_down() { std::ofstream(pid_file(::getppid())) << ::getpid() << '\n'; }

/// The newest server, if it is there: no child of it.
::pid_t known_server() {
    ::pid_t server = 0;
    std::ifstream(pid_file(::getpid())) >> server;
    const auto mine = children_of(::getpid());
    return std::ranges::find(mine, server) != mine.end() ? server : 0;
}

}  // namespace

CO_TEST_CASE("forkserver: killed again and again, every start is a start",
             "[process][forkserver]") {
    const preloaded telling(write_pid_down);
    bool is_over = false;
    int starts = 0;
    int kills = 0;
    // Never two servers without a start in between, or it would be given up.
    const auto kill_servers = [&]() -> task<result<void>> {
        int seen = 0;
        unsigned turn = 1;
        while (!is_over) {
            turn = turn * 1103515245 + 12345;
            COPROC_CO_TRY(co_await coproc::sleep_for(std::chrono::microseconds(turn >> 19U)));
            const ::pid_t server = starts > seen ? known_server() : 0;
            if (server == 0) continue;
            kills += ::kill(server, SIGKILL) == 0;
            seen = starts;
        }
        co_return coproc::success();
    };
    const auto body = [&](coproc::scope& all) -> task<result<void>> {
        all.spawn(kill_servers);
        for (; starts < 1000 && kills < 50; ++starts) {
            process p(by_server, give, starts);
            COPROC_CO_TRY(const auto status, co_await run_to_end(p));
            CHECK(status.code() == starts % 256);
        }
        is_over = true;
        co_return coproc::success();
    };
    (co_await coproc::with_scope(body)).value();
    CHECK(kills > 10);
    std::filesystem::remove(pid_file(::getpid()));
}

CO_TEST_CASE("forkserver: a start that is canceled while the server is stopped is over at once",
             "[process][forkserver]") {
    process first(by_server, give, 0);
    (co_await run_to_end(first)).value();
    signal_server(SIGSTOP);
    auto runs = coproc::shared_memory::create(sizeof(int)).value();
    process p(
        by_server,
        [](const coproc::shared_memory& all) { ++*reinterpret_cast<int*>(all.data().data()); },
        runs);
    for (int i = 0; i < 5; ++i) {
        const auto started = co_await coproc::timeout(5ms, p.start());
        CHECK(started.error() == errc::timed_out);
        CHECK(p.to_string().find("initial") != std::string::npos);
    }
    signal_server(SIGCONT);
    const auto status = (co_await run_to_end(p)).value();
    CHECK(status.code() == 0);
    const bool are_gone = co_await eventually([] { return coproc::active_children().empty(); });
    CHECK(are_gone);
    CHECK(*reinterpret_cast<int*>(runs.data().data()) == 1);
}

CO_TEST_CASE("forkserver: whoever waits for room is told, also when those before have failed",
             "[process][forkserver]") {
    process first(by_server, give, 0);
    (co_await run_to_end(first)).value();
    signal_server(SIGSTOP);
    int ended = 0;
    const auto start_one = [&]() -> task<result<void>> {
        process p(by_server, give, 0);
        const auto started = co_await coproc::timeout(60s, p.start());
        if (started) (co_await p.join()).value();
        CHECK((started || started.error() != errc::timed_out));
        ++ended;
        co_return coproc::success();
    };
    const auto body = [&](coproc::scope& all) -> task<result<void>> {
        for (int i = 0; i < 60; ++i) all.spawn(start_one);
        for (int i = 0; i < 10; ++i) {
            COPROC_CO_TRY(co_await coproc::yield());
        }
        coproc::system::set_fault_hook([](const char* call) noexcept {
            return std::strcmp(call, "sendmsg") == 0 ? ENOBUFS : 0;
        });
        signal_server(SIGCONT);
        co_return coproc::success();
    };
    (co_await coproc::with_scope(body)).value();
    coproc::system::set_fault_hook(nullptr);
    CHECK(ended == 60);
}

TEST_CASE("forkserver: one that stays stopped does not hold up a shutdown for long",
          "[process][forkserver]") {
    const coproc::testing::leak_check leaks;
    {
        auto rt = coproc::runtime::create().value();
        const auto start_in_vain = []() -> task<void> {
            process first(by_server, give, 0);
            (co_await run_to_end(first)).value();
            signal_server(SIGSTOP);
            process p(by_server, give, 0);
            const auto started = co_await coproc::timeout(1ms, p.start());
            CHECK(started.error() == errc::timed_out);
        };
        rt.run(start_in_vain());
        const auto begin = std::chrono::steady_clock::now();
        rt.run(rt.shutdown()).value();
        CHECK(std::chrono::steady_clock::now() - begin < 30s);
    }
    leaks.done();
}
