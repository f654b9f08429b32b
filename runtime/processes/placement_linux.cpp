#include "processes/placement_linux.hpp"

#include "words/placing_linux.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace coproc::detail {

namespace {

// In the parent.

error out_of_range(std::string option) {
    return {std::make_error_code(std::errc::invalid_argument), std::move(option)};
}

result<void> check_text(const char* option, std::string_view text) {
    if (text.find('\0') == std::string_view::npos) return success();
    return out_of_range(std::string(option) + " with a null byte");
}

result<void> check_environment(std::span<const std::string_view> variables) {
    for (const std::string_view variable : variables) {
        COPROC_TRY(check_text("environment", variable));
        if (variable.empty() || variable.front() == '=')
            return out_of_range("environment: a variable without a name");
    }
    return success();
}

result<void> check(const process_options& options) {
    COPROC_TRY(check_text("working_directory", options.working_directory));
    COPROC_TRY(check_text("thread_name", options.thread_name));
    COPROC_TRY(check_environment(options.environment));
    if (options.umask && *options.umask > 0777) return out_of_range("umask");
    if (options.nice && (*options.nice < -20 || *options.nice > 19)) {
        return out_of_range("nice " + std::to_string(*options.nice));
    }
    for (const int cpu : options.cpus) {
        if (cpu < 0 || cpu >= system::most_cpus)
            return out_of_range("cpus: " + std::to_string(cpu));
    }
    if (options.limits.cpu_seconds == 0U) return out_of_range("limits.cpu_seconds 0");
    return success();
}

using stream = placement::stream;

constexpr std::array stream_names{"standard_input", "standard_output", "standard_error"};

result<unique_fd> open_for(std::size_t number, const redirection& where) {
    using kind = redirection::kind;
    COPROC_TRY(check_text("path", where.path()));
    const std::string path(where.path());
    switch (where.what()) {
        case kind::read:
            return system::open_file(path.c_str(), system::file_use::read);
        case kind::write:
            return system::open_file(path.c_str(), system::file_use::write);
        case kind::append:
            return system::open_file(path.c_str(), system::file_use::append);
        default:
            return system::open_file("/dev/null", number == STDIN_FILENO
                                                      ? system::file_use::read
                                                      : system::file_use::append);
    }
}

result<stream> redirect(std::size_t number, const redirection& where, encoder& message,
                        std::vector<unique_fd>& opened) {
    using kind = redirection::kind;
    if (where.what() == kind::inherit) return stream::inherited;
    if (where.what() == kind::output) {
        if (number != STDERR_FILENO) return out_of_range("to_output() is for standard_error");
        return stream::output;
    }
    if (where.what() == kind::descriptor) {
        if (where.is_connection()) {
            COPROC_TRY(system::set_blocking(where.fd()));
        }
        message.attach(where.fd());
        return stream::attached;
    }
    COPROC_TRY(auto file, open_for(number, where));
    message.attach(file.get());
    opened.push_back(std::move(file));
    return stream::attached;
}

}  // namespace

result<placement> prepare_placement(const process_options& options, encoder& message,
                                    std::vector<unique_fd>& opened) {
    COPROC_TRY(check(options));
    placement made{leading_of(options),
                   !options.working_directory.empty(),
                   {options.environment.begin(), options.environment.end()},
                   options.clear_environment,
                   options.umask,
                   std::string(options.thread_name),
                   {},
                   options.nice,
                   {options.cpus.begin(), options.cpus.end()},
                   options.limits};
    if (made.has_directory) {
        const std::string path(options.working_directory);
        auto directory = system::open_directory(path.c_str());
        if (!directory) return directory.error().within("working_directory " + path);
        message.attach(directory.value().get());
        opened.push_back(std::move(directory).value());
    }
    const std::array given{options.standard_input, options.standard_output, options.standard_error};
    for (std::size_t i = 0; i < given.size(); ++i) {
        const auto redirected = redirect(i, given[i], message, opened);
        if (!redirected) {
            return redirected.error().within(std::string(stream_names[i]) + " " +
                                             std::string(given[i].path()));
        }
        made.streams[i] = redirected.value();
    }
    return made;
}

