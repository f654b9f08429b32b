#pragma once
// What main() does:
//
//   coproc::task<int> app() { … }
//   int main() { return coproc::run(app); }
//
// A program that does anything before run(), or whose main() belongs to somebody else, begins with
//
//   if (auto code = coproc::run_if_child()) return *code;
//
// because everything in front of it runs in the children as well.

#include <coproc/detail/awaited.hpp>
#include <coproc/detail/target.hpp>
#include <coproc/task.hpp>

#include <optional>
#include <type_traits>
#include <utility>

namespace coproc {

/// In a process that was started by coproc: calls its target, and gives the exit code that main()
/// has to return. Anywhere else: empty; and from now on this process can start others.
/// Requires: called in main(), before other threads are made; called again, it is empty.
std::optional<int> run_if_child();

namespace detail {
/// Does not come back from a child.
void leave_if_child();
int run_app(task<result<int>> app);
}  // namespace detail

/// Runs the task that `function(args…)` returns, on a runtime of its own, and gives main() its exit
/// code: the task's int, or 0. A failed result or an exception is printed, and is 1.
/// At the end, daemons are terminated (SIGKILL after 2 s) and other children joined, for as long as
/// they take; if the task failed or was canceled, all are stopped within 5 s.
/// SIGINT and SIGTERM cancel the task, a second one kills the children; then the signal takes its
/// default action; in a plain fork of this process they do so at once. Does not return in a child.
template <class Function, class... Args>
    requires std::is_invocable_v<Function&, Args...>
int run(Function function, Args&&... args) {
    using returned = std::invoke_result_t<Function&, Args...>;
    static_assert(detail::like_task<returned>,
                  "run() needs a coroutine: a function that returns a task");
    detail::check_returned<returned>();
    if constexpr (detail::like_task<returned>) {
        static_assert(
            detail::is_exit_value<detail::awaited_t<returned>>,
            "the task given to run() returns void, an int (the exit code) or a result of these");
        detail::leave_if_child();
        // Called here, so that what the arguments are converted to lives until the task has ended.
        return detail::run_app(
            detail::to_exit_task(detail::as_task(function(std::forward<Args>(args)...))));
    }
}

}  // namespace coproc
