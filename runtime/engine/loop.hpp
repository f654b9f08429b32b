#pragma once
// The loop: a guest on a libuv loop (its own or the host's), and the only thing that resumes
// coroutines, so that user code never runs inside a libuv callback's caller and never starves it.
//
// Invariants: coroutines are resumed only by drain(), in the loop's thread; when the queue of
// ready coroutines is not empty outside drain(), libuv does not block (the idle handle runs);
// all handles are unreferenced, but for one while tasks live; a libuv handle's memory frees
// itself in its close callback, so it may outlive the loop.

#include <coproc/counters.hpp>
#include <coproc/detail/detached.hpp>
#include <coproc/detail/promise_base.hpp>
#include <coproc/detail/root.hpp>
#include <coproc/result.hpp>

#include "words/forks.hpp"

#include <uv.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace coproc::detail {

/// Something that lives as long as the loop, one of each type: raw fd watches, the children.
/// Destroyed by the loop before its handles are closed.
class resident {
 public:
    virtual ~resident() = default;
    /// What a shutdown() waits for.
    virtual task<void> end() { co_return; }
};

class loop {
 public:
    /// A guest on `host`, which outlives it; its own libuv loop if there is no host.
    static result<std::unique_ptr<loop>> create(uv_loop_t* host);
    /// Requires: no live task.
    ~loop();

    uv_loop_t* uv() const noexcept { return uv_; }

    void push_back(ready_node& node) noexcept;
    void push_front(ready_node& node) noexcept;
    /// Thread-safe.
    void post(std::unique_ptr<posted> work);

    /// A task lives: libuv's loop is kept running until all have left. Answers its number.
    std::uint64_t enter(root& task) noexcept;
    void leave(root& task) noexcept;
    /// A live task of which that is true, or nullptr.
    template <class Predicate>
    root* find_task(Predicate is_wanted) {
        root* found = nullptr;
        tasks_.for_each([&](root& task) {
            if (is_wanted(task)) found = &task;
        });
        return found;
    }
    /// Awaits end() of all residents.
    task<void> end_residents();

    /// Appends what they wait for.
    void describe_tasks(std::string& into);
    runtime_counters& counted() noexcept { return counted_; }

    /// Runs one turn of libuv's loop; waits if nothing is ready.
    void turn();

    /// In a plain fork of the process that made this loop: from now on what is done to it does not
    /// reach the parent's, with which it has shared an epoll set. Where file descriptors are too
    /// short for that, it never turns again, and what libuv has of it is left to the process's end.
    void part_from_parent() noexcept;

    /// A guest in a plain fork of the process that made it: nothing of it is to act, though the
    /// fork runs its copy of the host's loop.
    bool is_copied_guest() const noexcept {
        return uv_ != &own_ && forks_so_far() != forks_before_;
    }
    /// The same, and the loop has seen it: libuv may be told.
    bool is_inert() const noexcept { return is_inert_; }

    /// For a foreign loop that drives this one. From the first fd() on, what becomes ready outside
    /// a turn makes the fd readable.
    int fd() noexcept;
    std::optional<std::chrono::milliseconds> next_timeout() noexcept;
    void run_ready();
    /// What libuv has been told to watch outside a turn is to be looked at by who drives it.
    void ring() noexcept {
        if (is_driven_ && !turning_) uv_async_send(inbox());
    }

    /// A stopped timer without owner; given back stopped.
    uv_timer_t* take_timer();
    void give_timer(uv_timer_t* timer) noexcept;

    /// The loop's one T, made when it is first asked for, and destroyed before those made earlier.
    template <class T>
    T& resident_of() {
        static char type = 0;  // its address is T's; a constant might be merged with others
        for (const inhabitant& known : residents_) {
            if (known.type == &type) return static_cast<T&>(*known.one);
        }
        residents_.push_back({&type, std::make_unique<T>(*this)});
        return static_cast<T&>(*residents_.back().one);
    }

 private:
    struct handles;
    struct inhabitant {
        const void* type;
        std::unique_ptr<resident> one;
    };
    explicit loop(uv_loop_t* host) noexcept : uv_(host) {}
    result<void> open();
    uv_async_t* inbox() noexcept;
    void wake() noexcept;
    void drain() noexcept;
    void collect();
    void turn_in(uv_run_mode mode);
    void go_on() noexcept;
    void become_inert() noexcept;
    static detached run_posted(std::vector<std::unique_ptr<posted>> work);

    uv_loop_t own_{};
    uv_loop_t* uv_;
    const unsigned forks_before_ = forks_so_far();
    unsigned parted_after_ = forks_before_;  // so many forks
    handles* handles_ = nullptr;
    ready_node* first_ = nullptr;
    ready_node* last_ = nullptr;
    bool draining_ = false;
    bool turning_ = false;
    bool is_driven_ = false;   // by a foreign loop, which sees nothing of us but the fd
    bool is_cut_off_ = false;  // a copy that could not part from its parent's
    bool is_inert_ = false;    // a copied guest that has seen so
    intrusive_list<root> tasks_;
    runtime_counters counted_;
    cancel_scope scope_{*this};
    std::vector<uv_timer_t*> timers_;
    std::vector<inhabitant> residents_;  // a handful
    std::mutex inbox_mutex_;
    std::vector<std::unique_ptr<posted>> inbox_;
};

/// A libuv error as ours.
error uv_error(int status, const char* call);

}  // namespace coproc::detail
