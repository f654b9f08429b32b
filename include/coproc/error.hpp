#pragma once
// What went wrong, in one small copyable value: a std::error_code for programs to compare, and,
// where there is more to say, a sentence for people and what a child said of itself.
//
//   if (r.error() == coproc::errc::end_of_stream) …   else log(r.error().message());
//
// Errors are values without identity: copies may be read in any thread.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace coproc {

/// coproc's own conditions. What the operating system refuses arrives as its errno in
/// std::system_category(), comparable with std::errc.
enum class errc {
    canceled = 1,       ///< the awaiting task's scope was canceled; nothing was consumed
    timed_out,          ///< a timeout() ended the wait
    would_block,        ///< a try_ form found nothing to do
    closed,             ///< this end, or the whole object, has been closed
    end_of_stream,      ///< the peer is gone and everything it sent has been read
    truncated,          ///< the peer died in the middle of a message
    message_too_large,  ///< more bytes or handles than the object takes
    bad_message,        ///< bytes that no coproc program sent
    type_mismatch,      ///< a message of another type than the one asked for
    not_bootstrapped,   ///< main() has to call coproc::run or coproc::run_if_child first
    not_started,        ///< the process has not been started
    already_started,    ///< the process was started before
    still_running,      ///< the process has to end first
    unknown_target,     ///< the child cannot find the function it should call
    version_mismatch,   ///< the program's files have been replaced while it runs: restart it
    status_lost,        ///< somebody else reaped the child, its status is not to be had
    too_many_releases,  ///< released more often than acquired
    broken_barrier,     ///< a party left the barrier, or it was aborted
    not_supported,      ///< this system or build cannot do it
    child_failed,       ///< a child process has ended without the value that was asked of it
};

/// The one category of errc. Maps to std::errc where one fits (end_of_stream to broken_pipe).
const std::error_category& error_category() noexcept;

std::error_code make_error_code(errc e) noexcept;

}  // namespace coproc

template <>
struct std::is_error_code_enum<coproc::errc> : std::true_type {};

namespace coproc {

class error;

namespace detail {
/// Throws std::system_error with e's code and message; the one throw of the library.
[[noreturn]] void throw_failure(const error& e);
}  // namespace detail

/// An error_code and an optional shared note.
class [[nodiscard]] error {
 public:
    error(errc e) noexcept : code_(e) {}  // NOLINT(google-explicit-constructor)
    error(std::errc e) noexcept : code_(static_cast<int>(e), std::system_category()) {}  // NOLINT
    error(std::error_code code) noexcept : code_(code) {}  // NOLINT(google-explicit-constructor)
    /// `text` says which step, program or target: "start of process-1: exec of /proc/self/exe".
    error(std::error_code code, std::string text);
    error(errc e, std::string text) : error(make_error_code(e), std::move(text)) {}

    /// An exception or failure that happened in a child process.
    static error from_child(std::error_code code, std::string type, std::string message, int pid);

    const std::error_code& code() const noexcept { return code_; }
    /// A sentence: the note, if there is one, and the code's own text.
    std::string message() const;

    /// Type name of the child's exception; empty if the error is our own.
    std::string_view child_type() const noexcept;
    /// what() of the child's exception.
    std::string_view child_message() const noexcept;
    /// 0 if the error is our own.
    int child_pid() const noexcept;

    /// The same error with "step: " in front of its note.
    error within(std::string_view step) const;

    friend bool operator==(const error& a, const error& b) noexcept { return a.code_ == b.code_; }
    friend bool operator==(const error& a, errc b) noexcept { return a.code_ == b; }
    friend bool operator==(const error& a, std::errc b) noexcept { return a.code_ == b; }
    friend bool operator==(const error& a, const std::error_code& b) noexcept {
        return a.code_ == b;
    }

 private:
    struct note;
    friend void detail::throw_failure(const error& e);
    std::string context() const;

    std::error_code code_;
    std::shared_ptr<const note> note_;
};

}  // namespace coproc
