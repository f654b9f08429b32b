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
    /// The code of the failed result, if the exception was one; errc::unknown_target,
    /// errc::version_mismatch or errc::bad_message if the target was never called.
    const std::error_code& failure() const noexcept { return failure_; }

    void set_exception(std::string type, std::string message, std::error_code failure);

    /// "exitcode 1", "signal SIGTERM".
    std::string to_string() const;

 private:
    int code_ = 0;
    bool core_dumped_ = false;
    process_usage usage_;
    std::string exception_type_;
    std::string exception_message_;
    std::error_code failure_;
};

namespace detail {
/// "SIGTERM"; "signal 40" for those without a name.
std::string signal_name(int signal);
}  // namespace detail

}  // namespace coproc
