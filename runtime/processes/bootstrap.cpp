#include "processes/bootstrap.hpp"

#include <coproc/log.hpp>
#include <coproc/readiness.hpp>
#include <coproc/runtime.hpp>

#include "processes/child_side.hpp"
#include "processes/children.hpp"
#include "processes/identity.hpp"
#include "processes/launch_linux.hpp"
#include "processes/lifeline_linux.hpp"
#include "processes/server_linux.hpp"
#include "processes/surroundings_linux.hpp"
#include "shared/participant.hpp"
#include "wire/modules.hpp"
#include "words/system.hpp"

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>

namespace coproc::detail {

namespace {

child_side* this_child = nullptr;
::pid_t this_pid = 0;
bool cancel_with_parent = false;

/// As the program was started; empty where /proc is not mounted.
std::vector<std::string> command_line() {
    std::vector<std::string> arguments;
    const auto text = system::read_file("/proc/self/cmdline");
    if (!text) return arguments;
    for (std::size_t at = 0; at < text.value().size(); at += arguments.back().size() + 1) {
        arguments.emplace_back(text.value().c_str() + at);
    }
    return arguments;
}

/// The control socket that the environment names, if it is our parent's; the name is taken out of
/// the environment in any case. Not accepted in a program with more rights than its caller
/// (AT_SECURE), and only from the process that is our parent, with our uid.
unique_fd take_control_socket() {
    const char* marker = std::getenv(bootstrap_variable);
    if (marker == nullptr) return {};
    int fd = -1;
    std::from_chars(marker, marker + std::strlen(marker), fd);
    ::unsetenv(bootstrap_variable);
    if (!system::is_unix_stream(fd)) return {};
    const auto peer = system::socket_peer(fd);
    if (!peer) return {};
    // Refused, or the parent is gone already. Not to be a child must not mean to be the program
    // instead, which would start children in turn.
    const bool from_parent = peer.value().pid == ::getppid() && peer.value().uid == ::geteuid();
    if (!from_parent || ::getauxval(AT_SECURE) != 0) ::_exit(1);
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    return unique_fd(fd);
}

/// A terminal's Ctrl-C goes to the whole foreground group; what becomes of the family is the
/// root's decision, so children drop it. A SIGINT that some process has sent acts as always.
void on_interrupt(int, ::siginfo_t* info, void*) {
    if (info->si_code == SI_KERNEL) return;
    ::signal(SIGINT, SIG_DFL);
    ::raise(SIGINT);
}

void drop_terminal_interrupts() {
    struct sigaction action{};
    action.sa_sigaction = &on_interrupt;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigaction(SIGINT, &action, nullptr);
    // Blocked since the launch.
    ::sigset_t interrupt;
    ::sigemptyset(&interrupt);
    ::sigaddset(&interrupt, SIGINT);
    ::pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);
}

/// Runs when the child calls exit(), or main() returns: after everything that is registered later.
void on_exit_of_child(int status, void*) {
    // A process that the target has forked by itself inherits this handler, and is not our child.
    if (::getpid() != this_pid) return;
    release_memory_reserve();
    const int code = status & 0xff;
    log(log_level::info, "process shutting down");
    log(log_level::info, "process exiting with exitcode " + std::to_string(code));
    this_child->report(code);
}

result<control::bootstrap> receive_bootstrap(child_side& side, decoder& message) {
    COPROC_TRY(auto lifeline, message.take_fd());
    COPROC_TRY(control::expect_protocol(message));
    COPROC_TRY(auto bootstrap, message.get<control::bootstrap>());
    process_identity& me = identity();
    me.set(bootstrap.name, bootstrap.daemon);
    me.path = bootstrap.path;
    me.parent_name = bootstrap.parent_name;
    me.parent_pid = ::getppid();
    me.lifeline = std::move(lifeline);
    become(bootstrap.participant);
    set_log_name(bootstrap.name);
    apply({static_cast<log_level>(bootstrap.log_level), bootstrap.log_to_stderr});
    COPROC_TRY(take_lead(bootstrap.place));
    cancel_with_parent = bootstrap.cancel_on_parent_death;
    if (!cancel_with_parent) {
        const bool leads = bootstrap.place.leads != leading::nothing;
        COPROC_TRY(die_with_parent(me.lifeline.get(), leads ? mourners::group : mourners::process));
    }
    this_child = &side;
    return bootstrap;
}

// A coroutine target's life: until it returns, asked to cancel or not; then its own children end.

task<void> cancel_on_request(spawned<result<int>>& target) {
    message_socket& control = this_child->control();
    while (const auto header = co_await control.wait_message()) {
        const bool asked = header.value().type == control::cancel_type;
        control.drop(header.value());
        if (asked) target.cancel();
    }
    // The socket ends when the parent has lost interest, and mostly when it has ended.
    if (cancel_with_parent) target.cancel();
}

/// A plain fork of the parent has the socket's other end, too, and may keep it for long; of the
/// lifeline it has nothing.
task<void> cancel_after_parent(spawned<result<int>>& target) {
    if (!cancel_with_parent) co_return;
    const auto ended = co_await wait_readable(identity().lifeline.get());
    if (ended) target.cancel();
}

task<result<int>> live(task<result<int>> body) {
    const runtime_ref home = co_await current_runtime();
    auto target = home.spawn(std::move(body));
    auto listener = home.spawn_service(cancel_on_request(target));
    auto mourner = home.spawn_service(cancel_after_parent(target));
    result<int> code = errc::canceled;
    std::exception_ptr thrown;
    try {
        code = co_await target;
    } catch (...) {
        thrown = std::current_exception();
    }
    release_memory_reserve();
    if (code) {
        co_await end_children(std::chrono::seconds(5));
    } else {
        co_await stop_children(std::chrono::seconds(5));
    }
    (co_await home.shutdown()).value();
    listener.cancel();
    mourner.cancel();
    (void)co_await listener;
    (void)co_await mourner;
    if (thrown) std::rethrow_exception(thrown);
    co_return code;
}

result<int> run_coroutine_target(task<result<int>> body) {
    COPROC_TRY(auto home, runtime::create());
    return home.run_service(live(std::move(body)));
}

result<int> call_target(const record_place& place, decoder& arguments) {
    COPROC_TRY(const target_record* record, record_at(place));
    log(log_level::info, "child process calling its target");
    const target_caller caller{[]() noexcept { this_child->drop_bootstrap(); },
                               &run_coroutine_target};
    return record->entry(arguments, caller);
}

/// Mostly the parent is gone, or has changed its mind, and there is nobody to tell.
[[noreturn]] void leave_without_bootstrap(child_side& side, const error& why) {
    if (why != errc::end_of_stream && why != errc::truncated) side.note_failure(why);
    ::_exit(1);
}

/// The first message; in a child of the fork server, which the parent has made with another one.
child_side& find_own_side(unique_fd control) {
    auto side = std::make_unique<child_side>(std::move(control));
    const auto first = side->wait_message();
    if (!first) leave_without_bootstrap(*side, first.error());
    if (first.value().type != control::service_type) return *side.release();
    unique_fd own = serve(side->control(), first.value());
    // From here on in each child.
    return *new child_side(std::move(own));
}

/// What the parent has changed since the fork server was made comes first, if there is anything.
result<void> take_on_changes(child_side& side) {
    const auto header = side.wait_message();
    if (!header || header.value().type != control::surroundings_type) return success();
    decoder changes(side.control().body(header.value()), side.control().take_fds(header.value()));
    auto taken_on = take_on(changes);
    side.control().drop(header.value());
    return taken_on;
}

child_code be_child(child_side& side) {
    drop_terminal_interrupts();
    const auto surrounded = take_on_changes(side);
    const auto header = side.wait_bootstrap();
    if (!header) leave_without_bootstrap(side, header.error());
    decoder message(side.control().body(header.value()), side.control().take_fds(header.value()));
    const auto bootstrap = receive_bootstrap(side, message);
    this_child = &side;
    this_pid = ::getpid();
    ::on_exit(&on_exit_of_child, nullptr);
    if (!bootstrap || !surrounded) {
        side.note_failure(bootstrap ? surrounded.error() : bootstrap.error());
        return {1, false};
    }
    child_code outcome{1, bootstrap.value().quick_exit};
    if (const auto placed = take_place(bootstrap.value().place, message); !placed) {
        side.note_failure(placed.error().within("before the target was called"));
        return outcome;
    }
    try {
        const result<int> code = call_target(bootstrap.value().target, message);
        if (code) {
            outcome.code = code.value();
        } else {
            side.note_failure(code.error());
        }
    } catch (...) {
        side.note_exception(std::current_exception());
    }
    return outcome;
}

}  // namespace

child_side* this_child_side() noexcept { return ::getpid() == this_pid ? this_child : nullptr; }

std::optional<child_code> bootstrap() {
    process_identity& me = identity();
    if (me.bootstrapped) return std::nullopt;
    me.bootstrapped = true;
    me.arguments = command_line();
    remember_modules();
    unique_fd control = take_control_socket();
    if (!control) return std::nullopt;
    ::prctl(PR_SET_NAME, program_invocation_short_name);  // the executed name is "exe"
    return be_child(find_own_side(std::move(control)));
}

void leave_quickly(int code) {
    std::cout.flush();
    std::clog.flush();
    std::fflush(nullptr);
    on_exit_of_child(code, nullptr);
    ::_exit(code);
}

}  // namespace coproc::detail
