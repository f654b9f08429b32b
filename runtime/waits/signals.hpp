#pragma once
// Signals as something to wait for. Only coproc::run, which owns main, and runtime::dump_on(),
// which is told to, use it: a handler is a matter of the whole program, and a guest touches none.

#include <coproc/detail/wait_list.hpp>

#include <deque>
#include <memory>
#include <vector>

namespace coproc::detail {

/// Collects the given signals from creation to destruction, in the order of their arrival. In a
/// plain fork of this process they take their default action.
class signal_watch {
 public:
    static result<std::unique_ptr<signal_watch>> create(loop& home,
                                                        std::initializer_list<int> signals);
    signal_watch(const signal_watch&) = delete;
    signal_watch& operator=(const signal_watch&) = delete;
    ~signal_watch();

    /// Finishes when a signal has arrived that take() has not yet answered.
    wait_list::wait_op wait() noexcept { return arrived_.wait(); }
    /// The same by a call; what has arrived stays until take().
    void call_on_arrival(void (*on_arrival)(void*) noexcept, void* argument) noexcept {
        on_arrival_ = on_arrival;
        argument_ = argument;
    }
    bool empty() const noexcept { return pending_.empty(); }
    int take() noexcept;

 private:
    struct handle;
    signal_watch() = default;

    std::vector<handle*> handles_;
    std::deque<int> pending_;
    void (*on_arrival_)(void*) noexcept = nullptr;
    void* argument_ = nullptr;
    wait_list arrived_{"a signal"};
};

}  // namespace coproc::detail
