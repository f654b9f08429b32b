#include "support/catch.hpp"

#include <coproc/codec.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <limits>
#include <random>
#include <ranges>
#include <span>
#include <string_view>

using namespace std::chrono_literals;
using coproc::decoder;
using coproc::encoder;
using coproc::errc;
using coproc::result;
using coproc::detail::unique_fd;

namespace {

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

template <class T>
T round_trip(const T& value) {
    return decoded<T>(encoded(value)).value();
}

/// The same of bytes that lie in pieces of `size`.
template <class T>
result<T> decoded_in_pieces(std::span<const std::byte> data, std::size_t size) {
    struct pieces {
        std::span<const std::byte> rest;
        std::size_t size;
        static std::span<const std::byte> next(void* self) {
            auto& from = *static_cast<pieces*>(self);
            const auto piece = from.rest.first(std::min(from.size, from.rest.size()));
            from.rest = from.rest.subspan(piece.size());
            return piece;
        }
    } source{data, size};
    decoder in(data.size(), &pieces::next, &source);
    auto value = in.template get<T>();
    if (value && !in.finish()) return errc::bad_message;
    return value;
}

template <class T>
bool survives(const T& value) {
    const auto data = encoded(value);
    for (const std::size_t size : {std::size_t{1}, std::size_t{3}, std::size_t{8}}) {
        if (!(decoded_in_pieces<T>(data, size).value() == value)) return false;
    }
    return round_trip(value) == value;
}

template <class T>
bool is_bad(std::initializer_list<int> data) {
    coproc::bytes raw;
    for (int each : data) raw.push_back(static_cast<std::byte>(each));
    const auto value = decoded<T>(raw);
    return !value && value.error() == errc::bad_message;
}

enum class color : std::uint8_t { red, green };
enum class truth : bool { no, yes };
enum loose { first = 0, last = 5 };
enum loose_signed { below = -3, above = 2 };

struct nothing {
    bool operator==(const nothing&) const = default;
};
struct point {
    double x, y;
    bool operator==(const point&) const = default;
};
struct padded {
    char c;
    int i;
    bool operator==(const padded&) const = default;
};
struct with_arrays {
    int id;
    char name[20];
    int matrix[2][3];
    std::string words[2];
    std::vector<int> rest;
    bool operator==(const with_arrays&) const = default;
};
struct with_const {
    const int id;
    const std::string name;
    bool operator==(const with_const&) const = default;
};
struct no_default {
    explicit no_default(int n) : value(n) {}
    int value;
    bool operator==(const no_default&) const = default;
};
struct with_no_default {
    std::string before;
    no_default inside;
    std::array<no_default, 2> more;
    bool operator==(const with_no_default&) const = default;
};
struct node {
    int value;
    std::unique_ptr<node> next;
};
struct wide_node {
    std::array<char, 4096> load;
    std::unique_ptr<wide_node> next;
};
struct tree {
    int value;
    std::vector<tree> children;
    bool operator==(const tree&) const = default;
};
struct move_only {
    int id;
    std::unique_ptr<std::string> text;
    std::vector<std::unique_ptr<int>> numbers;
};
struct everything {
    bool flag;
    color shade;
    truth level;
    std::string text;
    std::u16string wide;
    std::vector<point> points;
    std::vector<bool> bits;
    std::deque<std::string> lines;
    std::map<std::string, std::vector<int>> index;
    std::unordered_set<int> numbers;
    std::optional<std::pair<int, std::string>> maybe;
    std::variant<std::monostate, int, std::string> either;
    std::tuple<int, nothing, std::string> mixed;
    std::filesystem::path path;
    std::chrono::milliseconds delay;
    std::array<std::string, 2> two;
    with_arrays arrays;
    tree root;
    bool operator==(const everything&) const = default;
};

everything sample() {
    return {true,
            color::green,
            truth::yes,
            "text",
            u"wide",
            {{1, 2}, {3, 4}},
            {true, false, true},
            {"a", "", "c"},
            {{"k", {1, 2}}, {"l", {}}},
            {3, 1, 2},
            std::pair(1, std::string("x")),
            std::string("either"),
            {7, {}, "seven"},
            "/tmp/x",
            5ms,
            {"p", "q"},
            {1, "name", {{1, 2, 3}, {4, 5, 6}}, {"v", "w"}, {9}},
            {1, {{2, {}}, {3, {{4, {}}}}}}};
}

// A class that says how it travels, in no byte at all if it is empty.
class account {
 public:
    explicit account(std::string name) : name_(std::move(name)) {}
    const std::string& name() const { return name_; }

