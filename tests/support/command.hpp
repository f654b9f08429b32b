#pragma once
// Another program, run by a test:
//
//   const auto ended = coproc::testing::command({"wc", "-l", file}).finish();
//   REQUIRE(ended.out == "3 " + file + "\n");
//
// It runs in a session of its own, so that every process of it can be found, and is killed with all
// of them when the object goes.

#include <coproc/detail/unique_fd.hpp>

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace coproc::testing {

struct ended_command {
    std::string out;
    std::string err;
    int code = 0;               ///< -N for signal N
    std::vector<::pid_t> left;  ///< the processes of it that were alive when it had ended
};

class command {
 public:
    struct options {
        std::vector<std::string> environment;  ///< "NAME=value", besides the test's own
        bool as_nobody = false;  ///< root's rights are dropped; without them it makes no difference
        bool on_terminal = false;  ///< stdin and stderr are a terminal
    };

    explicit command(const std::vector<std::string>& words) : command(words, options()) {}
    command(const std::vector<std::string>& words, const options& how);
    command(const command&) = delete;
    command& operator=(const command&) = delete;
    ~command();

    ::pid_t pid() const noexcept { return pid_; }
    void send_signal(int signal) const;
    /// What somebody types at the terminal.
    void type(std::string_view keys) const;
    /// Reads on until stderr has `text` in it.
    void wait_for_error(std::string_view text);
    /// Reads on until stdout has a whole line, the first; gives it without its end.
    std::string first_line();
    /// Until both streams are at their end and the program is, too.
    ended_command finish();

 private:
    void start(const std::vector<std::string>& words, const options& how);
    void pump(std::chrono::steady_clock::time_point limit);

    ::pid_t pid_ = 0;
    detail::unique_fd pidfd_;
    detail::unique_fd out_;
    detail::unique_fd err_;  // or the terminal's other side
    ended_command ended_;
    bool has_ended_ = false;
};

/// The children of all threads of a process, zombies included; sorted.
std::vector<::pid_t> children_of(::pid_t parent);
/// Has the process `file` open?
bool has_open(::pid_t process, const std::string& file);
/// Sends SIGKILL and waits for the end; whose child it is makes no difference.
void kill_and_wait(::pid_t process);
/// Asks again and again, and fails the test when that takes too long.
void wait_until(const std::string& what, const std::function<bool()>& is_true);

}  // namespace coproc::testing
