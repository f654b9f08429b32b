// Where and how a child runs: each option as the child finds it, for both start methods; what is
// refused, where and in which words; and what the end says of limits.

#include "processes/placement_linux.hpp"

#include <coproc/event.hpp>
#include <coproc/process.hpp>
#include <coproc/this_process.hpp>

#include "support/co_test.hpp"
#include "support/processes.hpp"
#include "words/placing_linux.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>
#include <string>
#include <vector>

extern char** environ;

using namespace std::chrono_literals;
using coproc::errc;
using coproc::exit_status;
using coproc::process;
using coproc::process_limit;
using coproc::process_options;
using coproc::result;
using coproc::start_method;
using coproc::task;
using coproc::testing::ask;
using coproc::testing::quiet_stderr;
using coproc::testing::run_to_end;
namespace fs = std::filesystem;

namespace {

constexpr std::array both{start_method::forkserver, start_method::spawn};

/// What a process finds around it.
struct surroundings {
    std::string directory;
    std::vector<std::string> environment;
    unsigned umask;
    std::string thread_name;
    int nice;
    std::vector<int> cpus;
    std::array<std::uint64_t, 8> limits;  // address space, CPU, files, core; soft and hard
    bool operator==(const surroundings&) const = default;

    std::string variable(const std::string& name) const {
        for (const std::string& one : environment) {
            if (one.starts_with(name + "=")) return one.substr(name.size() + 1);
        }
        return "(none)";
    }
};

std::vector<int> usable_cpus() {
    ::cpu_set_t allowed;
    ::sched_getaffinity(0, sizeof allowed, &allowed);
    std::vector<int> cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(static_cast<std::size_t>(cpu), &allowed)) cpus.push_back(cpu);
    }
    return cpus;
}

surroundings look_around() {
    surroundings seen{fs::current_path().string(),
                      {},
                      ::umask(0),
                      {},
                      ::getpriority(PRIO_PROCESS, 0),
                      usable_cpus(),
                      {}};
    ::umask(seen.umask);
    for (char** one = environ; one != nullptr && *one != nullptr; ++one) {
        seen.environment.emplace_back(*one);
    }
    std::sort(seen.environment.begin(), seen.environment.end());
    std::array<char, 16> name{};
    ::prctl(PR_GET_NAME, name.data());
    seen.thread_name = name.data();
    std::size_t i = 0;
    for (const auto resource : {RLIMIT_AS, RLIMIT_CPU, RLIMIT_NOFILE, RLIMIT_CORE}) {
        ::rlimit limit{};
        ::getrlimit(resource, &limit);
        seen.limits[i++] = limit.rlim_cur;
        seen.limits[i++] = limit.rlim_max;
    }
    return seen;
}

task<void> tell(coproc::connection to) {
    const surroundings seen = look_around();
    (co_await to.send(seen)).value();
}

task<surroundings> seen_with(process_options options) {
    co_return (co_await ask<surroundings>(options, tell)).value();
}

/// A directory of its own for each test.
class scratch {
 public:
    scratch() {
        std::string name = (fs::temp_directory_path() / "coproc-placement-XXXXXX").string();
        path_ = ::mkdtemp(name.data());
    }
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;
    ~scratch() { fs::remove_all(path_); }
    const std::string& path() const { return path_; }

 private:
    std::string path_;
};

std::atomic<const char*> refused_call = nullptr;
int refuse(const char* call) noexcept { return std::strcmp(call, refused_call) == 0 ? EPERM : 0; }

/// Refuses one call by name.
class refusing {
 public:
    explicit refusing(const char* call) {
        refused_call = call;
        coproc::system::set_fault_hook(&refuse);
    }
    refusing(const refusing&) = delete;
    refusing& operator=(const refusing&) = delete;
    ~refusing() { coproc::system::set_fault_hook(nullptr); }
};

void never() { ::_exit(99); }
task<exit_status> end_of(process one) { co_return (co_await run_to_end(one)).value(); }