 private:
    std::string name_;
};

class handle {
 public:
    explicit handle(int fd) : fd_(fd) {}
    int fd() const { return fd_.get(); }

 private:
    unique_fd fd_;
};

// An aggregate whose codec takes precedence over its members.
struct upside_down {
    std::int32_t value;
};

class secret {
 public:
    explicit secret(int n) : value_(n) {}
    bool operator==(const secret&) const = default;

 private:
    int value_;
};
class closed_class {
 public:
    int get() const { return value_; }

 private:
    int value_ = 0;
};

// Travels as text that its codec makes.
struct made_to_travel {
    std::size_t size;
};

// Deeper than any message: a codec that calls itself.
class spiral {};

}  // namespace

template <>
struct coproc::codec<account> {
    static void encode(encoder& out, const account& from) { out.put(from.name()); }
    static result<account> decode(decoder& in) {
        COPROC_TRY(auto name, in.get<std::string>());
        return account(std::move(name));
    }
};
template <>
struct coproc::codec<no_default> {
    static void encode(encoder& out, const no_default& from) { out.put(from.value); }
    static result<no_default> decode(decoder& in) {
        COPROC_TRY(auto value, in.get<int>());
        return no_default(value);
    }
};
template <>
struct coproc::codec<handle> {
    static void encode(encoder& out, const handle& from) { out.attach(from.fd()); }
    static result<handle> decode(decoder& in) {
        COPROC_TRY(auto fd, in.take_fd());
        return handle(fd.release());
    }
};
template <>
struct coproc::codec<upside_down> {
    static void encode(encoder& out, const upside_down& from) { out.put(-from.value); }
    static result<upside_down> decode(decoder& in) {
        COPROC_TRY(auto value, in.get<std::int32_t>());
        return upside_down{-value};
    }
};
template <>
struct coproc::codec<made_to_travel> {
    static void encode(encoder& out, const made_to_travel& from) {
        CHECK(out.bytes().size() == out.size());
        out.put(std::string(from.size, 'x'));
    }
    static result<made_to_travel> decode(decoder& in) {
        COPROC_TRY(const auto text, in.get<std::string>());
        return made_to_travel{text.size()};
    }
};
template <>
struct coproc::codec<spiral> {
    static void encode(encoder& out, const spiral& from) { out.put(from); }
    static result<spiral> decode(decoder& in) { return in.get<spiral>(); }
};
template <>
inline constexpr bool coproc::enable_memcpy<secret> = true;

namespace {

int open_null() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

}  // namespace

TEST_CASE("codec: numbers, enums and times arrive as they left") {
    CHECK(survives(-1));
    CHECK(survives(std::numeric_limits<std::uint64_t>::max()));
    CHECK(survives(1.5));
    CHECK(survives(2.5L));
    CHECK(survives('c'));
    CHECK(survives(true));
    CHECK(survives(std::byte{200}));
    CHECK(survives(color::green));
    CHECK(survives(truth::yes));
    CHECK(survives(last));
    CHECK(survives(below));
    CHECK(survives(5ms));
    CHECK(survives(std::chrono::duration<double>(0.25)));
    CHECK(survives(std::chrono::system_clock::now()));
    CHECK(encoded(5).size() == sizeof(int));
}

