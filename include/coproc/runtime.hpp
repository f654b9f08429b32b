#pragma once
// runtime: tasks on one libuv loop, in one thread; its own loop, or a guest on the host's.
//
//   auto rt = coproc::runtime::create(uv_default_loop()).value();
//   auto server = rt.spawn(serve());          // runs when the host calls uv_run
//   …  co_await rt.shutdown();                // in a task: cancels and joins all others
//
// A host whose loop is not libuv's drives a runtime that has its own: fd(), next_timeout(),
// run_ready(). A program may have several, each in its own thread. All members are for the loop's
// thread, but for post(). An idle runtime makes no system call and does not keep the host's loop
// alive.
//
// A host may fork itself. The copy has no part in the parent's tasks and children: it makes a
// runtime of its own, whose children end with it. What it has copied it must not run or await, but
// may leave or close; a copied runtime may be destroyed if no task lives. It ends by exec or _exit;
// if other threads use coproc at the moment of the fork, it does nothing else. Where the parent's
// runtime is a guest, the copy may run the host's loop after uv_loop_fork(): the copied guest does
// nothing there. (But libuv counts what offload() had under way, and UV_RUN_DEFAULT would wait for
// it for ever.)

#include <coproc/counters.hpp>
#include <coproc/detail/root.hpp>
#include <coproc/task.hpp>

#include <cassert>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

struct uv_loop_s;

namespace coproc {

/// A task that has been spawned. Dropping the handle leaves the task running.
template <class T>
class spawned {
 public:
    spawned() = default;

    /// Cancels everything that the task awaits, now and later. It ends when it returns.
    void cancel() noexcept {
        if (root_) root_->scope().cancel();
    }
    bool done() const noexcept { return !root_ || root_->has_ended(); }

    /// co_await handle: result<T> when the task has ended (a task<result<U>> gives result<U>);
    /// rethrows what the task threw. At most once.
    /// Cancellation: stops waiting; the task goes on.
    /// Requires: not default-constructed.
    auto operator co_await() const noexcept {
        assert(root_);
        return join_op(root_);
    }

 private:
    friend class runtime_ref;
    using root_type = detail::root_of<T>;

    class join_op : public detail::wait_list::wait_op {
     public:
        explicit join_op(std::shared_ptr<root_type> root) noexcept
            : wait_op(root->ended()), root_(std::move(root)) {}

        detail::flat_result<T> await_resume() {
            COPROC_TRY(wait_op::await_resume());
            if constexpr (std::is_void_v<T>) {
                root_->take();
                return success();
            } else {
                return root_->take();
            }
        }

     private:
        std::shared_ptr<root_type> root_;
    };

    explicit spawned(std::shared_ptr<root_type> root) noexcept : root_(std::move(root)) {}

    std::shared_ptr<root_type> root_;
};

/// Gets what runtime_ref::dump() says.
using dump_sink = std::function<void(const std::string&)>;

/// Somebody's runtime, not owned.
class runtime_ref {
 public:
    explicit runtime_ref(detail::loop& home) noexcept : loop_(&home) {}

    /// Runs `body` as a task of its own, beginning with the loop's next turn.
    template <class T>
    spawned<T> spawn(task<T> body) const {
        return spawned<T>(detail::root_of<T>::start(*loop_, std::move(body)));
    }
    template <class Self, class T>
    spawned<result<T>> spawn(detail::short_way<Self, T>&& body) const {
        return spawn(task<result<T>>(std::move(body)));
    }

    /// Calls `work()` on the loop's thread, in the order of posting. Must not throw. Work for which
    /// the loop does not turn any more is dropped.
    /// Thread-safe. Lifetime: the runtime must not be destroyed before post() has returned.
    template <class Work>
        requires std::is_invocable_v<Work&>
    void post(Work work) const {
        class item final : public detail::posted {
         public:
            explicit item(Work&& work) : work_(std::move(work)) {}
            void run() override { work_(); }

         private:
            Work work_;
        };
        post_item(std::make_unique<item>(std::move(work)));
    }

    /// Cancels all tasks but the one that calls it and waits for their end; stops the children that
    /// were started here, within 5 s. Then the runtime can be destroyed as soon as the caller has
    /// ended, too. A task that never ends when it is canceled is waited for.
    /// Cancellation: none.
    task<result<void>> shutdown() const;

    /// What is going on, in many lines of words for whoever looks for a fault: the tasks, each with
    /// what it waits for and in which coroutines (the line is one of the coroutine's, not of the
    /// await's); the children; and all queues, locks and the like that this process has, with what
    /// is in them and how many loops, of all processes, have somebody who waits. Objects are named
    /// by a number that is the same in all processes. A guess where other threads and processes go
    /// on meanwhile. In a debugger, too:  print rt.dump()  in a frame that has a runtime, of a
    /// program that is linked with libcoproc.so, or refers to dump() somewhere. What it says is for
    /// people, and may have another form in the next version.
    std::string dump() const;

