#include "engine/loop.hpp"

#include "words/system.hpp"

#include <cassert>
#include <utility>

namespace coproc::detail {

void post_back(loop& home, ready_node& node) noexcept { home.push_back(node); }
void post_front(loop& home, ready_node& node) noexcept { home.push_front(node); }

error uv_error(int status, const char* call) {
    return {std::error_code(-status, std::system_category()), call};
}

namespace {

template <class Handle>
uv_handle_t* as_handle(Handle& handle) {
    return reinterpret_cast<uv_handle_t*>(&handle);
}

}  // namespace

/// The loop's libuv handles. They are closed together, and the last close callback frees them.
struct loop::handles {
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uv_async_t inbox;
    int open = 0;

    template <class Handle>
    void init(loop& owner, Handle& handle, int (*start)(uv_loop_t*, Handle*)) {
        start(owner.uv_, &handle);
        adopt(owner, handle);
    }
    template <class Handle>
    void adopt(loop& owner, Handle& handle) {
        handle.data = &owner;
        uv_unref(as_handle(handle));
        ++open;
    }
    template <class Handle>
    void close(Handle& handle) {
        handle.data = this;
        uv_close(as_handle(handle), [](uv_handle_t* closed) {
            auto* self = static_cast<handles*>(closed->data);
            if (--self->open == 0) delete self;
        });
    }
};

result<std::unique_ptr<loop>> loop::create(uv_loop_t* host) {
    std::unique_ptr<loop> made(new loop(host));
    COPROC_TRY(made->open());
    return made;
}

result<void> loop::open() {
    if (const int refused = system::injected_fault("uv_loop_init"))
        return uv_error(-refused, "uv_loop_init");
    if (uv_ == nullptr) {
        if (const int status = uv_loop_init(&own_); status < 0)
            return uv_error(status, "uv_loop_init");
        uv_ = &own_;
    }
    auto made = std::make_unique<handles>();
    const auto on_inbox = [](uv_async_t* self) { static_cast<loop*>(self->data)->collect(); };
    if (const int status = uv_async_init(uv_, &made->inbox, on_inbox); status < 0) {
        return uv_error(status, "uv_async_init");
    }
    handles_ = made.release();
    handles_->adopt(*this, handles_->inbox);
    handles_->init(*this, handles_->prepare, uv_prepare_init);
    handles_->init(*this, handles_->check, uv_check_init);
    handles_->init(*this, handles_->idle, uv_idle_init);
    // Ready coroutines run before libuv waits and after it has called back: what a host's timer
    // made ready is not delayed by the wait, and what an fd made ready runs in the same turn.
    uv_prepare_start(&handles_->prepare,
                     [](uv_prepare_t* self) { static_cast<loop*>(self->data)->go_on(); });
    uv_check_start(&handles_->check,
                   [](uv_check_t* self) { static_cast<loop*>(self->data)->go_on(); });
    return success();
}

loop::~loop() {
    part_from_parent();
    assert(tasks_.empty() &&
           "a runtime is destroyed while tasks live: co_await rt.shutdown() first");
    // Only work posted in the last turn can be left: its caller has been told that it may be.
    while (first_ != nullptr) std::exchange(first_, first_->next)->coroutine.destroy();
    while (!residents_.empty()) {
        const inhabitant last = std::move(residents_.back());
        residents_.pop_back();
    }
    for (uv_timer_t* timer : timers_) {
        uv_close(as_handle(*timer),
                 [](uv_handle_t* closed) { delete reinterpret_cast<uv_timer_t*>(closed); });
    }
    if (handles_ != nullptr) {
        handles_->close(handles_->prepare);
        handles_->close(handles_->check);
        handles_->close(handles_->idle);
        handles_->close(handles_->inbox);
    }
    if (uv_ != &own_ || is_cut_off_) return;
    // One turn for the close callbacks, and one for what they close; never a wait.
    for (int turns = 0; turns < 8 && uv_run(uv_, UV_RUN_NOWAIT) != 0; ++turns) continue;
    [[maybe_unused]] const int closed = uv_loop_close(uv_);
    assert(closed == 0 && "handles of your own are closed before the runtime");
}

void loop::part_from_parent() noexcept {
    if (is_inert_) return;  // the host has done it, or its loop would not turn
    const unsigned now = forks_so_far();
    if (std::exchange(parted_after_, now) == now || uv_loop_fork(uv_) == 0) return;
    // Without fds of its own libuv would abort the program in the next turn, or when it is woken.
    is_cut_off_ = true;
    is_driven_ = false;
}

/// A fork may come between any two callbacks of the host's loop.
void loop::go_on() noexcept {
    if (is_copied_guest()) {
        become_inert();
    } else {
        drain();
    }
}

/// Its tasks do not go on, its fds are the parent's to read, and the host's loop does not live for
/// it.
void loop::become_inert() noexcept {
    is_inert_ = true;
    draining_ = true;  // for good: nobody is resumed, nor makes libuv turn for that
    uv_prepare_stop(&handles_->prepare);
    uv_check_stop(&handles_->check);
    uv_idle_stop(&handles_->idle);
    uv_unref(as_handle(handles_->inbox));
}

void loop::push_back(ready_node& node) noexcept {
    node.next = nullptr;
    if (first_ == nullptr) {
        first_ = &node;
        wake();
    } else {
        last_->next = &node;
    }
    last_ = &node;
}

void loop::push_front(ready_node& node) noexcept {
    node.next = first_;
    if (first_ == nullptr) {
        last_ = &node;
        wake();
    }
    first_ = &node;
}

/// The queue is no longer empty: libuv must not block before it has been drained.
void loop::wake() noexcept {
    if (draining_) return;
    uv_idle_start(&handles_->idle, [](uv_idle_t*) {});
    ring();
}

uv_async_t* loop::inbox() noexcept { return &handles_->inbox; }

/// Resumes what is ready, and what becomes ready by that, but gives libuv a turn (a third of a
/// microsecond if nothing happened) after 128: a coroutine that yields for ever starves no fd.
void loop::drain() noexcept {
    if (first_ == nullptr || draining_) return;
    draining_ = true;
    for (int left = 128; left > 0 && first_ != nullptr; --left) {
        ready_node& node = *std::exchange(first_, first_->next);
        ++counted_.resumptions;
        node.coroutine.resume();
    }
    draining_ = false;
    if (first_ == nullptr) {
        uv_idle_stop(&handles_->idle);
    } else {
        wake();
    }
}

void loop::post(std::unique_ptr<posted> work) {
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(std::move(work));
    // Under the lock: whoever posts is not outrun by the loop's end.
    uv_async_send(&handles_->inbox);
}

/// libuv merges wake-ups, so everything is taken at each.
void loop::collect() {
    std::vector<std::unique_ptr<posted>> work;
    {
        const std::lock_guard lock(inbox_mutex_);
        work.swap(inbox_);
    }
    if (!work.empty()) run_posted(std::move(work)).start_in(scope_);
}

detached loop::run_posted(std::vector<std::unique_ptr<posted>> work) {
    for (const std::unique_ptr<posted>& item : work) item->run();
    co_return;
}

std::uint64_t loop::enter(root& task) noexcept {
    if (tasks_.empty()) uv_ref(as_handle(handles_->inbox));
    tasks_.push_back(task);
    return ++counted_.tasks_spawned;
}

void loop::leave(root& task) noexcept {
    task.unlink();
    ++counted_.tasks_ended;
    if (tasks_.empty()) uv_unref(as_handle(handles_->inbox));
}

task<void> loop::end_residents() {
    std::vector<resident*> all;
    all.reserve(residents_.size());
    for (const inhabitant& each : residents_) all.push_back(each.one.get());
    for (resident* one : all) co_await one->end();
}

void loop::turn() { turn_in(UV_RUN_ONCE); }

void loop::turn_in(uv_run_mode mode) {
    assert(!turning_ && !draining_ && "the loop is already running");
    turning_ = true;
    uv_run(uv_, mode);
    turning_ = false;
}

// -- driven by a foreign loop

namespace {

/// libuv neither polls nor waits in a loop without referenced handles: all of ours are not, while
/// no task lives, and children are to be reaped all the same.
class kept_alive {
 public:
    explicit kept_alive(uv_handle_t* active) noexcept : handle_(active) { uv_ref(handle_); }
    kept_alive(const kept_alive&) = delete;
    kept_alive& operator=(const kept_alive&) = delete;
    ~kept_alive() { uv_unref(handle_); }

