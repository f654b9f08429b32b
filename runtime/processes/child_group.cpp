// The group that a child leads: signals go to all of it, and it ends with its leader.

#include "processes/child.hpp"
#include "words/placing_linux.hpp"

#include <csignal>

namespace coproc::detail {

result<void> child::send(int number) noexcept {
    if (number == SIGKILL) killed_ = true;
    if (!leads_group()) return system::signal_process(pidfd_.get(), number);
    auto sent = system::signal_group(pidfd_.get(), pid_, number);
    const bool nobody = !sent && sent.error() == std::errc::no_such_process;
    // The leader may have left for another group.
    if (nobody || number == SIGKILL) return system::signal_process(pidfd_.get(), number);
    return sent;
}

/// False if the process has not ended. Called before it is reaped: afterwards, kernels before
/// Linux 6.9 have no name for what is left of its group.
bool child::end_group_of_ended() noexcept {
    if (!leads_group()) return true;
    if (!system::is_readable(pidfd_.get())) return false;
    (void)system::signal_group(pidfd_.get(), pid_, SIGKILL);
    return true;
}

}  // namespace coproc::detail