    /// From now on, until the runtime's end, `sink` gets a dump() whenever the process gets
    /// `signal`; if there is no sink, it goes to stderr, each line in one piece, and a line is lost
    /// if a non-blocking stderr has no room for it. The loop has to turn for it, and calls the sink
    /// between two events: one that must neither throw nor turn the loop. Called again it adds a
    /// sink. Meanwhile the signal's default action does not happen; in a plain fork, and when the
    /// runtime has ended, it does. Errors: std::errc::invalid_argument for SIGKILL and SIGSTOP.
    result<void> dump_on(int signal, dump_sink sink = nullptr) const;

    /// What has been done so far.
    runtime_counters counters() const noexcept;

    detail::loop& home() const noexcept { return *loop_; }

    /// For coproc's own tasks: errands, which shutdown() ends like any task, and services, which
    /// serve the others and end after them.
    template <class T>
    spawned<T> spawn_errand(task<T> body) const {
        return spawned<T>(
            detail::root_of<T>::start(*loop_, std::move(body), detail::root::kind::errand));
    }
    template <class T>
    spawned<T> spawn_service(task<T> body) const {
        return spawned<T>(
            detail::root_of<T>::start(*loop_, std::move(body), detail::root::kind::service));
    }

 private:
    void post_item(std::unique_ptr<detail::posted> work) const;

    detail::loop* loop_;
};

class runtime : public runtime_ref {
 public:
    /// With a libuv loop of its own. Errors: std::errc::too_many_files_open.
    static result<runtime> create();
    /// A guest on `host`, which must outlive it, and which needs one more turn after the runtime's
    /// destruction before uv_loop_close. coproc never runs the host's loop, but for run().
    static result<runtime> create(uv_loop_s* host);

    runtime(runtime&&) noexcept;
    runtime& operator=(runtime&&) noexcept;
    /// Requires: no live task, and the loop is not running.
    ~runtime();

    /// Runs the loop until `body` has ended; its value, or the exception that it threw.
    /// Requires: the loop is not running.
    template <class T>
    T run(task<T> body) {
        return finish(detail::root_of<T>::start(home(), std::move(body)));
    }
    template <class Self, class T>
    result<T> run(detail::short_way<Self, T>&& body) {
        return run(task<result<T>>(std::move(body)));
    }
    template <class T>
    T run_service(task<T> body) {
        return finish(
            detail::root_of<T>::start(home(), std::move(body), detail::root::kind::service));
    }

    // A foreign loop (epoll, Asio, GLib, Qt …) drives a runtime made by create() in three steps:
    //
    //   rt.run_ready();                                    // at first, and after each wait
    //   auto longest = rt.next_timeout();
    //   … until rt.fd() is readable, or `longest` has passed …
    //
    // That is all: what is done to the runtime meanwhile, in the host's callbacks (spawn, cancel)
    // or in another thread (post), makes the fd readable, and does not change next_timeout().

    /// Readable while there is something to do, but for timers that are due and for what
    /// run_ready() has left over, which next_timeout() tells; an epoll fd, watched level-triggered
    /// or waited for anew after each run_ready(). For poll, epoll and the like only, and not the
    /// host's to close: it is gone with the runtime.
    int fd() const noexcept;

    /// How long the host may wait at most, in whole milliseconds, rounded so that a wait which ends
    /// on time finds the timer due: 0 if something is ready, nothing if only the fd can tell. Valid
    /// until the next run_ready() or run(), or until you do something to uv_loop() yourself.
    std::optional<std::chrono::milliseconds> next_timeout() const noexcept;

    /// Does what can be done now, and never waits. At most four turns of the loop, each with 256
    /// resumptions of tasks; if there is more to do, next_timeout() is 0, and the host goes first.
    /// Requires: the runtime has its own loop, which is not running: no task calls this.
    void run_ready();

    /// The libuv loop, for handles of your own, which are closed before the runtime is destroyed.
    uv_loop_s* uv_loop() const noexcept;

 private:
    explicit runtime(std::unique_ptr<detail::loop> made) noexcept;
    void turn();
    void after_run() noexcept;
    template <class Root>
    auto finish(const std::shared_ptr<Root>& root) {
        while (!root->has_ended()) turn();
        after_run();
        return root->take();
    }

    std::unique_ptr<detail::loop> owned_;
};

/// co_await current_runtime(): the runtime that the awaiting task runs on, a runtime_ref.
class [[nodiscard]] current_runtime : private detail::current_scope {
 public:
    current_runtime() noexcept = default;
    using detail::current_scope::await_ready;
    using detail::current_scope::await_suspend;
    runtime_ref await_resume() const noexcept {
        return runtime_ref(current_scope::await_resume().home());
    }
};

}  // namespace coproc
