#include <coproc/readiness.hpp>

#include "engine/loop.hpp"
#include "waits/fd_watch.hpp"

#include <map>

namespace coproc {

namespace {

using detail::fd_watch;

struct shared_watch {
    explicit shared_watch(int fd) noexcept : watch(fd) {}
    fd_watch watch;
    int users = 0;
};

/// The watches of the user's fds. A watch lives only while somebody waits, because the user may
/// close the fd afterwards.
class raw_watches final : public detail::resident {
 public:
    explicit raw_watches(detail::loop&) {}

    class lease {
     public:
        lease(raw_watches& from, int fd)
            : from_(&from), place_(from.watches_.try_emplace(fd, fd).first) {
            ++place_->second.users;
        }
        lease(const lease&) = delete;
        lease& operator=(const lease&) = delete;
        ~lease() {
            if (--place_->second.users == 0) from_->watches_.erase(place_);
        }
        fd_watch& watch() const noexcept { return place_->second.watch; }

     private:
        raw_watches* from_;
        std::map<int, shared_watch>::iterator place_;
    };

 private:
    friend class lease;
    std::map<int, shared_watch> watches_;
};

task<result<void>> wait_for(int fd, detail::side which) {
    auto& watches = (co_await detail::current_scope()).home().resident_of<raw_watches>();
    const raw_watches::lease lease(watches, fd);
    co_return co_await detail::ready_op(lease.watch(), which);
}

}  // namespace

task<result<void>> wait_readable(int fd) { return wait_for(fd, detail::side::read); }
task<result<void>> wait_writable(int fd) { return wait_for(fd, detail::side::write); }

}  // namespace coproc
