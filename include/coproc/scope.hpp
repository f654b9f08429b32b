#pragma once
// Tasks that run at the same time, and have ended when the scope has:
//
//   auto done = co_await coproc::with_scope([&](coproc::scope& s) -> coproc::task<result<void>> {
//       s.spawn(serve(socket));
//       for (auto& name : names) s.spawn(download, name);
//       co_return co_await stop.wait();
//   });
//
// Children run concurrently with each other and with the body, on the same loop. Whichever fails
// first, child or body, cancels the rest and is what with_scope gives.

#include <coproc/detail/branches.hpp>

#include <functional>
#include <type_traits>
#include <utility>

namespace coproc {

class scope {
 public:
    explicit scope(detail::cancel_scope& outer) noexcept : children_(outer) {}
    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;

    /// Runs a task, or anything else that can be awaited, as a child. Its value is dropped, a
    /// failed result or an exception is a failure of the scope.
    /// A child may spawn more; one that is spawned in a canceled scope finds all its awaits
    /// failing.
    template <detail::awaitable Child>
        requires(!std::is_lvalue_reference_v<Child>)
    void spawn(Child&& child) {
        children_.start(drop, std::identity(), std::forward<Child>(child));
    }

    /// The same with the task that `callable(args…)` returns. The callable and its decayed
    /// arguments, which are passed as rvalues, stay alive until the child has ended, and so does
    /// what they are converted to.
    template <class Callable, class... Args>
        requires requires(std::decay_t<Callable>& call, std::decay_t<Args>... values) {
            call(std::move(values)...);
        }
    void spawn(Callable&& callable, Args&&... args) {
        using child = std::invoke_result_t<std::decay_t<Callable>&, std::decay_t<Args>...>;
        static_assert(detail::awaitable<child>,
                      "scope::spawn needs a callable that returns a task");
        children_.start(drop, std::decay_t<Callable>(std::forward<Callable>(callable)),
                        std::decay_t<Args>(std::forward<Args>(args))...);
    }

    /// Cancels the children and the body. That they then end with errc::canceled is no failure.
    void cancel() noexcept { children_.cancel(); }
    bool is_canceled() noexcept { return children_.inside().is_canceled(); }

    detail::branches& children() noexcept { return children_; }

 private:
    static constexpr auto drop = [](auto&&) {};

    detail::branches children_;
};

namespace detail {

template <class Body>
using body_value = awaited_t<std::invoke_result_t<Body&, scope&>>;

template <class Body>
task<flat_result<body_value<Body>>> run_scope(Body body) {
    cancel_scope& outer = co_await current_scope();
    scope inner(outer);
    branches& children = inner.children();
    flat_result<body_value<Body>> value = errc::canceled;
    co_await enter_scope(children.inside());
    try {
        if constexpr (std::is_void_v<body_value<Body>>) {
            co_await body(inner);
            value = success();
        } else {
            value = co_await body(inner);
        }
        if (!value) children.fail(value.error());
    } catch (...) {
        children.fail(std::current_exception());
    }
    co_await children.join();
    COPROC_CO_TRY(children.verdict());
    co_return value;
}

}  // namespace detail

/// Calls `body(scope&)`, which returns a task, and when that has ended waits for all children,
/// however long they take: result<X> of the body's X or result<X>, or the first failure; what was
/// thrown is rethrown.
/// Cancellation: reaches body and children, which are waited for; errc::canceled if that made any
/// of them fail, the body's value if they all succeeded in spite of it. After scope::cancel() the
/// body's own result stands, whatever the children were canceled in.
template <class Body>
    requires std::is_invocable_v<std::decay_t<Body>&, scope&>
auto with_scope(Body&& body) {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
    static_assert(std::is_lvalue_reference_v<Body> || std::is_trivially_destructible_v<Body>,
                  "GCC 12 destroys a capturing lambda written inside a co_await expression twice: "
                  "name it first, then pass the name");
#endif
    static_assert(detail::awaitable<std::invoke_result_t<std::decay_t<Body>&, scope&>>,
                  "with_scope needs a callable that takes a coproc::scope& and returns a task");
    return detail::run_scope<std::decay_t<Body>>(std::forward<Body>(body));
}

}  // namespace coproc
