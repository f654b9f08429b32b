// The group that a child leads: signals go to all of it, and what has to end, ends as a whole.

#include "processes/child.hpp"
#include "words/placing_linux.hpp"

#include <csignal>

namespace coproc::detail {

result<void> child::send(int number) noexcept {
    if (number == SIGKILL) killed_ = true;
    if (!leads_group()) return system::signal_process(pidfd_.get(), number);
    return system::signal_group(pidfd_.get(), pid_, number);
}

/// What does not end with the process will not be there after it; if the process has ended
/// already, it is gone now.
void child::begin_to_end_group() noexcept {
    if (!leads_group()) return;
    const state now = current();
    if (now == state::started) ends_group_ = true;
    if (now == state::stopped) kill_group();
}

void child::kill_group() noexcept {
    if (pidfd_) (void)system::signal_group(pidfd_.get(), pid_, SIGKILL);
}

/// False if the process has not ended. Called before it is reaped: afterwards, kernels before
/// Linux 6.9 have no name for what is left of its group.
bool child::end_group_of_ended() noexcept {
    if (!ends_group_) return true;
    if (!system::is_readable(pidfd_.get())) return false;
    kill_group();
    return true;
}

}  // namespace coproc::detail