TEST_CASE("codec: strings and containers arrive as they left") {
    CHECK(survives(std::string()));
    CHECK(survives(std::string("Hello world")));
    CHECK(survives(std::string(254, 'x')));
    CHECK(survives(std::string(255, 'x')));
    CHECK(survives(std::string(100000, 'x')));
    CHECK(survives(std::wstring(L"wide")));
    CHECK(survives(coproc::bytes(1000, std::byte{7})));
    CHECK(survives(std::vector<unsigned char>{1, 2, 3}));
    CHECK(survives(std::vector<int>{}));
    CHECK(survives(std::vector<int>{1, 2, 3}));
    CHECK(survives(std::vector<bool>{true, false, true}));
    CHECK(survives(std::vector<std::string>{"a", "", "b"}));
    CHECK(survives(std::vector<point>{{1, 2}, {3, 4}}));
    CHECK(survives(std::vector<padded>{{'a', 1}, {'b', 2}}));
    CHECK(survives(std::vector<nothing>(300)));
    CHECK(survives(std::deque<int>{1, 2, 3}));
    CHECK(survives(std::list<std::string>{"a", "b"}));
    CHECK(survives(std::forward_list<int>{1, 2, 3}));
    CHECK(survives(std::set<int>{3, 1, 2}));
    CHECK(survives(std::multiset<int>{1, 1, 2}));
    CHECK(survives(std::unordered_set<std::string>{"a", "b"}));
    CHECK(survives(std::unordered_multiset<int>{1, 1}));
    CHECK(survives(std::map<int, std::string>{{1, "a"}, {2, "b"}}));
    CHECK(survives(std::multimap<int, int>{{1, 2}, {1, 3}}));
    CHECK(survives(std::unordered_map<std::string, int>{{"a", 1}}));
    CHECK(survives(std::unordered_multimap<int, int>{{1, 2}, {1, 2}}));
    CHECK(survives(std::set<int, std::greater<>>{3, 1, 2}));
}

TEST_CASE("codec: arrays, pairs, tuples, optionals, variants and paths arrive as they left") {
    CHECK(survives(std::array<int, 3>{1, 2, 3}));
    CHECK(survives(std::array<std::string, 2>{"a", "b"}));
    CHECK(survives(std::array<int, 0>{}));
    CHECK(survives(std::vector<std::array<std::string, 0>>(3)));
    CHECK(survives(std::pair<int, std::string>(1, "a")));
    CHECK(survives(std::tuple<>()));
    CHECK(survives(std::tuple<int, std::tuple<std::string>>(1, "a")));
    CHECK(survives(std::optional<int>()));
    CHECK(survives(std::optional<std::string>("a")));
    CHECK(survives(std::optional<std::optional<int>>(std::in_place)));
    CHECK(survives(std::variant<int, std::string>("a")));
    CHECK(survives(std::variant<int, int>(std::in_place_index<1>, 4)));
    CHECK(survives(std::variant<std::monostate, int>()));
    CHECK(survives(std::filesystem::path("/tmp/a b")));
    CHECK(*round_trip(std::make_unique<int>(5)) == 5);
    CHECK(round_trip(std::unique_ptr<int>()) == nullptr);
    CHECK(*round_trip(std::unique_ptr<const std::string>(new std::string("a"))) == "a");
}

TEST_CASE("codec: an aggregate needs no code of its own") {
    CHECK(survives(nothing{}));
    CHECK(survives(point{1, 2}));
    CHECK(survives(padded{'a', 1}));
    CHECK(survives(sample()));
    CHECK(survives(tree{1, {{2, {}}, {3, {{4, {}}}}}}));
}

TEST_CASE("codec: an aggregate may have built-in arrays and const members") {
    CHECK(survives(with_arrays{1, "name", {{1, 2, 3}, {4, 5, 6}}, {"a", "b"}, {7}}));
    CHECK(survives(with_const{1, "name"}));
}

TEST_CASE("codec: padding is not sent") {
    CHECK(encoded(padded{'a', 1}).size() == sizeof(char) + sizeof(int));
    CHECK(encoded(point{1, 2}).size() == sizeof(point));
}

TEST_CASE("codec: move-only members arrive") {
    const auto copy = round_trip([] {
        move_only value{1, std::make_unique<std::string>("text"), {}};
        value.numbers.push_back(std::make_unique<int>(2));
        value.numbers.push_back(nullptr);
        return value;
    }());
    CHECK(copy.id == 1);
    CHECK(*copy.text == "text");
    REQUIRE(copy.numbers.size() == 2);
    CHECK(*copy.numbers[0] == 2);
    CHECK(copy.numbers[1] == nullptr);
}

TEST_CASE("codec: a class that hides its members travels by its codec") {
    CHECK(round_trip(account("jo")).name() == "jo");
    CHECK(round_trip(std::vector<account>{account("a"), account("b")})[1].name() == "b");
    CHECK(round_trip(std::optional<account>("a"))->name() == "a");
}

