#pragma once
// supervise: keeps a process running.
//
//   auto ends = coproc::supervise({.process = {.name = "worker"}, .max_restarts = 10}, work, jobs);
//   while (auto end = co_await ends.next())          // restarts while it is awaited
//       coproc::log(coproc::log_level::warning, end->to_string());
//
// A process that fails is started again, after a pause that doubles from failure to failure, until
// it has failed too often in too short a time. The defaults are close to what systemd
// (Restart=on-failure) and Erlang's supervisors (transient) do.

#include <coproc/detail/target.hpp>
#include <coproc/exit_status.hpp>
#include <coproc/generator.hpp>
#include <coproc/process_options.hpp>
#include <coproc/result.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace coproc {

/// When a process that has ended is started again.
enum class restart {
    on_failure,  ///< unless it ended with exit code 0
    always,      ///< however it ended
};

/// Copied at once.
struct supervise_options {
    /// Of each process; without a name, each has the next default name.
    process_options process{};
    restart when = restart::on_failure;
    /// From an end to the restart; twice as long after each further one, up to `longest_pause`.
    std::chrono::nanoseconds first_pause = std::chrono::milliseconds(100);
    std::chrono::nanoseconds longest_pause = std::chrono::seconds(30);
    /// A process that has run for so long is healthy: the next pause is the first one again.
    std::chrono::nanoseconds healthy_after = std::chrono::seconds(10);
    /// It is given up when it would be restarted more often than this within any `period`.
    /// 0: it is started once.
    int max_restarts = 5;
    std::chrono::nanoseconds period = std::chrono::seconds(30);
    /// What a process has to end in order, when the supervision is canceled.
    std::chrono::nanoseconds grace = std::chrono::seconds(5);
};

/// One end of a supervised process.
struct supervised_end {
    enum class next_step {
        restart,  ///< started again after `pause`, if next() is called
        done,     ///< it has ended well; nothing more comes
        give_up,  ///< it has been restarted too often; nothing more comes
        stop,     ///< the supervision was canceled; nothing more comes
    };

    std::string name;
    /// How it ended; an error if it could not be started, or its status was lost.
    result<exit_status> status;
    /// 0 if it could not be started.
    int pid;
    /// How many restarts there were before: 0 for the first process.
    int restarts;
    next_step next;
    std::chrono::nanoseconds pause{};

    /// "worker (pid 4711) ended with signal SIGSEGV: restart 3 in 400 ms".
    std::string to_string() const;
};

namespace detail {

/// A start_request for any number of children.
using shared_request = std::shared_ptr<const start_request>;

generator<supervised_end> keep_running(const supervise_options& options, shared_request what);

}  // namespace detail

/// The ends of a process, as they come, that is started anew after each. It runs while next() is
/// awaited, and between two of them no process does: a restart waits for next() to be called. One
/// that could not be started has failed as others do.
/// The target and its arguments are as for a process, but copied, and the same for each start.
/// Cancellation: of next(): the process is asked to end, as by stop(), and killed after `.grace`;
/// its end is what next() gives, if it was running. Then the generator has ended.
/// Dropping the generator leaves no process.
template <class Target, class... Args>
[[nodiscard]] generator<supervised_end> supervise(const supervise_options& options, Target&& target,
                                                  Args&&... args) {
    if constexpr (detail::check_start<Target, Args...>()) {
        using plain = std::decay_t<Target>;
        using stored = detail::stored_t<plain, std::decay_t<Args>...>;
        constexpr bool copyable = std::is_copy_constructible_v<stored>;
        static_assert(copyable,
                      "a supervised process is started again and again with the same arguments: "
                      "one that cannot be copied, such as a connection, cannot be given to it");
        if constexpr (copyable) {
            return detail::keep_running(
                options, std::make_shared<const detail::start_request_of<plain, stored>>(
                             std::forward<Target>(target), std::forward<Args>(args)...));
        }
    }
}

}  // namespace coproc
