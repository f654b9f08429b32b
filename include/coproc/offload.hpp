#pragma once
// Blocking work off the loop:  auto sum = (co_await coproc::offload([&] { return add(file);
// })).value(); It runs in libuv's thread pool, which the whole program shares (4 threads unless
// UV_THREADPOOL_SIZE says otherwise): never park a wait there that does not end by itself.

#include <coproc/detail/operation.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

namespace coproc {

namespace detail {

class offloaded : public operation<offloaded> {
 protected:
    offloaded() = default;
    offloaded(offloaded&&) = default;
    virtual ~offloaded() = default;

 private:
    friend operation<offloaded>;
    struct request;
    virtual void work() noexcept = 0;
    result<void> start(loop& home);
    void cancel();
    void describe(std::string& into) const;

    request* request_ = nullptr;
};

}  // namespace detail

template <class Work>
class offload_op final : public detail::offloaded {
    using value_type = std::invoke_result_t<Work&>;

 public:
    explicit offload_op(Work work) : work_(std::move(work)) {}

    /// What the work returned; rethrows what it threw.
    detail::flat_result<value_type> await_resume() {
        COPROC_TRY(operation::await_resume());
        if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
        if constexpr (std::is_void_v<value_type>) {
            return success();
        } else {
            return std::move(*value_);
        }
    }

 private:
    void work() noexcept override {
        try {
            if constexpr (std::is_void_v<value_type>) {
                work_();
            } else {
                value_.emplace(work_());
            }
        } catch (...) {
            exception_ = std::current_exception();
        }
    }

    Work work_;
    std::optional<std::conditional_t<std::is_void_v<value_type>, char, value_type>> value_;
    std::exception_ptr exception_;
};

/// Calls `work()` in a thread of the pool: result<R>, where R is what it returns.
/// Cancellation: work that has not begun is dropped with errc::canceled; work that has begun cannot
/// be stopped, and is waited for.
template <class Work>
    requires std::is_invocable_v<std::decay_t<Work>&>
[[nodiscard]] offload_op<std::decay_t<Work>> offload(Work&& work) {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
    static_assert(std::is_lvalue_reference_v<Work> || std::is_trivially_destructible_v<Work>,
                  "GCC 12 destroys a capturing lambda written inside a co_await expression twice: "
                  "name it first, then pass the name");
#endif
    return offload_op<std::decay_t<Work>>(std::forward<Work>(work));
}

}  // namespace coproc
