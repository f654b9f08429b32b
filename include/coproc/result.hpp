#pragma once
// result<T>: a T or a coproc::error. Every operation of coproc returns one; nothing throws.
//
//   COPROC_CO_TRY(auto text, co_await pipe.recv<std::string>());   // or co_return the error
//
// It is Boost.Outcome's basic_result with two differences: value() of a failure throws
// std::system_error with error::message(), and value() of an rvalue returns the T itself, so that
// `for (auto& x : (co_await f()).value())` iterates over something that is still alive.

#include <coproc/error.hpp>

#include <boost/outcome/basic_result.hpp>
#include <boost/outcome/policy/base.hpp>
#include <boost/outcome/try.hpp>

#include <type_traits>
#include <utility>

namespace coproc {

namespace detail {

/// value() of a failure throws, error() of a success is a bug.
struct result_policy : boost::outcome_v2::policy::base {
    template <class Impl>
    static constexpr void wide_value_check(Impl&& self) {
        if (!base::_has_value(self)) throw_failure(base::_error(self));
    }
    template <class Impl>
    static constexpr void wide_error_check(Impl&& self) {
        narrow_error_check(static_cast<Impl&&>(self));
    }
    template <class Impl>
    static constexpr void wide_exception_check(Impl&&) {}
};

template <class T>
using result_base = boost::outcome_v2::basic_result<T, error, result_policy>;

}  // namespace detail

template <class T>
class [[nodiscard]] result : public detail::result_base<T> {
    using base = detail::result_base<T>;

 public:
    using base::base;
    // In place, as T may be made of an error, too: a variant of results is.
    result(errc e)  // NOLINT(google-explicit-constructor)
        : base(std::in_place_type<coproc::error>, coproc::error(e)) {}
    result(std::errc e)  // NOLINT(google-explicit-constructor)
        : base(std::in_place_type<coproc::error>, coproc::error(e)) {}
    result(base&& other) noexcept(std::is_nothrow_move_constructible_v<base>)  // NOLINT
        : base(std::move(other)) {}

    T& value() & { return base::value(); }
    const T& value() const& { return base::value(); }
    T value() && { return static_cast<base&&>(*this).value(); }
};

template <>
class [[nodiscard]] result<void> : public detail::result_base<void> {
    using base = detail::result_base<void>;

 public:
    using base::base;
    /// Success: co_return {};
    result() noexcept : base(boost::outcome_v2::in_place_type<void>) {}
    result(errc e) : base(coproc::error(e)) {}       // NOLINT(google-explicit-constructor)
    result(std::errc e) : base(coproc::error(e)) {}  // NOLINT(google-explicit-constructor)
    result(base&& other) noexcept : base(std::move(other)) {}  // NOLINT
};

/// The successful result<void>.
inline auto success() { return boost::outcome_v2::success(); }

namespace detail {

template <class T>
struct unwrap_result {
    using type = T;
    static constexpr bool is_result = false;
};
template <class T>
struct unwrap_result<result<T>> {
    using type = T;
    static constexpr bool is_result = true;
};

template <class T>
inline constexpr bool is_result_v = unwrap_result<T>::is_result;

/// result<T>, but never a result of a result.
template <class T>
using flat_result = result<typename unwrap_result<T>::type>;

}  // namespace detail

}  // namespace coproc

/// COPROC_TRY(auto x, expr); or COPROC_TRY(expr); — returns the error, or goes on with the value.
#define COPROC_TRY(...) BOOST_OUTCOME_TRY(__VA_ARGS__)
/// The same in a coroutine: co_returns the error.
#define COPROC_CO_TRY(...) BOOST_OUTCOME_CO_TRY(__VA_ARGS__)
