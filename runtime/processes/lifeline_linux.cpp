#include "processes/lifeline_linux.hpp"

#include "words/system.hpp"

#include <csignal>
#include <mutex>
#include <string>

#include <unistd.h>

namespace coproc::detail {

result<std::shared_ptr<lifeline>> lifeline::hold() {
    static std::mutex mutex;
    static std::weak_ptr<lifeline> current;
    const std::lock_guard lock(mutex);
    if (auto held = current.lock()) return held;
    COPROC_TRY(auto ends, system::pipe());
    auto made = std::make_shared<lifeline>();
    made->read_end_ = std::move(ends[0]);
    made->write_end_ = std::move(ends[1]);
    current = made;
    return made;
}

result<void> die_with_parent(int read_end) {
    // A file description of its own: owner and signal of the one that all children share would be
    // those of the last child to ask.
    const std::string path = "/proc/self/fd/" + std::to_string(read_end);
    COPROC_TRY(auto own, system::open_read_only(path.c_str()));
    COPROC_TRY(system::kill_on_end_of(own.get()));
    // An end before that was reported to nobody. Asked of the old description: one that is opened
    // when there is no writer any more does not count the pipe as ended.
    if (system::is_readable(read_end)) ::kill(::getpid(), SIGKILL);
    own.release();  // for the rest of the process's life
    return success();
}

}  // namespace coproc::detail
