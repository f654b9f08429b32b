#pragma once
// Codecs of what may be absent or one of several: optional, unique_ptr, variant.

#include <coproc/detail/codec_scalars.hpp>

#include <memory>
#include <optional>
#include <variant>

namespace coproc::detail {

template <class T>
struct builtin<std::optional<T>> {
    using parts = type_list<T>;

    static void encode(encoder& out, const std::optional<T>& from) {
        encode_value(out, from.has_value());
        if (from) encode_value(out, *from);
    }
    static result<std::optional<T>> decode(decoder& in) {
        COPROC_TRY(const bool present, decode_value<bool>(in));
        if (!present) return std::optional<T>();
        COPROC_TRY(auto&& value, decode_value<T>(in));
        return std::optional<T>(std::in_place, std::move(value));
    }
};

template <class T>
    requires(!std::is_array_v<T>)
struct builtin<std::unique_ptr<T>> {
    using parts = type_list<T>;

    static void encode(encoder& out, const std::unique_ptr<T>& from) {
        const nesting<encoder> level(out, sizeof(T));
        if (level.too_deep()) return fail_too_deep(out);
        encode_value(out, from != nullptr);
        if (from) encode_value(out, *from);
    }
    static result<std::unique_ptr<T>> decode(decoder& in) {
        const nesting<decoder> level(in, sizeof(T));
        if (level.too_deep()) return errc::bad_message;
        COPROC_TRY(const bool present, decode_value<bool>(in));
        if (!present) return std::unique_ptr<T>();
        COPROC_TRY(auto&& value, decode_value<std::remove_const_t<T>>(in));
        return std::make_unique<T>(std::move(value));
    }
};

template <class... Ts>
struct builtin<std::variant<Ts...>> {
    using parts = type_list<Ts...>;
    using variant = std::variant<Ts...>;
    using index_type = std::conditional_t<(sizeof...(Ts) < 256), std::uint8_t, std::uint16_t>;

    static void encode(encoder& out, const variant& from) {
        if (from.valueless_by_exception()) {
            return out.fail(error(std::make_error_code(std::errc::invalid_argument),
                                  "a variant that an exception has left without a value"));
        }
        encode_value(out, static_cast<index_type>(from.index()));
        std::visit([&](const auto& value) { encode_value(out, value); }, from);
    }
    static result<variant> decode(decoder& in) {
        COPROC_TRY(const index_type index, decode_value<index_type>(in));
        return decode_alternative<0>(in, index);
    }

 private:
    template <std::size_t I>
    static result<variant> decode_alternative(decoder& in, std::size_t index) {
        if constexpr (I == sizeof...(Ts))
            return errc::bad_message;
        else {
            if (index != I) return decode_alternative<I + 1>(in, index);
            COPROC_TRY(auto&& value, decode_value<std::variant_alternative_t<I, variant>>(in));
            return variant(std::in_place_index<I>, std::move(value));
        }
    }
};

}  // namespace coproc::detail
