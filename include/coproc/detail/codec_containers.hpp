#pragma once
// Codecs of the standard containers: a count, then the elements.

#include <coproc/detail/codec_scalars.hpp>

#include <algorithm>
#include <deque>
#include <forward_list>
#include <iterator>
#include <list>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace coproc::detail {

coproc::bytes copy_of(std::span<const std::byte> data);

/// As many elements as fit into as much memory as bytes have come: `count` is the peer's claim.
template <class Container>
void reserve_for(Container& into, std::size_t count, const decoder& in) {
    if constexpr (requires { into.reserve(count); }) {
        into.reserve(std::min(count, in.remaining() / sizeof(typename Container::value_type) + 1));
    }
}

/// Calls read_one() -> result<void> for each of `count` elements of `size` bytes in memory.
template <class ReadOne>
result<void> read_elements(decoder& in, std::size_t count, std::size_t size,
                           const ReadOne& read_one) {
    const nesting<decoder> level(in, size);
    if (level.too_deep()) return errc::bad_message;
    for (; count > 0; --count) {
        COPROC_TRY(read_one());
    }
    return success();
}

template <class Container>
void write_elements(encoder& out, const Container& from, std::size_t count) {
    using element = typename Container::value_type;
    const nesting<encoder> level(out, sizeof(element));
    if (level.too_deep()) return fail_too_deep(out);
    out.write_count(count);
    for (const element& each : from) encode_value(out, each);
}

// -- elements that lie in a row

template <class Container>
struct block_codec {
    using element = typename Container::value_type;

    static void encode(encoder& out, const Container& from) {
        out.write_count(from.size());
        out.write(from.data(), from.size() * sizeof(element));
    }
    static result<Container> decode(decoder& in) {
        COPROC_TRY(const std::size_t count, in.read_count());
        if (count > in.remaining() / sizeof(element)) return errc::bad_message;
        COPROC_TRY(const auto data, in.read(count * sizeof(element)));
        return made_of(data, count);
    }

 private:
    static Container made_of(std::span<const std::byte> data, std::size_t count) {
        if constexpr (std::is_same_v<Container, coproc::bytes>) {
            return copy_of(data);
        } else if constexpr (std::is_same_v<element, char> ||
                             std::is_same_v<element, unsigned char>) {
            const auto* first = reinterpret_cast<const element*>(data.data());
            return Container(first, first + count);
        } else {
            Container into(count, element());
            if (count > 0) std::memcpy(into.data(), data.data(), data.size());
            return into;
        }
    }
};

template <flat Char, class Traits, class Allocator>
struct builtin<std::basic_string<Char, Traits, Allocator>>
    : block_codec<std::basic_string<Char, Traits, Allocator>> {
    using parts = type_list<Char>;
};

// -- sequences

template <class Container>
struct sequence_codec {
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
            into.push_back(std::move(each));
            return success();
        };
        COPROC_TRY(read_elements(in, count, sizeof(element), read_one));
        return into;
    }
};

template <class T>
concept block_element = flat<T> && std::is_default_constructible_v<T>;

template <class T, class Allocator>
struct builtin<std::vector<T, Allocator>> : sequence_codec<std::vector<T, Allocator>> {};
template <block_element T, class Allocator>
struct builtin<std::vector<T, Allocator>> : block_codec<std::vector<T, Allocator>> {
    using parts = type_list<T>;
};
template <class T, class Allocator>
struct builtin<std::deque<T, Allocator>> : sequence_codec<std::deque<T, Allocator>> {};
template <class T, class Allocator>
struct builtin<std::list<T, Allocator>> : sequence_codec<std::list<T, Allocator>> {};

template <class T, class Allocator>
struct builtin<std::forward_list<T, Allocator>> {
    using container = std::forward_list<T, Allocator>;
    using parts = type_list<T>;

    static void encode(encoder& out, const container& from) {
        write_elements(out, from,
                       static_cast<std::size_t>(std::distance(from.begin(), from.end())));
    }
    static result<container> decode(decoder& in) {
        COPROC_TRY(const std::size_t count, in.read_count());
        container into;
        auto last = into.before_begin();
        const auto read_one = [&]() -> result<void> {
            COPROC_TRY(auto&& each, decode_value<T>(in));
            last = into.insert_after(last, std::move(each));
            return success();
        };
        COPROC_TRY(read_elements(in, count, sizeof(T), read_one));
        return into;
    }
};

// -- sets and maps; the orders and hashes of those that travel have no state

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