bool says(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

// -- what the child sees

CO_TEST_CASE("placement: each option changes what it names, and nothing else", "[process]") {
    const scratch folder;
    const std::array<std::string_view, 1> variables{"COPROC_TEST=1"};
    const int last_cpu = usable_cpus().back();
    for (const start_method method : both) {
        const surroundings plain = co_await seen_with({.method = method});
        surroundings here = look_around();
        here.thread_name = plain.thread_name;
        CHECK(plain == here);

        auto expected = plain;
        expected.directory = fs::canonical(folder.path()).string();
        const auto moved =
            co_await seen_with({.method = method, .working_directory = folder.path()});
        CHECK(moved == expected);

        expected = plain;
        expected.environment.emplace_back("COPROC_TEST=1");
        std::sort(expected.environment.begin(), expected.environment.end());
        const auto told = co_await seen_with({.method = method, .environment = variables});
        CHECK(told == expected);

        expected = plain;
        expected.umask = 0135;
        const auto masked = co_await seen_with({.method = method, .umask = 0135});
        CHECK(masked == expected);

        expected = plain;
        expected.thread_name = "a name of more ";
        const auto named =
            co_await seen_with({.method = method, .thread_name = "a name of more than 15"});
        CHECK(named == expected);

        expected = plain;
        expected.nice = plain.nice + 3;
        const auto nice = co_await seen_with({.method = method, .nice = plain.nice + 3});
        CHECK(nice == expected);

        expected = plain;
        expected.cpus = {last_cpu};
        const auto bound = co_await seen_with({.method = method, .cpus = {&last_cpu, 1}});
        CHECK(bound == expected);
    }
}

CO_TEST_CASE("placement: limits are soft and hard, of CPU time a second apart", "[process]") {
    for (const start_method method : both) {
        const surroundings plain = co_await seen_with({.method = method});
        const auto seen = co_await seen_with(
            {.method = method, .limits = {.cpu_seconds = 7, .open_files = 40, .core_size = 4096}});
        auto expected = plain;
        expected.limits = {plain.limits[0], plain.limits[1], 7, 8, 40, 40, 4096, 4096};
        if (plain.limits[7] < 4096) expected.limits[6] = expected.limits[7] = 4096;
        CHECK(seen == expected);
    }
}

CO_TEST_CASE("placement: variables are set, replaced, emptied and removed, or all are new",
             "[process]") {
    ::setenv("COPROC_OLD", "old", 1);
    ::setenv("COPROC_GONE", "old", 1);
    const std::array<std::string_view, 5> variables{
        "COPROC_OLD=new", "COPROC_GONE", "COPROC_EMPTY=", "COPROC_SIGNS==a b=\n", "COPROC_NEVER"};
    for (const start_method method : both) {
        const auto seen = co_await seen_with({.method = method, .environment = variables});
        CHECK(seen.variable("COPROC_OLD") == "new");
        CHECK(seen.variable("COPROC_GONE") == "(none)");
        CHECK(seen.variable("COPROC_EMPTY").empty());
        CHECK(seen.variable("COPROC_SIGNS") == "=a b=\n");
        CHECK(seen.variable("COPROC_BOOTSTRAP") == "(none)");

        const auto bare = co_await seen_with({.method = method, .clear_environment = true});
        CHECK(bare.environment.empty());
        const auto fresh = co_await seen_with(
            {.method = method, .environment = variables, .clear_environment = true});
        CHECK(fresh.environment ==
              std::vector<std::string>{"COPROC_EMPTY=", "COPROC_OLD=new", "COPROC_SIGNS==a b=\n"});
    }
    ::unsetenv("COPROC_OLD");
    ::unsetenv("COPROC_GONE");
}

CO_TEST_CASE("placement: options are copied at once, views and all", "[process]") {
    const scratch folder;
    auto [ours, theirs] = coproc::pipe().value();
    std::optional<process> p;
    {
        std::string name = "a name that is longer than any short string";
        std::string directory = folder.path();
        std::string variable = "COPROC_TEST=a value that is longer than any short string";
        std::vector<std::string_view> variables{variable};
        std::vector<int> cpus{usable_cpus().back()};
        p.emplace(process_options{.name = name,
                                  .working_directory = directory,
                                  .environment = variables,
                                  .thread_name = name,
                                  .cpus = cpus},
                  tell, std::move(theirs));
        for (std::string* text : {&name, &directory, &variable}) text->assign(text->size(), 'x');
        variables.clear();
        cpus[0] = -1;
    }
    (co_await p->start()).value();
    const auto seen = (co_await ours.recv<surroundings>()).value();
    (co_await p->join()).value();
    CHECK(p->name() == "a name that is longer than any short string");
    CHECK(seen.directory == fs::canonical(folder.path()).string());
    CHECK(seen.variable("COPROC_TEST") == "a value that is longer than any short string");
    CHECK(seen.thread_name == "a name that is ");
    CHECK(seen.cpus.size() == 1);
}

namespace {
task<void> tell_through_a_child(coproc::connection to) {
    process child(tell, std::move(to));
    (co_await run_to_end(child)).value();
}
}  // namespace

CO_TEST_CASE("placement: a child's children find what the child was given", "[process]") {
    const scratch folder;
    const std::array<std::string_view, 1> variables{"COPROC_TEST=1"};
    for (const start_method method : both) {
        const process_options options{.method = method,
                                      .working_directory = folder.path(),
                                      .environment = variables,
                                      .umask = 0135,
                                      .limits = {.open_files = 64}};
        const auto seen = (co_await ask<surroundings>(options, tell_through_a_child)).value();
        CHECK(seen.directory == fs::canonical(folder.path()).string());
        CHECK(seen.variable("COPROC_TEST") == "1");
        CHECK(seen.umask == 0135);
        CHECK(seen.limits[5] == 64);
    }
}

// -- what is refused

CO_TEST_CASE("placement: what is out of range is an error of start, by name", "[process]") {
    const std::array<std::string_view, 1> nameless{"=1"};
    const std::array<std::string_view, 1> empty{""};
    const std::string_view null_inside("a\0b", 3);
    const int negative = -1;
    const int enormous = 1000000;
    struct refused {
        process_options options;
        const char* named;
    };
    const std::array cases{
        refused{{.working_directory = null_inside}, "working_directory"},
        refused{{.environment = nameless}, "environment"},
        refused{{.environment = empty}, "environment"},
        refused{{.umask = 01000}, "umask"},
        refused{{.thread_name = null_inside}, "thread_name"},
        refused{{.standard_input = coproc::redirection::read(null_inside)}, "standard_input"},
        refused{{.standard_output = coproc::redirection::to_output()}, "standard_output"},
        refused{{.nice = 20}, "nice 20"},
        refused{{.nice = -21}, "nice -21"},
        refused{{.cpus = {&negative, 1}}, "cpus: -1"},
        refused{{.cpus = {&enormous, 1}}, "cpus: 1000000"},
        refused{{.limits = {.cpu_seconds = 0}}, "cpu_seconds"},
    };
    for (const refused& one : cases) {
        CAPTURE(one.named);
        process p(one.options, never);
        const auto started = co_await p.start();
        REQUIRE_FALSE(started.has_value());
        CHECK(started.error() == std::errc::invalid_argument);
        CHECK(says(started.error().message(), one.named));
        CHECK(says(started.error().message(), p.name()));
        CHECK(says(p.to_string(), "initial"));
        CHECK(coproc::active_children().empty());
    }
}

CO_TEST_CASE("placement: a directory that is not there fails the start, which can be repeated",
             "[process]") {
    const scratch folder;
    const std::string path = folder.path() + "/later";
    for (const start_method method : both) {
        process p(
            {.method = method, .working_directory = path},
            [](std::string expected) { return fs::current_path() == expected ? 3 : 4; },
            fs::canonical(folder.path()).string() + "/later");
        const auto none = co_await p.start();
        CHECK(none.error() == std::errc::no_such_file_or_directory);
        CHECK(says(none.error().message(), path));
        { const coproc::unique_fd file(::open(path.c_str(), O_CREAT | O_WRONLY, 0600)); }
        const auto no_directory = co_await p.start();
        CHECK(no_directory.error() == std::errc::not_a_directory);
        CHECK(says(p.to_string(), "initial"));
        fs::remove(path);
        fs::create_directory(path);
        const auto status = (co_await run_to_end(p)).value();
        CHECK(status.code() == 3);
        fs::remove(path);
    }
}

CO_TEST_CASE("placement: what the child is refused it says, and does not call its target",
             "[process]") {
    const quiet_stderr quiet;
    const int missing = coproc::system::most_cpus - 1;
    const std::array with_missing{usable_cpus().front(), missing};
    for (const start_method method : both) {
        const auto no_cpu =
            co_await end_of(process({.method = method, .cpus = {&missing, 1}}, never));
        CHECK(no_cpu.code() == 1);
        CHECK(no_cpu.failure() == std::errc::invalid_argument);
        CHECK(says(no_cpu.exception_message(), "before the target was called: cpus"));

        // The kernel would do without it.
        const auto one_cpu =
            co_await end_of(process({.method = method, .cpus = with_missing}, never));
        CHECK(one_cpu.failure() == std::errc::invalid_argument);
        CHECK(says(one_cpu.exception_message(), "CPU 8191"));

        const auto no_room = co_await end_of(
            process({.method = method, .limits = {.address_space = 1 << 20}}, never));
        CHECK(no_room.code() == 1);
        CHECK(no_room.limit() == process_limit::address_space);
        CHECK(says(no_room.exception_message(), "limits.address_space"));
        CHECK(says(no_room.exception_message(), "in use already"));
    }
}

namespace {

/// What take_place says in a process of its own, where `call` is refused.
std::string refusal_of(const char* call, const process_options& options) {
    coproc::encoder message;
    std::vector<coproc::unique_fd> opened;
    const auto place = coproc::detail::prepare_placement(options, message, opened).value();
    auto answer = coproc::system::pipe().value();
    std::fflush(stdout);  // not twice
    const ::pid_t pid = ::fork();
    if (pid == 0) {
        std::vector<coproc::unique_fd> fds;
        for (const int fd : message.fds()) fds.emplace_back(::dup(fd));
        coproc::decoder rest({}, std::move(fds));
        const refusing hook(call);
        const auto done = coproc::detail::take_place(place, rest);
        const std::string said = done ? "done" : done.error().message();
        [[maybe_unused]] const auto count = ::write(answer[1].get(), said.data(), said.size());
        ::_exit(0);
    }
    answer[1].reset();
    std::array<char, 500> text{};
    const ssize_t count = ::read(answer[0].get(), text.data(), text.size());
    ::waitpid(pid, nullptr, 0);
    return std::string(text.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
}

}  // namespace

TEST_CASE("placement: each call that the child is refused is named by its option", "[process]") {
    const int cpu = usable_cpus().front();
    const process_options all{.working_directory = "/",
                              .umask = 022,
                              .thread_name = "name",
                              .standard_output = coproc::redirection::null(),
                              .nice = ::getpriority(PRIO_PROCESS, 0),
                              .cpus = {&cpu, 1},
                              .limits = {.core_size = 0}};
    CHECK(refusal_of("none of them", all) == "done");
    struct step {
        const char* call;
        const char* option;
    };
    for (const step one :
         {step{"fchdir", "working_directory: fchdir"}, step{"umask", "umask: umask"},
          step{"prctl", "thread_name: prctl"}, step{"dup2", "redirection: dup2"},
          step{"setpriority", "nice "}, step{"sched_setaffinity", "cpus: sched_setaffinity"},
          step{"sched_getaffinity", "cpus: sched_getaffinity"},
          step{"setrlimit", "limits.core_size: setrlimit"}}) {
        CAPTURE(one.call);
        const std::string said = refusal_of(one.call, all);
        CHECK(says(said, one.option));
        CHECK(says(said, "not permitted"));
    }
}

CO_TEST_CASE("placement: each call that the parent is refused fails the start, not the next one",
             "[process]") {
    process p(
        {.group = true, .working_directory = "/", .standard_output = coproc::redirection::null()},
        [] {});
    for (const char* call : {"open", "fcntl", "child setpgid"}) {
        CAPTURE(call);
        const refusing hook(call);
        const auto started = co_await p.start();
        REQUIRE_FALSE(started.has_value());
        CHECK(started.error() == std::errc::operation_not_permitted);
        CHECK(says(p.to_string(), "initial"));
    }
    const auto status = (co_await run_to_end(p)).value();
    CHECK(status.success());
}

// -- limits

namespace {

void spin() {
    for (std::atomic<unsigned long> turns = 0;;) ++turns;
}
void spin_deaf() {
    ::signal(SIGXCPU, SIG_IGN);
    spin();
}

}  // namespace

CO_TEST_CASE("placement: CPU time that is used up ends an endless loop, and says so",
             "[process][long]") {
    for (const start_method method : both) {
        const auto status = co_await end_of(
            process({.method = method, .limits = {.cpu_seconds = 1, .core_size = 0}}, spin));
        CHECK(status.signal() == SIGXCPU);
        CHECK(status.limit() == process_limit::cpu_time);
        CHECK(status.to_string() == "signal SIGXCPU (limit of CPU time)");
        CHECK_FALSE(status.core_dumped());
    }
    const auto deaf = co_await end_of(process({.limits = {.cpu_seconds = 1}}, spin_deaf));
    CHECK(deaf.signal() == SIGKILL);
    CHECK(deaf.limit() == process_limit::cpu_time);
    CHECK(deaf.to_string() == "signal SIGKILL (limit of CPU time)");
}

CO_TEST_CASE("placement: a kill, and time that is slept, are no limit of CPU time", "[process]") {
    process killed({.limits = {.cpu_seconds = 1}}, [] { ::pause(); });
    (co_await killed.start()).value();
    killed.kill().value();
    const auto status = (co_await killed.join()).value();
    CHECK(status.signal() == SIGKILL);
    CHECK(status.limit() == process_limit::none);
    const auto by_itself = co_await end_of(
        process({.limits = {.cpu_seconds = 1}}, [] { ::kill(::getpid(), SIGKILL); }));
    CHECK(by_itself.limit() == process_limit::none);
}

#if !defined(__SANITIZE_ADDRESS__)  // whose shadow memory is larger than any limit
namespace {

/// Where the pieces are kept: a compiler may leave out a `new` whose result nobody sees.
void* volatile last = nullptr;

void one_large_piece() { last = ::operator new(std::size_t{1} << 40); }
void ever_larger() {
    std::string text = "x";
    for (;;) text += text;
}
/// Takes everything to the last byte, and keeps it.
void many_small_pieces() {
    for (;;) {
        void** piece = static_cast<void**>(::operator new(32));
        *piece = last;
        last = piece;
    }
}
task<void> later_small_pieces() {
    (co_await coproc::yield()).value();
    many_small_pieces();
}
int swallows() {
    try {
        many_small_pieces();
    } catch (const std::bad_alloc&) {
        return 7;
    }
    return 0;
}

}  // namespace

CO_TEST_CASE("placement: memory that is used up is a bad_alloc, and its end says so", "[process]") {
    const quiet_stderr quiet;
    const coproc::process_limits most{.address_space = std::size_t{300} << 20};
    for (const start_method method : both) {
        const process_options options{.method = method, .limits = most};
        for (auto* bomb : {one_large_piece, ever_larger, many_small_pieces}) {
            const auto status = co_await end_of(process(options, bomb));
            CHECK(status.code() == 1);
            CHECK(status.exception_type() == "std::bad_alloc");
            CHECK(status.limit() == process_limit::address_space);
            CHECK(status.to_string() == "exitcode 1 (limit of address space)");
        }
        const auto later = co_await end_of(process(options, later_small_pieces));
        CHECK(later.code() == 1);
        CHECK(later.limit() == process_limit::address_space);

        const auto swallowed = co_await end_of(process(options, swallows));
        CHECK(swallowed.code() == 7);
        CHECK(swallowed.limit() == process_limit::none);
    }
}
#endif

CO_TEST_CASE("placement: without a limit a bad_alloc is none", "[process]") {
    const quiet_stderr quiet;
    const auto status = co_await end_of(process([] { throw std::bad_alloc(); }));
    CHECK(status.exception_type() == "std::bad_alloc");
    CHECK(status.limit() == process_limit::none);
    CHECK(status.to_string() == "exitcode 1");
}

namespace {

void open_many() {
    std::vector<coproc::event> all;
    for (;;) all.push_back(coproc::event::create().value());
}
task<result<void>> open_many_later() {
    std::vector<coproc::event> all;
    for (;;) {
        COPROC_CO_TRY(auto one, coproc::event::create());
        all.push_back(std::move(one));
    }
}
int count(std::vector<coproc::event> all) { return static_cast<int>(all.size()); }

}  // namespace

CO_TEST_CASE("placement: fds that are used up are an error, and the end says so", "[process]") {
    const quiet_stderr quiet;
    for (const start_method method : both) {
        const process_options options{.method = method, .limits = {.open_files = 32}};
        const auto thrown = co_await end_of(process(options, open_many));
        CHECK(thrown.code() == 1);
        CHECK(thrown.exception_type() == "std::system_error");
        CHECK(thrown.failure() == std::errc::too_many_files_open);
        CHECK(thrown.limit() == process_limit::open_files);
        CHECK(thrown.to_string() == "exitcode 1 (limit of open files)");
        const auto failed = co_await end_of(process(options, open_many_later));
        CHECK(failed.limit() == process_limit::open_files);
    }
    const auto one = coproc::event::create().value();
    // LeakSanitizer would look into /proc at the exit.
    const process_options few{.quick_exit = true, .limits = {.open_files = 3}};
    const auto passed = co_await end_of(process(few, count, std::vector<coproc::event>(40, one)));
    CHECK(passed.code() == 40);
    CHECK(passed.limit() == process_limit::none);
}

CO_TEST_CASE("placement: no core is written where none is allowed", "[process]") {
    const auto status = co_await end_of(process({.limits = {.core_size = 0}}, [] {
        ::signal(SIGABRT, SIG_DFL);
        ::raise(SIGABRT);
    }));
    CHECK(status.signal() == SIGABRT);
    CHECK_FALSE(status.core_dumped());
}

TEST_CASE("placement: which ends are taken for a limit's", "[process]") {
    using coproc::detail::limit_reached;
    const coproc::process_limits none;
    const coproc::process_limits two_seconds{.cpu_seconds = 2};
    const exit_status early(-SIGKILL, false, {1900ms, 1s, 0});
    const exit_status late(-SIGKILL, false, {1900ms, 1050ms, 0});
    CHECK(limit_reached(two_seconds, early, false) == process_limit::cpu_time);
    CHECK(limit_reached(two_seconds, exit_status(-SIGKILL, false, {1s, 1s, 0}), false) ==
          process_limit::none);
    CHECK(limit_reached(two_seconds, late, false) == process_limit::cpu_time);
    CHECK(limit_reached(two_seconds, late, true) == process_limit::none);
    CHECK(limit_reached(none, late, false) == process_limit::none);
    CHECK(limit_reached({.cpu_seconds = UINT64_MAX}, late, false) == process_limit::none);
    CHECK(limit_reached(none, exit_status(-SIGXCPU), false) == process_limit::cpu_time);
    CHECK(limit_reached(two_seconds, exit_status(1), false) == process_limit::none);
}
