#pragma once
// The child's end of the control socket: what it has to do, and what became of it.

#include "channels/message_socket.hpp"
#include "processes/control.hpp"

#include <exception>
#include <memory>

namespace coproc::detail {

/// One in a child process, none elsewhere. Never destroyed: exit() makes the last report.
class child_side {
 public:
    explicit child_side(unique_fd control) noexcept : control_(std::move(control)) {}

    message_socket& control() noexcept { return control_; }

    /// Waits, blocking, for a message, which stays. Says who it is, if it is asked.
    result<message_header> wait_message();
    /// Errors: the parent is gone, or sent something else.
    result<message_header> wait_bootstrap();
    /// What comes next on the socket are the parent's requests.
    void drop_bootstrap() noexcept { control_.drop(bootstrap_); }

    /// Notes why the target failed, and prints it, as Python does. That a target which was asked to
    /// end was canceled is not worth a line.
    void note_failure(const error& why);
    void note_exception(const std::exception_ptr& thrown);
    /// Tells the parent the exit code, and what was noted.
    void report(int code) noexcept;
    /// Tells it of a child of ours, or of a child's.
    void tell_birth(int pidfd, std::uint64_t participant) noexcept;

 private:
    void say_hello() noexcept;
    void note(std::string type, std::string message, bool expected = false);
    void note_code(const std::error_code& why) noexcept;

    message_socket control_;
    message_header bootstrap_{};
    control::report last_{};
};

/// Of this process; nullptr in the root of a family, and in a plain fork of a child.
child_side* this_child_side() noexcept;

}  // namespace coproc::detail
