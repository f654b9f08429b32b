#pragma once
// Codecs of strings and of the standard sequences: a count, then the elements.

#include <coproc/detail/codec_scalars.hpp>

#include <algorithm>
#include <concepts>
#include <deque>
#include <forward_list>
#include <iterator>
#include <list>
#include <string>
#include <vector>

namespace coproc::detail {

coproc::bytes copy_of(std::span<const std::byte> data);
/// The next `count` bytes, of which there are as many.
void append_bytes(coproc::bytes& into, decoder& in, std::size_t count);

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
    static constexpr bool is_byte_string =
        sizeof(element) == 1 && requires(Container into, element* data) { into.append(data, 1); };

    static void encode(encoder& out, const Container& from) {
        out.write_count(from.size());
        out.write(from.data(), from.size() * sizeof(element));
    }
    static result<Container> decode(decoder& in) {
        COPROC_TRY(const std::size_t count, in.read_count());
        if (count > in.remaining() / sizeof(element)) return errc::bad_message;
        Container into;
        into.reserve(count);
        append(into, in, count);
        return into;
    }
    /// The next `count` elements, of which there are as many.
    static void append(Container& into, decoder& in, std::size_t count) {
        if constexpr (std::is_same_v<Container, coproc::bytes>) {
            append_bytes(into, in, count);
        } else if constexpr (is_byte_string) {
            append_text(into, in, count);
        } else {
            const std::size_t before = into.size();
            into.resize(before + count);
            fill(std::as_writable_bytes(std::span(into).subspan(before)), in);
        }
    }

 private:
    // Not filled with zeros first: of a large message that would be a third of the work.
    static void append_text(Container& into, decoder& in, std::size_t count) {
        while (count > 0) {
            const auto data = in.read_some(count);
            into.append(reinterpret_cast<const element*>(data.data()), data.size());
            count -= data.size();
        }
    }
    static void fill(std::span<std::byte> to, decoder& in) {
        while (!to.empty()) {
            const auto data = in.read_some(to.size());
            std::memcpy(to.data(), data.data(), data.size());
            to = to.subspan(data.size());
        }
    }
};

template <flat Char, class Traits, class Allocator>
struct builtin<std::basic_string<Char, Traits, Allocator>>
    : block_codec<std::basic_string<Char, Traits, Allocator>> {
    using parts = type_list<Char>;
};

// std::filesystem::path is recognized by its shape: its header would cost every user 0.3 s.
template <class T>
concept filesystem_path = requires(const T& path) {
    typename T::format;
    { path.native() } -> std::same_as<const typename T::string_type&>;
    { path.lexically_normal() } -> std::same_as<T>;
};
template <filesystem_path T>
struct builtin<T> {
    using parts = type_list<>;

    static void encode(encoder& out, const T& path) { encode_value(out, path.native()); }
    static result<T> decode(decoder& in) {
        COPROC_TRY(auto&& text, decode_value<typename T::string_type>(in));
        return result<T>(std::in_place_type<T>, std::move(text));
    }
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

}  // namespace coproc::detail
