// Whatever bytes come, decoding them gives a value or errc::bad_message; and a value that came out
// of them is the same after another trip.

#include <coproc/bytes.hpp>
#include <coproc/codec.hpp>

#include "channels/queue_layout.hpp"
#include "words/sharing_linux.hpp"

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

namespace {

using coproc::decoder;
using coproc::encoder;
using coproc::errc;

using input = std::span<const std::byte>;

struct point {
    int x;
    double y;
};
struct leaf {
    std::string name;
    std::optional<std::vector<point>> points;
    std::variant<std::monostate, int, std::string, std::vector<bool>> value;
};
struct tree {
    leaf here;
    std::map<std::string, std::vector<leaf>> below;
    std::unique_ptr<tree> next;
    std::set<std::uint64_t> numbers;
};

void require(bool holds) {
    if (!holds) std::abort();
}

template <class T>
coproc::bytes encoded(const T& value) {
    encoder into;
    into.put(value);
    require(into.status().has_value());
    return into.to_bytes();
}

template <class T>
void decode(input data) {
    decoder from(data);
    const auto value = from.get<T>();
    if (!value) return require(value.error() == errc::bad_message);
    if (!from.finish()) return;
    const coproc::bytes once = encoded(value.value());
    decoder again(once);
    const auto same = again.get<T>();
    require(same.has_value() && again.finish().has_value());
    require(encoded(same.value()) == once);
}

/// A sealed memfd with these bytes.
void open_region(input data) {
    auto file = coproc::system::memory_file(data.size() + 1);
    if (!file) return;
    require(::pwrite(file.value().get(), data.data(), data.size(), 0) ==
            static_cast<::ssize_t>(data.size()));
    const auto opened = coproc::detail::region::open<coproc::detail::queue_layout>(
        std::move(file).value(), coproc::detail::region_kind::queue);
    if (opened) return;
    require(opened.error() == errc::bad_message || opened.error() == errc::version_mismatch);
}

constexpr void (*targets[])(input) = {
    decode<tree>,
    decode<leaf>,
    decode<std::vector<std::vector<std::string>>>,
    decode<std::map<std::string, std::map<int, std::deque<std::u16string>>>>,
    decode<std::variant<std::vector<point>, std::optional<std::string>, std::tuple<int, bool>>>,
    decode<std::vector<std::optional<std::unique_ptr<std::pair<std::string, double>>>>>,
    open_region,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    targets[data[0] % std::size(targets)](std::as_bytes(std::span(data, size)).subspan(1));
    return 0;
}
