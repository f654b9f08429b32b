#pragma once
// Codecs of the standard sets and maps. Their orders and hashes have no state, which would not
// travel with them; a key that comes twice where there can be one is a bad message.

#include <coproc/detail/codec_sequences.hpp>

#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace coproc::detail {

template <class Container>
struct set_codec {
    using element = typename Container::value_type;
    using parts = type_list<element>;

    static void encode(encoder& out, const Container& from) {
        write_elements(out, from, from.size());
    }
    static result<Container> decode(decoder& in) {
        COPROC_TRY(const std::size_t count, in.read_count());
        Container into;
        reserve_for(into, count, in);
        const auto read_one = [&]() -> result<void> {
            COPROC_TRY(auto&& each, decode_value<element>(in));
            into.emplace_hint(into.end(), std::move(each));
            return success();
        };
        COPROC_TRY(read_elements(in, count, sizeof(element), read_one));
        if (into.size() != count) return errc::bad_message;
        return into;
    }
};

template <class Container>
struct map_codec {
    using key = typename Container::key_type;
    using mapped = typename Container::mapped_type;
    using parts = type_list<key, mapped>;

    static void encode(encoder& out, const Container& from) {
        const nesting<encoder> level(out, sizeof(typename Container::value_type));
        if (level.too_deep()) return fail_too_deep(out);
        out.write_count(from.size());
        for (const auto& [name, value] : from) {
            encode_value(out, name);
            encode_value(out, value);
        }
    }
    static result<Container> decode(decoder& in) {
        COPROC_TRY(const std::size_t count, in.read_count());
        Container into;
        reserve_for(into, count, in);
        constexpr std::size_t size = sizeof(typename Container::value_type);
        const auto read_one = [&]() -> result<void> {
            COPROC_TRY(auto&& name, decode_value<key>(in));
            COPROC_TRY(auto&& value, decode_value<mapped>(in));
            into.emplace_hint(into.end(), std::move(name), std::move(value));
            return success();
        };
        COPROC_TRY(read_elements(in, count, size, read_one));
        if (into.size() != count) return errc::bad_message;
        return into;
    }
};

template <class... Functions>
concept stateless = (std::is_empty_v<Functions> && ...);

template <class K, stateless L, class A>
struct builtin<std::set<K, L, A>> : set_codec<std::set<K, L, A>> {};
template <class K, stateless L, class A>
struct builtin<std::multiset<K, L, A>> : set_codec<std::multiset<K, L, A>> {};
template <class K, stateless H, stateless E, class A>
struct builtin<std::unordered_set<K, H, E, A>> : set_codec<std::unordered_set<K, H, E, A>> {};
template <class K, stateless H, stateless E, class A>
struct builtin<std::unordered_multiset<K, H, E, A>>
    : set_codec<std::unordered_multiset<K, H, E, A>> {};
template <class K, class V, stateless L, class A>
struct builtin<std::map<K, V, L, A>> : map_codec<std::map<K, V, L, A>> {};
template <class K, class V, stateless L, class A>
struct builtin<std::multimap<K, V, L, A>> : map_codec<std::multimap<K, V, L, A>> {};
template <class K, class V, stateless H, stateless E, class A>
struct builtin<std::unordered_map<K, V, H, E, A>> : map_codec<std::unordered_map<K, V, H, E, A>> {};
template <class K, class V, stateless H, stateless E, class A>
struct builtin<std::unordered_multimap<K, V, H, E, A>>
    : map_codec<std::unordered_multimap<K, V, H, E, A>> {};

}  // namespace coproc::detail
