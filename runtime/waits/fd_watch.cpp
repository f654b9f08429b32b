#include "waits/fd_watch.hpp"

#include "engine/loop.hpp"
#include "words/system.hpp"

#include <cassert>

namespace coproc::detail {

/// libuv's handle; frees itself when libuv has let go of it.
struct fd_watch::poll : list_hook<fd_watch::poll> {
    uv_poll_t handle;
    loop* home;
    fd_watch* watch;
};

/// The polls of a loop: one that ends detaches the watches that outlive it.
struct fd_watch::polls : resident {
    explicit polls(loop&) {}
    ~polls() override {
        while (!list.empty()) list.front().watch->detach();
    }
    intrusive_list<poll> list;
};

namespace {

int event_of(side which) { return which == side::read ? UV_READABLE : UV_WRITABLE; }

}  // namespace

result<void> ready_op::start(loop& home) {
    COPROC_TRY(watch_->join(home));
    COPROC_TRY(watch_->arm(side_));
    watch_->waiting(side_).push_back(*this);
    return success();
}

void ready_op::cancel() {
    list_hook<fd_watch>::unlink();
    finish(errc::canceled);
}

void ready_op::describe(std::string& into) const {
    into += "fd " + std::to_string(watch_->fd());
    into += side_ == side::read ? " to be readable" : " to be writable";
}

intrusive_list<ready_op, fd_watch>& fd_watch::waiting(side which) noexcept {
    return which == side::read ? readers_ : writers_;
}

bool fd_watch::has_waiters() const noexcept { return !readers_.empty() || !writers_.empty(); }

result<void> fd_watch::call_when_readable(loop& home, void (*on_ready)(void*) noexcept,
                                          void* argument) {
    COPROC_TRY(join(home));
    COPROC_TRY(arm(side::read));
    on_ready_ = on_ready;
    argument_ = argument;
    return success();
}

/// Makes the poll on `home`, leaving another loop where nobody waits any more.
result<void> fd_watch::join(loop& home) {
    if (poll_ != nullptr && poll_->home == &home) return success();
    assert((poll_ == nullptr || !has_waiters()) && "awaited on two loops at the same time");
    detach();
    if (fd_ < 0) return errc::closed;
    if (const int refused = system::injected_fault("uv_poll_init"))
        return uv_error(-refused, "uv_poll_init");
    auto made = std::make_unique<poll>();
    if (const int status = uv_poll_init(home.uv(), &made->handle, fd_); status < 0) {
        return uv_error(status, "uv_poll_init");
    }
    uv_unref(reinterpret_cast<uv_handle_t*>(&made->handle));
    made->handle.data = made.get();
    made->home = &home;
    made->watch = this;
    poll_ = made.release();
    home.resident_of<polls>().list.push_back(*poll_);
    return success();
}

result<void> fd_watch::arm(side which) {
    if ((armed_ & event_of(which)) != 0) return success();
    armed_ |= event_of(which);
    rearm();
    return success();
}

void fd_watch::rearm() noexcept {
    poll_->home->ring();
    if (armed_ == 0) {
        uv_poll_stop(&poll_->handle);
        return;
    }
    uv_poll_start(&poll_->handle, armed_, [](uv_poll_t* handle, int status, int events) {
        const auto& mine = *static_cast<poll*>(handle->data);
        if (mine.home->is_inert()) {
            uv_poll_stop(handle);
        } else if (!mine.home->is_copied_guest()) {  // or the epoll set may be the parent's still
            mine.watch->on_poll(status, events);
        }
    });
}

void fd_watch::on_poll(int status, int events) noexcept {
    // libuv reports POLLERR as a failure and stops the poll; the reason is in the fd, for the
    // system call that the waiters make next.
    const bool failed = status < 0;
    if (failed) armed_ = 0;
    const int before = armed_;
    for (const side which : {side::write, side::read}) {
        if (!failed && (events & event_of(which)) == 0) continue;
        if (waiting(which).empty()) armed_ &= ~event_of(which);
        finish_all(which, success());
    }
    if (on_ready_ != nullptr && (failed || (events & UV_READABLE) != 0)) {
        armed_ |= UV_READABLE;
        if (armed_ != before) rearm();
        on_ready_(argument_);  // may destroy this watch
        return;
    }
    if (armed_ != before) rearm();
}

void fd_watch::finish_all(side which, const result<void>& outcome) noexcept {
    while (ready_op* waiter = waiting(which).pop_front()) waiter->finish(outcome);
}

void fd_watch::call_no_more() noexcept {
    on_ready_ = nullptr;
    if (poll_ == nullptr || !readers_.empty()) return;
    armed_ &= ~UV_READABLE;
    rearm();
}

void fd_watch::close() noexcept {
    detach();
    fd_ = -1;
}

void fd_watch::detach() noexcept {
    if (poll_ != nullptr) poll_->home->part_from_parent();
    finish_all(side::read, errc::closed);
    finish_all(side::write, errc::closed);
    on_ready_ = nullptr;
    armed_ = 0;
    if (poll_ == nullptr) return;
    poll_->home->ring();
    poll* leaving = std::exchange(poll_, nullptr);
    leaving->unlink();
    uv_close(reinterpret_cast<uv_handle_t*>(&leaving->handle),
             [](uv_handle_t* closed) { delete static_cast<poll*>(closed->data); });
}

}  // namespace coproc::detail
