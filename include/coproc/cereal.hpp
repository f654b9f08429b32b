#pragma once
// Opt-in: classes with cereal's member functions (serialize, or save and load) travel by them.
//
//   class account { … template <class Archive> void serialize(Archive& ar) { ar(name_); } };
//   (co_await pipe.send(account("jo"))).value();
//
// Functions beside the class, and aggregates (which travel member by member with or without this
// header), are opted in by one line: template <> struct coproc::codec<T> : coproc::cereal_codec<T>
// {}; Archives are of coproc's own, so pointers to polymorphic bases need CEREAL_REGISTER_ARCHIVE.
//
// Against hostile bytes: reads behind the end, counts larger than the bytes that have come, bools
// that are none, nesting deeper than 1000 levels and exceptions of cereal's or of the class give
// errc::bad_message. Not protected: cereal makes all elements of a container before it reads them,
// so n bytes can take n times the size of one element; loops of your own have to be bounded.

#include <coproc/codec.hpp>

#include <cereal/cereal.hpp>

#include <algorithm>
#include <cstring>
#include <exception>
#include <type_traits>

namespace coproc {

namespace detail {

class cereal_output : public cereal::OutputArchive<cereal_output, cereal::AllowEmptyClassElision> {
 public:
    explicit cereal_output(encoder& out) : OutputArchive(this), out_(out) {}

    void write(const void* data, std::size_t size) { out_.write(data, size); }
    void enter() {
        if (++depth_ > max_cereal_depth) fail_too_deep(out_);
    }
    void leave() { --depth_; }

    static constexpr std::size_t max_cereal_depth = 1000;

 private:
    encoder& out_;
    std::size_t depth_ = 0;
};

/// After a failure it reads zeros and empty containers, so that the loading comes to its end.
class cereal_input : public cereal::InputArchive<cereal_input, cereal::AllowEmptyClassElision> {
 public:
    explicit cereal_input(decoder& in) : InputArchive(this), in_(in) {}

    void read(void* into, std::size_t size) {
        if (size == 0) return;
        if (!failed_ && size <= in_.remaining()) {
            std::memcpy(into, in_.read(size).value().data(), size);
        } else {
            failed_ = true;
            std::memset(into, 0, size);
        }
    }
    void read_bools(void* into, std::size_t count) {
        const auto data = in_.read(failed_ ? 0 : count);
        failed_ = failed_ || !data || std::ranges::any_of(data.value(), is_no_bool);
        if (failed_)
            std::memset(into, 0, count);
        else if (count > 0)
            std::memcpy(into, data.value().data(), count);
    }
    template <class Size>
    void read_count(Size& count) {
        read(&count, sizeof(count));
        if (count > in_.remaining()) failed_ = true;
        if (failed_) count = 0;
    }
    void enter() {
        if (++depth_ > cereal_output::max_cereal_depth) failed_ = true;
    }
    void leave() { --depth_; }
    bool failed() const noexcept { return failed_; }

 private:
    static bool is_no_bool(std::byte byte) { return byte > std::byte{1}; }

    decoder& in_;
    std::size_t depth_ = 0;
    bool failed_ = false;
};

// What cereal calls, found by the archive's type.

template <class Archive>
concept cereal_archive =
    std::is_same_v<Archive, cereal_output> || std::is_same_v<Archive, cereal_input>;

template <cereal_archive Archive, class T>
void prologue(Archive& archive, const T&) {
    archive.enter();
}
template <cereal_archive Archive, class T>
void epilogue(Archive& archive, const T&) {
    archive.leave();
}

template <class T>
    requires std::is_arithmetic_v<T>
void save(cereal_output& archive, const T& value) {
    archive.write(&value, sizeof(value));
}
template <class T>
    requires std::is_arithmetic_v<T>
void load(cereal_input& archive, T& value) {
    if constexpr (std::is_same_v<T, bool>)
        archive.read_bools(&value, 1);
    else
        archive.read(&value, sizeof(value));
}
template <class T>
void save(cereal_output& archive, const cereal::BinaryData<T>& data) {
    archive.write(data.data, static_cast<std::size_t>(data.size));
}
template <class T>
void load(cereal_input& archive, cereal::BinaryData<T>& data) {
    using element = std::remove_pointer_t<std::remove_reference_t<T>>;
    const auto size = static_cast<std::size_t>(data.size);
    if constexpr (std::is_same_v<element, bool>)
        archive.read_bools(data.data, size);
    else
        archive.read(data.data, size);
}
template <cereal_archive Archive, class T>
void serialize(Archive& archive, cereal::NameValuePair<T>& named) {
    archive(named.value);
}
template <class T>
void save(cereal_output& archive, const cereal::SizeTag<T>& tag) {
    archive.write(&tag.size, sizeof(tag.size));
}
template <class T>
void load(cereal_input& archive, cereal::SizeTag<T>& tag) {
    archive.read_count(tag.size);
}

template <class T>
concept cereal_members = cereal::traits::has_member_serialize<T, cereal_output>::value ||
                         cereal::traits::has_member_versioned_serialize<T, cereal_output>::value ||
                         cereal::traits::has_member_save<T, cereal_output>::value ||
                         cereal::traits::has_member_versioned_save<T, cereal_output>::value ||
                         cereal::traits::has_member_save_minimal<T, cereal_output>::value;

// Only classes that cannot travel otherwise: a source file that includes this header and one that
// does not must agree on how the others do.
template <class T>
concept cereal_class =
    std::is_class_v<T> && requires { sizeof(T); } && !std::is_aggregate_v<T> && !enable_memcpy<T> &&
    std::is_default_constructible_v<T> && cereal_members<T> &&
    cereal::traits::is_output_serializable<T, cereal_output>::value &&
    cereal::traits::is_input_serializable<T, cereal_input>::value;

}  // namespace detail

/// The codec of a default-constructible class by its cereal functions.
template <class T>
struct cereal_codec {
    static void encode(encoder& out, const T& value) {
        try {
            detail::cereal_output archive(out);
            archive(value);
        } catch (const std::exception& failure) {
            out.fail(error(std::make_error_code(std::errc::invalid_argument), failure.what()));
        }
    }
    static result<T> decode(decoder& in) {
        try {
            T value{};
            detail::cereal_input archive(in);
            archive(value);
            if (archive.failed()) return errc::bad_message;
            return result<T>(std::in_place_type<T>, std::move(value));
        } catch (const std::exception& failure) {
            return error(errc::bad_message, failure.what());
        }
    }
};

template <detail::cereal_class T>
struct codec<T> : cereal_codec<T> {};

}  // namespace coproc

CEREAL_SETUP_ARCHIVE_TRAITS(coproc::detail::cereal_input, coproc::detail::cereal_output)
