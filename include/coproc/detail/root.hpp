#pragma once
// A spawned task: the root of a stack of coroutines, with the scope that cancels it and the place
// where its value waits for whoever joins it.

#include <coproc/detail/cancel_scope.hpp>
#include <coproc/detail/detached.hpp>
#include <coproc/detail/wait_list.hpp>
#include <coproc/task.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace coproc::detail {

/// What another thread has posted.
class posted {
 public:
    virtual ~posted() = default;
    virtual void run() = 0;
};

class root : public list_hook<root> {
 public:
    /// Errands and services are coproc's own. shutdown() cancels tasks and errands, and waits for
    /// their end; services end by themselves when these have.
    enum class kind { task, errand, service };

    explicit root(loop& home, kind which = kind::task) noexcept : scope_(home), kind_(which) {}
    root(const root&) = delete;
    root& operator=(const root&) = delete;
    virtual ~root() = default;

    bool ends_in_shutdown() const noexcept { return kind_ != kind::service && !shutting_down_; }
    /// It waits for the others, so none of them must wait for it.
    void begins_shutdown() noexcept { shutting_down_ = true; }

    cancel_scope& scope() noexcept { return scope_; }
    wait_list& ended() noexcept { return ended_; }
    bool has_ended() const noexcept { return ended_.is_open(); }

    bool is_callers() const noexcept { return kind_ == kind::task; }
    const char* kind_name() const noexcept {
        if (kind_ == kind::task) return "task";
        return kind_ == kind::errand ? "errand" : "service";
    }
    /// The first task of a loop is 1.
    std::uint64_t number() const noexcept { return number_; }
    void describe(std::string& into) const {
        into += std::string("the end of ") + kind_name() + ' ' + std::to_string(number_);
    }

    /// Joins the loop's tasks; leaves them when the task has ended.
    void enter() noexcept;
    void leave() noexcept;

 private:
    cancel_scope scope_;
    wait_list ended_{waited_for(*this)};
    std::uint64_t number_ = 0;
    kind kind_;
    bool shutting_down_ = false;
};

/// The root of a task<T>. Kept alive by the running coroutine and by the handle.
template <class T>
class root_of final : public root {
 public:
    using root::root;

    /// Requires: has_ended(). Rethrows what the task threw. Once.
    T take() {
        if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
        if constexpr (!std::is_void_v<T>) return std::move(*value_);
    }

    static std::shared_ptr<root_of> start(loop& home, task<T> body, kind which = kind::task) {
        auto made = std::make_shared<root_of>(home, which);
        made->enter();
        drive(std::move(body), made).start_in(made->scope());
        return made;
    }

 private:
    static detached drive(task<T> body, std::shared_ptr<root_of> self) {
        try {
            if constexpr (std::is_void_v<T>) {
                co_await std::move(body);
            } else {
                self->value_.emplace(co_await std::move(body));
            }
        } catch (...) {
            self->exception_ = std::current_exception();
        }
        self->leave();
    }

    std::optional<std::conditional_t<std::is_void_v<T>, char, T>> value_;
    std::exception_ptr exception_;
};

}  // namespace coproc::detail
