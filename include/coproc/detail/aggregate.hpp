#pragma once
// The members of an aggregate, without boilerplate: their types, and references to all of them.
// The only user of Boost.PFR, and of its list of structured bindings only: PFR's own count of the
// members does not fit, see member_count.

#include <coproc/detail/member_count.hpp>

#include <boost/pfr/detail/core17_generated.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace coproc::detail {

template <class... Ts>
struct type_list {
    static constexpr std::size_t size = sizeof...(Ts);
};

/// Members that we can initialize, and not more than PFR can name.
template <class T>
concept countable = member_count<T> <= 100;

/// A tuple of references to the members, read with get<I>.
template <class T>
constexpr auto tie(T& aggregate) noexcept {
    return boost::pfr::detail::tie_as_tuple(
        aggregate, boost::pfr::detail::size_t_<member_count<std::remove_const_t<T>>>{});
}
using boost::pfr::detail::sequence_tuple::get;

template <class... Ts>
type_list<Ts...> as_type_list(boost::pfr::detail::sequence_tuple::tuple<Ts&...>);
/// The members' types; a reference looks like what it refers to, see refers.
template <class T>
using members_of = decltype(as_type_list(tie(std::declval<T&>())));

/// Initializes a const X, but not a const X&, which would take the conversion to itself.
template <class X>
struct value_not_reference {
    operator const X&() const& = delete;
    operator X() &&;  // NOLINT(google-explicit-constructor): a probe
};
template <class T, class X, std::size_t... Before, std::size_t... Behind>
constexpr bool holds_const(std::index_sequence<Before...>, std::index_sequence<Behind...>) {
    return requires {
        T{any_value_at<Before>{}..., value_not_reference<X>{}, any_value_at<Behind>{}...};
    };
}

template <class T, std::size_t I, class Member, class MemberOfConst>
constexpr bool is_reference_member() {
    constexpr std::size_t count = member_count<T>;
    if constexpr (!std::is_same_v<const Member, MemberOfConst>)
        return true;  // or mutable
    else if constexpr (!std::is_const_v<Member>)
        return false;
    else if constexpr (count != initializers<T>)
        return true;  // not worth telling apart
    else {
        return !holds_const<T, std::remove_const_t<Member>>(
            std::make_index_sequence<I>{}, std::make_index_sequence<count - I - 1>{});
    }
}
template <class T, class... Ms, class... Cs, std::size_t... I>
constexpr bool has_reference(type_list<Ms...>, type_list<Cs...>, std::index_sequence<I...>) {
    return (is_reference_member<T, I, Ms, Cs>() || ...);
}
/// Is a member a reference, or mutable?
template <class T>
concept refers = has_reference<T>(members_of<T>{}, members_of<const T>{},
                                  std::make_index_sequence<member_count<T>>{});

}  // namespace coproc::detail
