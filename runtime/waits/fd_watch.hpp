#pragma once
// One fd's place on one loop: one uv_poll, and who waits for it.
//
// The poll stays armed between two waits, because arming costs two epoll_ctl; it is disarmed for a
// side only when that side turns out to be ready while nobody waits for it. Detach (or destroy)
// before the fd is closed: libuv aborts the program if a polled fd vanishes.

#include <coproc/detail/operation.hpp>

#include <string>

struct uv_poll_s;

namespace coproc::detail {

class fd_watch;

enum class side { read = 0, write = 1 };

/// Finishes when the fd is ready, has failed or was closed on the other side; the system call that
/// follows says which. Cancellation: leaves the watch.
class ready_op : public operation<ready_op>, private list_hook<fd_watch> {
 public:
    ready_op(fd_watch& watch, side which) noexcept : watch_(&watch), side_(which) {}

 private:
    friend operation<ready_op>;
    friend class fd_watch;
    friend class intrusive_list<ready_op, fd_watch>;
    result<void> start(loop& home);
    void cancel();
    void describe(std::string& into) const;

    fd_watch* watch_;
    side side_;
};

class fd_watch {
 public:
    explicit fd_watch(int fd) noexcept : fd_(fd) {}
    fd_watch(const fd_watch&) = delete;
    fd_watch& operator=(const fd_watch&) = delete;
    /// Requires: nobody waits.
    ~fd_watch() { detach(); }

    ready_op readable() noexcept { return {*this, side::read}; }
    ready_op writable() noexcept { return {*this, side::write}; }

    /// Calls on_ready, in the loop's thread, whenever the fd is readable and until detach()
    /// or call_no_more().
    result<void> call_when_readable(loop& home, void (*on_ready)(void*) noexcept, void* argument);

    /// The calls end; who waits goes on.
    void call_no_more() noexcept;

    /// Ends the waits with errc::closed and leaves the loop; a later wait joins one again.
    void detach() noexcept;
    /// The same for good: the fd is going to be closed, and its number somebody else's.
    void close() noexcept;
    bool has_waiters() const noexcept;
    int fd() const noexcept { return fd_; }

 private:
    friend class ready_op;
    struct poll;
    struct polls;

    result<void> join(loop& home);
    result<void> arm(side which);
    void rearm() noexcept;
    void on_poll(int status, int events) noexcept;
    void finish_all(side which, const result<void>& outcome) noexcept;
    intrusive_list<ready_op, fd_watch>& waiting(side which) noexcept;

    int fd_;
    int armed_ = 0;
    poll* poll_ = nullptr;
    intrusive_list<ready_op, fd_watch> readers_;
    intrusive_list<ready_op, fd_watch> writers_;
    void (*on_ready_)(void*) noexcept = nullptr;
    void* argument_ = nullptr;
};

}  // namespace coproc::detail