namespace {

// In the child.

result<void> enter_directory(bool given, decoder& message) {
    if (!given) return success();
    COPROC_TRY(const unique_fd directory, message.take_fd());
    return system::change_directory(directory.get());
}

result<void> set_environment(const placement& where) {
    if (where.clear_environment) ::clearenv();
    for (const std::string& variable : where.environment) {
        const std::size_t equals = variable.find('=');
        const std::string name = variable.substr(0, equals);
        if (equals == std::string::npos) {
            ::unsetenv(name.c_str());
        } else if (::setenv(name.c_str(), variable.c_str() + equals + 1, 1) != 0) {
            return std::errc::not_enough_memory;
        }
    }
    return success();
}

result<void> redirect_streams(const placement& where, decoder& message) {
    if (where.streams == decltype(where.streams){}) return success();
    // What has been printed before belongs where it has been printed to.
    std::fflush(stdout);
    for (int number = 0; number < 3; ++number) {
        switch (where.streams[static_cast<std::size_t>(number)]) {
            case stream::inherited:
                break;
            case stream::attached: {
                COPROC_TRY(const unique_fd fd, message.take_fd());
                COPROC_TRY(system::place_at(fd.get(), number));
                break;
            }
            case stream::output:
                COPROC_TRY(system::place_at(STDOUT_FILENO, number));
                break;
        }
    }
    return success();
}

result<void> limit_to(int resource, const std::optional<std::uint64_t>& most) {
    return most ? system::set_limit(resource, *most, *most) : success();
}

/// The hard limit is a second more, so that SIGXCPU comes before SIGKILL; less, where the parent
/// has no more.
result<void> limit_cpu_time(const std::optional<std::uint64_t>& seconds) {
    if (!seconds) return success();
    ::rlimit now{};
    ::getrlimit(RLIMIT_CPU, &now);
    std::uint64_t hard = *seconds < RLIM_INFINITY ? *seconds + 1 : RLIM_INFINITY;
    if (now.rlim_max >= *seconds) hard = std::min<std::uint64_t>(hard, now.rlim_max);
    return system::set_limit(RLIMIT_CPU, *seconds, hard);
}

/// Held from the moment memory is limited; below malloc's threshold for mappings of their own, so
/// that it becomes small pieces when it is freed.
constexpr std::size_t reserve_size = std::size_t{96} * 1024;
constinit std::atomic<std::byte*> reserve = nullptr;

result<void> limit_memory(const std::optional<std::uint64_t>& bytes) {
    if (!bytes) return success();
    if (const auto used = system::address_space_in_use(); used && used.value() > *bytes) {
        return error(std::make_error_code(std::errc::not_enough_memory),
                     std::to_string(used.value()) + " bytes are in use already");
    }
    reserve = new std::byte[reserve_size];
    return system::set_limit(RLIMIT_AS, *bytes, *bytes);
}

}  // namespace

result<void> take_lead(const placement& where) {
    const ::pid_t self = ::getpid();
    const bool leads = where.leads == leading::session ? ::getsid(0) == self : ::getpgrp() == self;
    if (leads || begin_to_lead(where.leads) == 0) return success();
    return system::last_error(where.leads == leading::session ? "session" : "group");
}

result<void> take_place(const placement& where, decoder& message) {
    const auto step = [](const std::string& option, const result<void>& done) -> result<void> {
        return done ? done : done.error().within(option);
    };
    const process_limits& limits = where.limits;
    COPROC_TRY(step("working_directory", enter_directory(where.has_directory, message)));
    if (where.umask) {
        COPROC_TRY(step("umask", system::set_umask(*where.umask)));
    }
    COPROC_TRY(step("environment", set_environment(where)));
    if (!where.thread_name.empty()) {
        COPROC_TRY(step("thread_name", system::set_thread_name(where.thread_name.c_str())));
    }
    COPROC_TRY(step("redirection", redirect_streams(where, message)));
    if (where.nice) {
        COPROC_TRY(step("nice " + std::to_string(*where.nice), system::set_nice(*where.nice)));
    }
    if (!where.cpus.empty()) {
        COPROC_TRY(step("cpus", system::set_cpus(where.cpus)));
    }
    // Last, as they bind what is done here, too: the fds above have been received, but reading
    // /proc takes one more, and memory is needed by everything.
    COPROC_TRY(step("limits.core_size", limit_to(RLIMIT_CORE, limits.core_size)));
    COPROC_TRY(step("limits.cpu_seconds", limit_cpu_time(limits.cpu_seconds)));
    COPROC_TRY(step("limits.address_space", limit_memory(limits.address_space)));
    return step("limits.open_files", limit_to(RLIMIT_NOFILE, limits.open_files));
}

void release_memory_reserve() noexcept { delete[] reserve.exchange(nullptr); }

process_limit limit_reached(const process_limits& limits, const exit_status& end,
                            bool killed_by_us) noexcept {
    if (end.signal() == SIGXCPU) return process_limit::cpu_time;
    if (end.signal() == SIGKILL && limits.cpu_seconds && !killed_by_us) {
        // The kernel compares with a clock that counts whole ticks, and runs ahead of the one that
        // is reported by a tenth and more where CPUs are shared.
        const auto used = end.usage().user_time + end.usage().system_time;
        const double most_of_it = 0.75 * (static_cast<double>(*limits.cpu_seconds) + 1);
        if (std::chrono::duration<double>(used).count() >= most_of_it)
            return process_limit::cpu_time;
    }
    if (limits.address_space && (end.exception_type() == "std::bad_alloc" ||
                                 end.failure() == std::errc::not_enough_memory)) {
        return process_limit::address_space;
    }
    if (limits.open_files && end.failure() == std::errc::too_many_files_open) {
        return process_limit::open_files;
    }
    return process_limit::none;
}

}  // namespace coproc::detail