 private:
    uv_handle_t* handle_;
};

}  // namespace

int loop::fd() noexcept {
    is_driven_ = uv_ == &own_;
    if (first_ != nullptr) uv_async_send(&handles_->inbox);
    return uv_backend_fd(uv_);
}

std::optional<std::chrono::milliseconds> loop::next_timeout() noexcept {
    const kept_alive meanwhile(as_handle(handles_->prepare));
    uv_update_time(uv_);
    const int timeout = uv_backend_timeout(uv_);
    if (timeout < 0) return std::nullopt;
    return std::chrono::milliseconds(timeout);
}

/// A turn is often followed by another: libuv tells the kernel only in its next turn which fds the
/// tasks of this one have begun to wait for. After the fourth the host is not to wait longer.
void loop::run_ready() {
    assert(uv_ == &own_ && "a host's loop is run by its host");
    for (int turns = 4; turns > 0; --turns) {
        {
            const kept_alive meanwhile(as_handle(handles_->prepare));
            turn_in(UV_RUN_NOWAIT);
        }
        if (next_timeout() != std::chrono::milliseconds::zero()) return;
    }
}

uv_timer_t* loop::take_timer() {
    if (!timers_.empty()) {
        uv_timer_t* timer = timers_.back();
        timers_.pop_back();
        return timer;
    }
    auto timer = std::make_unique<uv_timer_t>();
    uv_timer_init(uv_, timer.get());
    uv_unref(as_handle(*timer));
    return timer.release();
}

void loop::give_timer(uv_timer_t* timer) noexcept {
    uv_timer_stop(timer);
    timers_.push_back(timer);
}

}  // namespace coproc::detail
