#pragma once
// process: a function of this program, running in a process of its own.
//
//   coproc::process p({.name = "resizer"}, resize, path, 640);
//   (co_await p.start()).value();
//   auto status = (co_await p.join()).value();
//
// The target is a function, a captureless lambda, a coroutine or a function object whose state
// travels; it returns void, its exit code, a result or a task of these. The arguments are converted
// to its parameter types, kept until the child has them, and passed to it as rvalues.

#include <coproc/detail/target.hpp>
#include <coproc/exit_status.hpp>
#include <coproc/process_options.hpp>
#include <coproc/task.hpp>

#include <chrono>
#include <concepts>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace coproc {

namespace detail {
class child;
}

/// Initial; started by start(); stopped after its end. Destroying the object does not end a started
/// process (unless .kill_on_drop): the runtime goes on watching it, and run() joins it at its end.
class process {
 public:
    template <class Target, class... Args>
    explicit process(const process_options& options, Target&& target, Args&&... args)
        : process(options,
                  make_request(std::forward<Target>(target), std::forward<Args>(args)...)) {}

    template <class Target, class... Args>
        requires(!std::same_as<std::remove_cvref_t<Target>, process> &&
                 !std::same_as<std::remove_cvref_t<Target>, process_options>)
    explicit process(Target&& target, Args&&... args)
        : process(process_options{}, std::forward<Target>(target), std::forward<Args>(args)...) {}

    process(process&&) noexcept;
    process& operator=(process&&) noexcept;
    ~process();

    /// Completes when the child has been made and told what to do; its target begins about then.
    /// The object may be moved or dropped meanwhile; all its waits are on one loop, until that loop
    /// is gone. Whatever goes wrong in it afterwards is in its exit status. After an error the
    /// process is initial, with its arguments, and can be started again.
    /// Cancellation: the child is killed, the process is initial.
    /// Errors: errc::already_started; errc::not_bootstrapped; errc::unknown_target for a function
    /// of a library that a child would not have loaded; errc::closed for a closed handle among the
    /// arguments; errc::not_supported in a set-uid program; errc::canceled also if run() ends
    /// before; std::errc::invalid_argument for an option out of its range; what opening its
    /// directory and files refuses; std::errc::too_many_files_open and what else clone and exec
    /// refuse.
    [[nodiscard]] task<result<void>> start();

    /// How it ended, when it has ended. By any number of tasks, any number of times.
    /// Errors: errc::not_started; errc::status_lost if somebody else has reaped it and nobody
    /// knows.
    [[nodiscard]] task<result<exit_status>> join() const;

    /// Asks it to end, and kills it if it has not ended after `grace`: a coroutine target is
    /// canceled, a plain one gets SIGTERM. With .group the whole group gets it, and is gone
    /// afterwards.
    /// Cancellation: the process has been asked, and is not killed.
    template <class Rep, class Period>
    [[nodiscard]] task<result<exit_status>> stop(std::chrono::duration<Rep, Period> grace) {
        return stop_within(std::chrono::ceil<std::chrono::nanoseconds>(grace));
    }

    /// SIGINT, SIGTERM, SIGKILL or another signal, to the process or the group that it leads. After
    /// its end it is a success without effect.
    /// Errors: errc::not_started.
    result<void> interrupt();
    result<void> terminate();
    result<void> kill();
    result<void> send_signal(int signal);

    const std::string& name() const noexcept;
    /// 0 before the start.
    int pid() const noexcept;
    int parent_pid() const noexcept;
    bool daemon() const noexcept;
    bool is_alive() const;
    /// -N for signal N; empty before the end, and if the status was lost.
    std::optional<int> exit_code() const;
    /// The pidfd: readable when the process has ended; not to be closed. -1 before the start.
    int sentinel() const noexcept;

    /// Frees what is left of an ended (or never started) process.
    /// Errors: errc::still_running.
    result<void> close();

    /// <process(name, initial)>, started, stopped, stopped[1], stopped[SIGTERM], stopped[lost],
    /// closed.
    std::string to_string() const;
    friend std::ostream& operator<<(std::ostream& out, const process& one);

 private:
    explicit process(const process_options& options,
                     std::unique_ptr<detail::start_request> request);

    template <class Target, class... Args>
    static std::unique_ptr<detail::start_request> make_request(Target&& target, Args&&... args) {
        if constexpr (detail::check_start<Target, Args...>()) {
            using plain = std::decay_t<Target>;
            using stored = detail::stored_t<plain, std::decay_t<Args>...>;
            return std::make_unique<detail::start_request_of<plain, stored>>(
                std::forward<Target>(target), std::forward<Args>(args)...);
        } else {
            return nullptr;
        }
    }

    task<result<exit_status>> stop_within(std::chrono::nanoseconds grace);

    std::shared_ptr<detail::child> child_;
};

}  // namespace coproc
