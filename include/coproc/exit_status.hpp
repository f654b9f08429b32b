#pragma once
// How a process ended: by an exit code, by a signal, by an exception, and what it used.

#include <coproc/error.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace coproc {

/// What a process and those children of its that it has waited for have used.
struct process_usage {
    std::chrono::microseconds user_time{};
    std::chrono::microseconds system_time{};
    /// Bytes; the largest resident set at any time, but not less than the parent had at the start:
    /// until its exec the kernel counts a child with its parent.
    std::uint64_t max_rss = 0;
};

/// A limit of process_options, as the reason of an end.
enum class process_limit {
    none,
    /// Ended by SIGXCPU, whoever sent that; or, if the process had such a limit and has used most
    /// of it (together with the children that it has waited for), by a SIGKILL that is not from
    /// here.
    cpu_time,
    /// It had such a limit, and std::bad_alloc or std::errc::not_enough_memory came out of the
    /// target.
    address_space,
    /// It had such a limit, and std::errc::too_many_files_open came out of the target.
    open_files,
};

class exit_status {
 public:
    exit_status() = default;
    explicit exit_status(int code, bool core_dumped = false, process_usage usage = {}) noexcept
        : code_(code), core_dumped_(core_dumped), usage_(usage) {}

    /// 0 to 255, or -N if signal N ended it.
    int code() const noexcept { return code_; }
    /// The signal that ended it, or 0.
    int signal() const noexcept { return code_ < 0 ? -code_ : 0; }
    bool success() const noexcept { return code_ == 0; }
    bool core_dumped() const noexcept { return core_dumped_; }
    /// All zero if somebody else has reaped the process.
    const process_usage& usage() const noexcept { return usage_; }

    /// Type and what() of the exception that ended the target, or of a failed result; empty if
    /// there was none. A child that could not call its target says so here, too.
    const std::string& exception_type() const noexcept { return exception_type_; }
    const std::string& exception_message() const noexcept { return exception_message_; }
    /// The code of the failed result or std::system_error, if the exception was one;
    /// errc::unknown_target, errc::version_mismatch, errc::bad_message or what refused an option of
    /// the process if the target was never called.
    const std::error_code& failure() const noexcept { return failure_; }

    void set_exception(std::string type, std::string message, std::error_code failure);

    /// The limit that ended it. Not to be known: a target that dies in its own way of what it is
    /// refused, such as of SIGABRT by a bad_alloc in a noexcept function or of SIGSEGV by a stack
    /// that cannot grow, or that handles it and returns a code; and whether it was the machine that
    /// had no more memory.
    process_limit limit() const noexcept { return limit_; }
    void set_limit(process_limit reached) noexcept { limit_ = reached; }

    /// "exitcode 1", "signal SIGTERM", "signal SIGXCPU (limit of CPU time)".
    std::string to_string() const;

 private:
    int code_ = 0;
    bool core_dumped_ = false;
    process_usage usage_;
    std::string exception_type_;
    std::string exception_message_;
    std::error_code failure_;
    process_limit limit_ = process_limit::none;
};

namespace detail {
/// "SIGTERM"; "signal 40" for those without a name.
std::string signal_name(int signal);
}  // namespace detail

}  // namespace coproc