TEST_CASE("codec: a codec takes precedence over the members, alone and in bulk") {
    CHECK(encoded(upside_down{5}) == encoded(-5));
    CHECK(round_trip(upside_down{5}).value == 5);
    const std::vector<upside_down> many{{1}, {2}};
    CHECK(encoded(many) == encoded(std::vector<int>{-1, -2}));
    CHECK(round_trip(many)[1].value == 2);
}

TEST_CASE("codec: a class with private members travels by memcpy only if its author says so") {
    STATIC_REQUIRE(!coproc::transferable<closed_class>);
    STATIC_REQUIRE(coproc::transferable<secret>);
    CHECK(survives(secret(5)));
    CHECK(survives(std::vector<std::optional<secret>>{secret(5), {}}));
}

TEST_CASE("codec: types need not be default-constructible") {
    CHECK(survives(with_no_default{"before", no_default(1), {no_default(2), no_default(3)}}));
    CHECK(survives(std::pair<const int, with_const>(1, {2, "c"})));
    CHECK(round_trip(std::map<int, account>{{1, account("a")}}).at(1).name() == "a");
    CHECK(round_trip(std::array<account, 2>{account("a"), account("b")})[1].name() == "b");
    CHECK(round_trip(std::vector<with_const>{{1, "a"}, {2, "b"}})[1].name == "b");
}

namespace {

using ptr = int*;
struct holds_pointer {
    int a;
    ptr b;
};
struct holds_deep {
    int a;
    std::vector<std::optional<holds_pointer>> b;
};
struct holds_reference {
    int a;
    std::string& b;
};
struct holds_const_reference {
    int a;
    const long& b;
};
struct holds_rvalue_reference {
    std::string&& b;
};
struct holds_view {
    std::string_view text;
};
struct derived : point {
    int z;
};
struct holds_mutable {
    mutable int a;
};
union either {
    int a;
    float b;
};
struct holds_union {
    int tag;
    either value;
};
struct incomplete;
struct pimpl {
    std::unique_ptr<incomplete> p;
};
struct polymorphic {
    virtual ~polymorphic() = default;
};
using order = bool (*)(int, int);

}  // namespace

TEST_CASE("codec: what means nothing in another process is refused, however deep it hides") {
    using coproc::transferable;
    STATIC_REQUIRE(!transferable<int*>);
    STATIC_REQUIRE(!transferable<const char*>);
    STATIC_REQUIRE(!transferable<int&>);
    STATIC_REQUIRE(!transferable<void (*)(int)>);
    STATIC_REQUIRE(!transferable<int point::*>);
    STATIC_REQUIRE(!transferable<std::nullptr_t>);
    STATIC_REQUIRE(!transferable<std::string_view>);
    STATIC_REQUIRE(!transferable<std::span<int>>);
    STATIC_REQUIRE(!transferable<std::ranges::iota_view<int, int>>);
    STATIC_REQUIRE(!transferable<std::reference_wrapper<int>>);
    STATIC_REQUIRE(!transferable<std::shared_ptr<int>>);
    STATIC_REQUIRE(!transferable<std::unique_ptr<int[]>>);
    STATIC_REQUIRE(!transferable<std::unique_ptr<int, void (*)(int*)>>);
    STATIC_REQUIRE(!transferable<std::function<void()>>);
    STATIC_REQUIRE(!transferable<std::set<int, order>>);
    STATIC_REQUIRE(!transferable<holds_pointer>);
    STATIC_REQUIRE(!transferable<std::vector<holds_pointer>>);
    STATIC_REQUIRE(!transferable<std::array<ptr, 3>>);
    STATIC_REQUIRE(!transferable<holds_deep>);
    STATIC_REQUIRE(!transferable<holds_reference>);
    STATIC_REQUIRE(!transferable<holds_const_reference>);
    STATIC_REQUIRE(!transferable<holds_rvalue_reference>);
    STATIC_REQUIRE(!transferable<holds_mutable>);
    STATIC_REQUIRE(!transferable<std::tuple<int&>>);
    STATIC_REQUIRE(!transferable<holds_view>);
    STATIC_REQUIRE(!transferable<derived>);
    STATIC_REQUIRE(!transferable<either>);
    STATIC_REQUIRE(!transferable<holds_union>);
    STATIC_REQUIRE(!transferable<pimpl>);
    STATIC_REQUIRE(!transferable<polymorphic>);
    STATIC_REQUIRE(!transferable<int[3]>);
    STATIC_REQUIRE(!transferable<std::pair<int[3], int>>);
    STATIC_REQUIRE(!transferable<void>);
    int captured = 0;
    auto lambda = [captured] { return captured; };
    STATIC_REQUIRE(!transferable<decltype(lambda)>);
    STATIC_REQUIRE(transferable<node>);
    STATIC_REQUIRE(transferable<everything>);
    STATIC_REQUIRE(transferable<const int>);
}

