#pragma once
// Which types may lie in shared memory: those that mean the same to every process that looks at
// their bytes.

#include <coproc/codec.hpp>

#include <type_traits>

namespace coproc::detail {

/// Does nothing in T have a codec? A class with one says that its bytes are not what travels.
template <class T>
consteval bool has_no_codec();

template <class... Parts>
consteval bool none_has_codec(type_list<Parts...>) {
    return (has_no_codec<std::remove_cv_t<Parts>>() && ...);
}

template <class T>
consteval bool has_no_codec() {
    if constexpr (enable_memcpy<T>)
        return true;
    else if constexpr (has_codec<T>)
        return false;
    else if constexpr (std::is_array_v<T>)
        return has_no_codec<std::remove_all_extents_t<T>>();
    else if constexpr (std::is_scalar_v<T> || flat<T>)
        return true;
    else if constexpr (reflected<T>)
        return none_has_codec(members_of<T>{});
    else
        return none_has_codec(typename builtin<T>::parts{});
}

template <class T>
consteval bool can_lie_in_place() {
    if constexpr (std::is_trivially_copyable_v<T> && transferable<T>)
        return has_no_codec<T>();
    else
        return false;
}
/// May a T lie in shared memory?
template <class T>
concept in_place = can_lie_in_place<T>();

/// Does not compile unless it may; says what to do.
template <class T>
constexpr void check_in_place() {
    check_transferable<T>();
    if constexpr (transferable<T>) {
        static_assert(in_place<T>,
                      "coproc: what lies in shared memory is seen as bytes by every process: use "
                      "numbers, enums, std::array and structs of these, specialize "
                      "coproc::enable_memcpy, or send the value through a queue or a connection");
    }
}

}  // namespace coproc::detail
