#pragma once
// Signals as something to wait for. Only coproc::run uses it, which owns main: a handler is a
// matter of the whole program, and a guest touches none.

#include <coproc/detail/wait_list.hpp>

#include <deque>
#include <memory>
#include <vector>

namespace coproc::detail {

/// Collects the given signals from creation to destruction, in the order of their arrival.
class signal_watch {
 public:
    static result<std::unique_ptr<signal_watch>> create(loop& home,
                                                        std::initializer_list<int> signals);
    signal_watch(const signal_watch&) = delete;
    signal_watch& operator=(const signal_watch&) = delete;
    ~signal_watch();

    /// Finishes when a signal has arrived that take() has not yet answered.
    wait_list::wait_op wait() noexcept { return arrived_.wait(); }
    bool empty() const noexcept { return pending_.empty(); }
    int take() noexcept;

 private:
    struct handle;
    signal_watch() = default;

    std::vector<handle*> handles_;
    std::deque<int> pending_;
    wait_list arrived_;
};

}  // namespace coproc::detail