TEST_CASE("codec: a length is not believed before its bytes have come") {
    const std::initializer_list<int> huge{255, 255, 255, 255, 255, 255, 255, 255, 127, 1, 2};
    CHECK(is_bad<std::string>(huge));
    CHECK(is_bad<std::vector<int>>(huge));
    CHECK(is_bad<std::vector<nothing>>(huge));
    CHECK(is_bad<std::vector<account>>(huge));
    CHECK(is_bad<std::deque<std::string>>(huge));
    CHECK(is_bad<std::forward_list<int>>(huge));
    CHECK(is_bad<std::unordered_map<int, int>>(huge));
    CHECK(is_bad<std::vector<int>>({2, 1, 0, 0, 0, 2, 0, 0}));
}

TEST_CASE("codec: memory is taken only for as many bytes as have come") {
    using big = std::array<std::string, 1000>;
    coproc::bytes raw{std::byte{200}};
    raw.resize(201);
    CHECK(decoded<std::vector<big>>(raw).error() == errc::bad_message);
    std::vector<big> into;
    coproc::detail::reserve_for(into, 1000, decoder(raw));
    CHECK(into.capacity() == 1);
}

TEST_CASE("codec: values that no sender writes are bad messages") {
    CHECK(is_bad<bool>({2}));
    CHECK(is_bad<truth>({2}));
    CHECK(is_bad<std::vector<bool>>({1, 7}));
    CHECK(is_bad<std::optional<int>>({3, 1, 0, 0, 0}));
    CHECK(is_bad<std::unique_ptr<int>>({2}));
    CHECK(is_bad<std::variant<int, bool>>({2, 0}));
    CHECK(is_bad<std::variant<int, bool>>({255, 0}));
    CHECK(is_bad<nothing>({1}));
    CHECK(is_bad<std::tuple<>>({9}));
    CHECK(is_bad<std::set<char>>({2, 5, 5}));
    CHECK(is_bad<std::map<char, char>>({2, 5, 1, 5, 2}));
    CHECK(is_bad<char>({1, 2}));
}

TEST_CASE("codec: a message cut anywhere is a bad message") {
    const auto whole = encoded(sample());
    REQUIRE(decoded<everything>(whole).value() == sample());
    for (std::size_t n = 0; n < whole.size(); ++n) {
        // In memory of its own, so that a sanitizer sees a read behind the end.
        const coproc::bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
        REQUIRE(decoded<everything>(cut).error() == errc::bad_message);
    }
}

TEST_CASE("codec: whatever the bytes are, the answer is a value or a bad message") {
    const auto whole = encoded(sample());
    std::mt19937 random(1);
    for (int i = 0; i < 100000; ++i) {
        auto changed = whole;
        for (auto n = random() % 4; n < 4; ++n) {
            changed[random() % changed.size()] = static_cast<std::byte>(random());
        }
        const auto value = decoded<everything>(changed);
        if (!value) REQUIRE(value.error() == errc::bad_message);
    }
}

namespace {

template <class Node>
std::unique_ptr<Node> chain(int length) {
    std::unique_ptr<Node> head;
    for (int i = 0; i < length; ++i) {
        auto next = std::make_unique<Node>();
        next->next = std::move(head);
        head = std::move(next);
    }
    return head;
}

template <class T>
coproc::error encode_failure(const T& value) {
    encoder out;
    out.put(value);
    return out.status().error();
}

}  // namespace

