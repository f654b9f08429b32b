#pragma once
// Which types can travel, decided by looking into them, and one sentence for those that cannot.

#include <coproc/detail/codec_scalars.hpp>

namespace coproc::detail {

enum class refusal {
    none,
    reference,
    pointer,
    view,
    array,
    union_type,
    base_class,
    reference_member,
    incomplete,
    hidden_members,
};

/// Why `Offender`, which is T itself or somewhere inside it, keeps T from traveling.
template <class Offender, refusal Why>
struct verdict {
    static constexpr bool travels = Why == refusal::none;
};
using acquittal = verdict<void, refusal::none>;

template <class T>
concept complete = requires { sizeof(T); };
template <class T>
concept points = std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_function_v<T> ||
                 std::is_null_pointer_v<T>;

/// Why a type that nobody has a codec for is refused.
template <class T>
consteval auto accuse() {
    if constexpr (points<T>)
        return verdict<T, refusal::pointer>{};
    else if constexpr (std::is_array_v<T>)
        return verdict<T, refusal::array>{};
    else if constexpr (!complete<T>)
        return verdict<T, refusal::incomplete>{};
    else if constexpr (std::ranges::enable_view<T>)
        return verdict<T, refusal::view>{};
    else if constexpr (std::is_union_v<T>)
        return verdict<T, refusal::union_type>{};
    else if constexpr (!std::is_aggregate_v<T>)
        return verdict<T, refusal::hidden_members>{};
    else if constexpr (has_base<T>)
        return verdict<T, refusal::base_class>{};
    else if constexpr (!countable<T>)
        return verdict<T, refusal::reference_member>{};
    else if constexpr (refers<T>)
        return verdict<T, refusal::reference_member>{};
    else
        return acquittal{};
}

/// An aggregate with built-in arrays is default-constructed and then filled.
template <class T>
concept fillable = member_count<T> == initializers<T> ||
                   (std::is_default_constructible_v<T> && std::is_move_assignable_v<T>);

/// The first verdict against T or a part of it. Ancestors are not judged again: a tree's nodes
/// contain nodes.
template <class T, class... Ancestors>
consteval auto judge();

template <class... Ancestors>
consteval auto judge_parts(type_list<>) {
    return acquittal{};
}
template <class... Ancestors, class Part, class... Rest>
consteval auto judge_parts(type_list<Part, Rest...>) {
    using first = decltype(judge<Part, Ancestors...>());
    if constexpr (!first::travels)
        return first{};
    else
        return judge_parts<Ancestors...>(type_list<Rest...>{});
}

// Only members can be built-in arrays.
template <class... Ms>
auto without_extents(type_list<Ms...>) -> type_list<std::remove_all_extents_t<Ms>...>;

template <class T, class... Ancestors>
consteval auto judge() {
    if constexpr (std::is_reference_v<T>)
        return verdict<T, refusal::reference>{};
    else if constexpr (std::is_const_v<T>)
        return judge<std::remove_const_t<T>, Ancestors...>();
    else if constexpr ((std::is_same_v<T, Ancestors> || ...))
        return acquittal{};
    else if constexpr (has_codec<T> || enable_memcpy<T>)
        return acquittal{};
    else if constexpr (points<T> || std::is_array_v<T> || !complete<T>)
        return accuse<T>();
    else if constexpr (reflected<T>) {
        if constexpr (!decltype(accuse<T>())::travels)
            return accuse<T>();
        else if constexpr (!fillable<T>)
            return verdict<T, refusal::array>{};
        else
            return judge_parts<T, Ancestors...>(decltype(without_extents(members_of<T>{})){});
    } else if constexpr (has_builtin<T>) {
        return judge_parts<T, Ancestors...>(typename builtin<T>::parts{});
    } else {
        return accuse<T>();
    }
}

template <class T>
constexpr bool can_travel() {
    return decltype(judge<T>())::travels;
}

template <class Message, class Offender, refusal Why>
constexpr void pronounce(verdict<Offender, Why>) {
    static_assert(Why != refusal::reference,
                  "coproc: a reference means nothing in another process: send the value");
    static_assert(Why != refusal::pointer,
                  "coproc: a pointer means nothing in another process: send what it points to, "
                  "by value or in a std::unique_ptr, or specialize coproc::codec for its owner");
    static_assert(Why != refusal::view,
                  "coproc: a view does not own what it shows: send the owner, such as "
                  "std::string or std::vector");
    static_assert(Why != refusal::array,
                  "coproc: a built-in array cannot be received here: use std::array or "
                  "std::string");
    static_assert(Why != refusal::union_type,
                  "coproc: nobody can tell which member of a union is the live one: use "
                  "std::variant, or specialize coproc::codec");
    static_assert(Why != refusal::base_class,
                  "coproc: the members of an aggregate with a base class cannot be listed: make "
                  "the base a member, or specialize coproc::codec");
    static_assert(Why != refusal::reference_member,
                  "coproc: the members of this aggregate cannot all be received (references, "
                  "mutable or immovable members, or more than 100): hold values, or specialize "
                  "coproc::codec");
    static_assert(Why != refusal::incomplete,
                  "coproc: an incomplete type cannot travel: define it before it is sent");
    static_assert(Why != refusal::hidden_members,
                  "coproc: this class hides its state (private members, constructors, virtual "
                  "functions or lambda captures): specialize coproc::codec, or "
                  "coproc::enable_memcpy if its bytes mean the same in another process");
}

template <class T>
constexpr void check_transferable() {
    pronounce<T>(decltype(judge<T>()){});
}

}  // namespace coproc::detail

namespace coproc {

template <class T>
void encoder::put(const T& value) {
    detail::check_transferable<T>();
    if constexpr (transferable<T>) detail::encode_value(*this, value);
}

template <class T>
detail::received<T> decoder::get() {
    detail::check_transferable<T>();
    if constexpr (transferable<T>)
        return detail::decode_value<T>(*this);
    else
        return success();
}

}  // namespace coproc
