#include "processes/lifeline_linux.hpp"

#include "words/forks.hpp"
#include "words/system.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <string>

namespace coproc::detail {

namespace {

// The current lifeline's ends, for a process that the host forks; -1 if there is none.
constinit std::atomic<int> current_read_end = -1;
constinit std::atomic<int> current_write_end = -1;

/// In a plain fork of this process: nobody but the parent may have the write end, or its children
/// would outlive it. The fd keeps its number, because the copied objects will close it.
void give_up_write_end() {
    const int write_end = current_write_end.load();
    if (write_end >= 0) ::dup3(current_read_end.load(), write_end, O_CLOEXEC);
}

}  // namespace

result<std::shared_ptr<lifeline>> lifeline::hold() {
    static std::mutex mutex;
    static std::weak_ptr<lifeline> current;
    static unsigned made_after = 0;
    static const int registered = ::pthread_atfork(nullptr, nullptr, &give_up_write_end);
    const std::lock_guard lock(mutex);
    const unsigned forks = forks_so_far();
    if (auto held = current.lock(); held && made_after == forks) return held;
    if (registered != 0) return std::errc::not_enough_memory;
    COPROC_TRY(auto ends, system::pipe());
    // It is opened anew for each child, perhaps as another user: who cannot reach our fds cannot
    // reach it.
    COPROC_TRY(system::make_public(ends[0].get()));
    auto made = std::make_shared<lifeline>();
    made->read_end_ = std::move(ends[0]);
    made->write_end_ = std::move(ends[1]);
    current_read_end = made->read_end_.get();
    current_write_end = made->write_end_.get();
    current = made;
    made_after = forks;
    return made;
}

lifeline::~lifeline() {
    int mine = write_end_.get();
    // Not if another thread has made the next one already.
    current_write_end.compare_exchange_strong(mine, -1);
}

result<unique_fd> lifeline::open_for_child() const {
    const std::string path = "/proc/thread-self/fd/" + std::to_string(read_end_.get());
    return system::open_read_only(path.c_str());
}

result<void> die_with_parent(int lifeline, mourners who) {
    const ::pid_t self = ::getpid();
    COPROC_TRY(system::kill_on_end_of(lifeline, who == mourners::group ? -self : self));
    // A leader may execute a shell: with the fd, what the shell starts dies with the parent, too.
    if (who == mourners::group) {
        COPROC_TRY(system::keep_across_exec(lifeline));
    }
    // An end before that was reported to nobody.
    if (system::is_readable(lifeline)) ::kill(::getpid(), SIGKILL);
    return success();
}

}  // namespace coproc::detail