TEST_CASE("codec: nesting is bounded on both sides, and by the size of what is nested") {
    CHECK(round_trip(chain<node>(999)) != nullptr);
    CHECK(encode_failure(chain<node>(1000)) == errc::message_too_large);
    CHECK(round_trip(chain<wide_node>(100)) != nullptr);
    CHECK(encode_failure(chain<wide_node>(200)) == errc::message_too_large);
    CHECK(encode_failure(spiral()) == errc::message_too_large);

    const std::vector<std::byte> deep(1'000'000, std::byte{1});  // a pointer, and a number
    CHECK(decoded<std::unique_ptr<node>>(deep).error() == errc::bad_message);
    CHECK(decoded<std::unique_ptr<wide_node>>(deep).error() == errc::bad_message);
    CHECK(decoded<tree>(deep).error() == errc::bad_message);
    CHECK(decoded<spiral>(deep).error() == errc::bad_message);
}

TEST_CASE("codec: attached file descriptors arrive in order") {
    const handle a(open_null()), b(open_null());
    encoder out;
    out.put(a);
    out.put(b);
    REQUIRE(out.fds().size() == 2);
    CHECK(out.fds()[0] == a.fd());
    CHECK(out.bytes().size() == 2);  // even a handle is a byte: its count can be checked

    std::vector<unique_fd> received;
    for (int fd : out.fds()) received.emplace_back(::dup(fd));
    const int second = received[1].get();
    decoder in(out.bytes(), std::move(received));
    CHECK(in.get<handle>());
    CHECK(in.get<handle>().value().fd() == second);
    CHECK(in.finish());
    CHECK(in.take_fd().error() == errc::bad_message);
}

TEST_CASE("codec: what is not copied is read like what is") {
    struct parts {
        std::string large;
        int number;
        std::vector<long> small;
        coproc::bytes last;
    };
    const parts sent{std::string(5000, 'a'), 7, {1, 2, 3}, coproc::bytes(700, std::byte{9})};
    encoder out;
    {
        const coproc::detail::borrowing large(out, 256);
        out.put(sent);
    }
    const coproc::bytes whole = encoded(sent);
    REQUIRE(out.size() == whole.size());
    for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}, whole.size()}) {
        auto rest = out.content();
        coproc::bytes read(whole.size());
        for (std::size_t at = 0; at < read.size(); at += piece) {
            rest.read(read.data() + at, std::min(piece, read.size() - at));
        }
        CHECK(rest.size() == 0);
        CHECK(read == whole);
    }
    out.clear();
    out.put(sent);
    CHECK(out.to_bytes() == whole);
}

TEST_CASE("codec: what a codec of the user's has made is copied") {
    const std::string before(1000, 'a');
    encoder out;
    {
        const coproc::detail::borrowing large(out, 256);
        out.put(before);
        out.put(made_to_travel{5000});
        out.put(before);
    }
    auto rest = out.content();
    coproc::bytes read(rest.size());
    rest.read(read.data(), read.size());
    CHECK(read == encoded(std::tuple(before, std::string(5000, 'x'), before)));
}

TEST_CASE("codec: file descriptors that nobody asked for are closed") {
    const int unwanted = open_null();
    std::vector<unique_fd> received;
    received.emplace_back(unwanted);
    {
        decoder in({}, std::move(received));
        CHECK(is_open(unwanted));
    }
    CHECK(!is_open(unwanted));
}

TEST_CASE("codec: a handle without its file descriptor is a bad message") {
    CHECK(is_bad<handle>({0}));
    CHECK(is_bad<std::vector<handle>>({1, 0}));
}

TEST_CASE("codec: the first failure of an encoder is the one it reports") {
    encoder out;
    out.attach(-1);
    out.fail(errc::not_supported);
    CHECK(out.status().error() == errc::closed);
    out.clear();
    CHECK(out.status());
    CHECK(out.bytes().empty());
}

TEST_CASE("codec: moving gives a named value away only when it is consumed") {
    auto value = std::make_unique<int>(5);
    auto given = coproc::moving(value);
    CHECK(decoded<std::unique_ptr<int>>(encoded(given.get())).has_value());
    CHECK(value != nullptr);
    given.consume();
    CHECK(value == nullptr);
}

TEST_CASE("codec: fingerprints tell types apart") {
    using coproc::detail::fingerprint;
    CHECK(fingerprint<int>() == fingerprint<const int&>());
    CHECK(fingerprint<int>() != fingerprint<unsigned>());
    CHECK(fingerprint<node>() != fingerprint<tree>());
}
