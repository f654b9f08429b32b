#pragma once
// Codecs of what has a fixed number of parts, one after the other: aggregates, pair, tuple, array.

#include <coproc/detail/codec_scalars.hpp>

#include <array>
#include <tuple>

namespace coproc::detail {

/// Decodes the parts from left to right, each in a frame of its own, and makes T of them in one
/// piece: nothing needs to be default-constructible or assignable.
template <class T, class... Done>
result<T> decode_parts(decoder&, type_list<>, Done&... done) {
    return result<T>(std::in_place_type<T>, T{std::move(done)...});
}
template <class T, class Next, class... Rest, class... Done>
result<T> decode_parts(decoder& in, type_list<Next, Rest...>, Done&... done) {
    COPROC_TRY(auto&& next, decode_value<std::remove_const_t<Next>>(in));
    return decode_parts<T>(in, type_list<Rest...>{}, done..., next);
}

/// What has no parts is a zero byte.
inline void encode_nothing(encoder& out) { encode_value(out, false); }
inline result<void> decode_nothing(decoder& in) {
    COPROC_TRY(const bool byte, decode_value<bool>(in));
    if (byte) return errc::bad_message;
    return success();
}

// -- built-in arrays, which only members can be

template <class T, std::size_t N>
void encode_array(encoder& out, const T (&from)[N]) {
    if constexpr (flat<std::remove_all_extents_t<T>>)
        out.write(from, sizeof(from));
    else if constexpr (std::is_array_v<T>) {
        for (const T& each : from) encode_array(out, each);
    } else {
        for (const T& each : from) encode_value(out, each);
    }
}

template <class T>
result<void> decode_into(decoder& in, T& into) {
    if constexpr (flat<T>) {
        COPROC_TRY(const auto data, in.read(sizeof(into)));
        std::memcpy(&into, data.data(), sizeof(into));
    } else if constexpr (std::is_array_v<T>) {
        for (auto& each : into) {
            COPROC_TRY(decode_into(in, each));
        }
    } else {
        COPROC_TRY(into, decode_value<T>(in));
    }
    return success();
}

// -- aggregates

template <class T>
    requires(reflected<T> && !flat<T>)
struct builtin<T> {
    using parts = members_of<T>;
    using indices = std::make_index_sequence<parts::size>;
    /// Built-in arrays cannot be initialized from values: such an aggregate is filled instead.
    static constexpr bool has_arrays = parts::size != initializers<T>;

    static void encode(encoder& out, const T& value) { encode_members(out, value, indices{}); }
    static result<T> decode(decoder& in) {
        if constexpr (parts::size == 0) {
            COPROC_TRY(decode_nothing(in));
            return result<T>(std::in_place_type<T>, T{});
        } else if constexpr (has_arrays) {
            T value{};
            COPROC_TRY(fill(in, value, indices{}));
            return result<T>(std::in_place_type<T>, std::move(value));
        } else {
            return decode_parts<T>(in, parts{});
        }
    }

 private:
    template <std::size_t... I>
    static void encode_members(encoder& out, const T& value, std::index_sequence<I...>) {
        [[maybe_unused]] const auto members = tie(value);
        if constexpr (sizeof...(I) == 0)
            encode_nothing(out);
        else
            (encode_member(out, get<I>(members)), ...);
    }
    template <class M>
    static void encode_member(encoder& out, const M& member) {
        if constexpr (std::is_array_v<M>)
            encode_array(out, member);
        else
            encode_value(out, member);
    }
    template <std::size_t... I>
    static result<void> fill(decoder& in, T& value, std::index_sequence<I...>) {
        const auto members = tie(value);
        result<void> done = success();
        (void)((done = decode_into(in, get<I>(members)), done.has_value()) && ...);
        return done;
    }
};

// -- pair, tuple, array

template <class... Ts>
struct builtin<std::tuple<Ts...>> {
    using parts = type_list<Ts...>;

    static void encode(encoder& out, const std::tuple<Ts...>& from) {
        if constexpr (sizeof...(Ts) == 0)
            encode_nothing(out);
        else
            std::apply([&](const auto&... each) { (encode_value(out, each), ...); }, from);
    }
    static result<std::tuple<Ts...>> decode(decoder& in) {
        if constexpr (sizeof...(Ts) == 0) {
            COPROC_TRY(decode_nothing(in));
        }
        return decode_parts<std::tuple<Ts...>>(in, parts{});
    }
};

template <class A, class B>
struct builtin<std::pair<A, B>> {
    using parts = type_list<A, B>;

    static void encode(encoder& out, const std::pair<A, B>& from) {
        encode_value(out, from.first);
        encode_value(out, from.second);
    }
    static result<std::pair<A, B>> decode(decoder& in) {
        return decode_parts<std::pair<A, B>>(in, parts{});
    }
};

template <class T, std::size_t N>
    requires(!flat<std::array<T, N>>)
struct builtin<std::array<T, N>> {
    using parts = type_list<T>;

    static void encode(encoder& out, const std::array<T, N>& from) {
        if constexpr (N == 0) encode_nothing(out);
        for (const T& each : from) encode_value(out, each);
    }
    static result<std::array<T, N>> decode(decoder& in) {
        if constexpr (N == 0) {
            COPROC_TRY(decode_nothing(in));
        }
        if constexpr (std::is_default_constructible_v<T>) {
            std::array<T, N> into{};
            for (T& each : into) {
                COPROC_TRY(decode_into(in, each));
            }
            return into;
        } else {
            return decode_parts<std::array<T, N>>(
                in, decltype(repeated(std::make_index_sequence<N>{})){});
        }
    }

 private:
    template <std::size_t, class U>
    using repeat = U;
    template <std::size_t... I>
    static type_list<repeat<I, T>...> repeated(std::index_sequence<I...>);
};

}  // namespace coproc::detail
