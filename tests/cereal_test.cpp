#include "support/catch.hpp"

#if __has_include(<cereal/cereal.hpp>)

#include <coproc/cereal.hpp>

#include <cereal/types/array.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/memory.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>

#include <random>
#include <stdexcept>

using coproc::decoder;
using coproc::encoder;
using coproc::errc;
using coproc::result;

namespace {

class address {
 public:
    address() = default;
    address(std::string street, int number) : street_(std::move(street)), number_(number) {}
    bool operator==(const address&) const = default;

    template <class Archive>
    void serialize(Archive& archive) {
        archive(street_, CEREAL_NVP(number_));
    }

 private:
    std::string street_;
    int number_ = 0;
};

class person {
 public:
    person() = default;
    explicit person(std::string name) : name_(std::move(name)) {}
    bool operator==(const person&) const = default;

    std::vector<address> addresses;
    std::vector<double> scores;
    std::map<std::string, std::vector<int>> notes;
    std::array<bool, 3> flags{true, false, true};

 private:
    friend class cereal::access;
    template <class Archive>
    void save(Archive& archive) const {
        archive(name_, addresses, scores, notes, flags);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(name_, addresses, scores, notes, flags);
    }

    std::string name_;
};

class chain {
 public:
    chain() = default;
    explicit chain(int length) {
        if (length > 1) next_ = std::make_unique<chain>(length - 1);
    }
    template <class Archive>
    void serialize(Archive& archive) {
        archive(next_);
    }

 private:
    std::unique_ptr<chain> next_;
};

class picky {
 public:
    picky() = default;
    explicit picky(int value) : value_(value) {}
    template <class Archive>
    void save(Archive& archive) const {
        archive(value_);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(value_);
        if (value_ < 0) throw std::domain_error("a negative value");
    }

 private:
    int value_ = 0;
};

// Beside the class: opted in by name.
class plain {
 public:
    plain() = default;
    explicit plain(int n) : value(n) {}
    int value = 0;
};
template <class Archive>
void serialize(Archive& archive, plain& p) {
    archive(p.value);
}

person sample() {
    person p("jo");
    p.addresses = {{"high street", 1}, {"low street", 2}};
    p.scores = {1.5, 2.5};
    p.notes = {{"a", {1, 2}}, {"b", {}}};
    return p;
}

template <class T>
coproc::bytes encoded(const T& value) {
    encoder out;
    out.put(value);
    REQUIRE(out.status());
    return out.to_bytes();
}

template <class T>
result<T> decoded(std::span<const std::byte> data) {
    decoder in(data);
    auto value = in.template get<T>();
    if (value && !in.finish()) return errc::bad_message;
    return value;
}

}  // namespace

template <>
struct coproc::codec<plain> : coproc::cereal_codec<plain> {};

TEST_CASE("cereal: classes with cereal functions travel, alone and inside of others") {
    CHECK(decoded<person>(encoded(sample())).value() == sample());
    const std::vector<person> many{sample(), person("x")};
    CHECK(decoded<std::vector<person>>(encoded(many)).value() == many);
}

TEST_CASE("cereal: functions beside the class are opted in by one line") {
    CHECK(decoded<plain>(encoded(plain(5))).value().value == 5);
}

TEST_CASE("cereal: what travels without it is not changed by it") {
    CHECK(encoded(std::vector<int>{1, 2}).size() == 1 + 2 * sizeof(int));
    CHECK(encoded(std::string("abc")).size() == 1 + 3);
}

TEST_CASE("cereal: a length is not believed before its bytes have come") {
    coproc::bytes huge = encoded(sample());
    huge[7] = std::byte{127};  // of the name's length
    CHECK(decoded<person>(huge).error() == errc::bad_message);
}

TEST_CASE("cereal: a message cut anywhere is a bad message") {
    const auto whole = encoded(sample());
    for (std::size_t n = 0; n < whole.size(); ++n) {
        const coproc::bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
        REQUIRE(decoded<person>(cut).error() == errc::bad_message);
    }
}

TEST_CASE("cereal: whatever the bytes are, the answer is a value or a bad message") {
    const auto whole = encoded(sample());
    std::mt19937 random(1);
    for (int i = 0; i < 20000; ++i) {
        auto changed = whole;
        for (auto n = random() % 4; n < 4; ++n) {
            changed[random() % changed.size()] = static_cast<std::byte>(random());
        }
        const auto value = decoded<person>(changed);
        if (!value) REQUIRE(value.error() == errc::bad_message);
    }
}

TEST_CASE("cereal: nesting is bounded on both sides") {
    CHECK(decoded<chain>(encoded(chain(50))));
    encoder out;
    out.put(chain(1500));
    CHECK(out.status().error() == errc::message_too_large);
    CHECK(decoded<chain>(out.bytes()).error() == errc::bad_message);
    const std::vector<std::byte> deep(1'000'000, std::byte{1});
    CHECK(decoded<chain>(deep).error() == errc::bad_message);
}

TEST_CASE("cereal: an exception of the class is a bad message with its text") {
    CHECK(decoded<picky>(encoded(picky(1))));
    const auto refused = decoded<picky>(encoded(picky(-1)));
    REQUIRE(!refused);
    CHECK(refused.error() == errc::bad_message);
    CHECK(refused.error().message().find("a negative value") != std::string::npos);
}

#endif
