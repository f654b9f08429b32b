#include <coproc/detail/target.hpp>
#include <coproc/process.hpp>

#include "support/co_test.hpp"
#include "support/processes.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

using coproc::errc;
using coproc::process;
using coproc::detail::code_place;
using coproc::detail::entry_of;
using coproc::detail::function_at;
using coproc::detail::place_of;
using coproc::detail::record_at;
using coproc::detail::record_place;
using coproc::detail::stored_t;

namespace {

int answer(int n) { return n; }
using answer_entry = entry_of<int (*)(int), std::tuple<int>>;

const void* address_of(int (*function)(int)) { return reinterpret_cast<const void*>(function); }

record_place place_of_answer() { return place_of(answer_entry::record).value(); }

}  // namespace

// -- what is kept for which parameter

namespace {
struct one_call {
    double operator()(const std::string&, float) const { return 0; }
};
constexpr auto generic = [](auto, auto) {};

static_assert(std::is_same_v<stored_t<int (*)(long, double), int, int>, std::tuple<long, double>>);
static_assert(
    std::is_same_v<stored_t<void (*)(std::string_view, const char*), const char*, std::string>,
                   std::tuple<std::string, std::string>>);
static_assert(std::is_same_v<stored_t<one_call, const char*, int>, std::tuple<std::string, float>>);
static_assert(std::is_same_v<stored_t<std::remove_cv_t<decltype(generic)>, const char*, short>,
                             std::tuple<std::string, short>>);
static_assert(
    std::is_same_v<stored_t<void (*)(std::unique_ptr<int>) noexcept, std::unique_ptr<int>>,
                   std::tuple<std::unique_ptr<int>>>);
}  // namespace

// -- places

TEST_CASE("target: a function and a record are found again where they were", "[process]") {
    const auto place = place_of(address_of(answer)).value();
    CHECK(place.module.empty());  // the program itself
    CHECK(function_at(place).value() == address_of(answer));
    CHECK(record_at(place_of_answer()).value() == &answer_entry::record);
}

TEST_CASE("target: a function of a library that the program is linked to has a place",
          "[process]") {
    const void* function = ::dlsym(RTLD_DEFAULT, "uv_version");
    REQUIRE(function != nullptr);
    const auto place = place_of(function).value();
    CHECK(place.module.find("libuv") != std::string::npos);
    CHECK_FALSE(place.build_id.empty());
    CHECK(function_at(place).value() == function);
}

TEST_CASE("target: what is in no module has no place", "[process]") {
    const auto on_heap = std::make_unique<int>(1);
    CHECK(place_of(static_cast<const void*>(on_heap.get())).error() == errc::unknown_target);
    const int on_stack = 1;
    CHECK(place_of(static_cast<const void*>(&on_stack)).error() == errc::unknown_target);
    CHECK(place_of(static_cast<const void*>(nullptr)).error() == errc::unknown_target);
}

TEST_CASE("target: another build of the module is a version mismatch", "[process]") {
    auto place = place_of(address_of(answer)).value();
    if (place.build_id.empty()) return;  // linked without
    place.build_id.back() = static_cast<char>(place.build_id.back() ^ 1);
    CHECK(function_at(place).error() == errc::version_mismatch);
    place.build_id.clear();
    CHECK(function_at(place).error() == errc::version_mismatch);
    auto record = place_of_answer();
    record.place.build_id += "0";
    CHECK(record_at(record).error() == errc::version_mismatch);
}

TEST_CASE("target: a module that is not loaded is named in the error", "[process]") {
    auto place = place_of(address_of(answer)).value();
    place.module = "/nowhere/libnone.so";
    const auto found = function_at(place);
    REQUIRE_FALSE(found.has_value());
    CHECK(found.error() == errc::unknown_target);
    CHECK(found.error().message().find("/nowhere/libnone.so") != std::string::npos);
}

TEST_CASE("target: a tampered place is an error, never a jump", "[process]") {
    const auto place = place_of(address_of(answer)).value();
    static const int data = 1;  // in the program, and no code
    static int writable_data = 1;
    for (const void* bad :
         {static_cast<const void*>(&data), static_cast<const void*>(&writable_data)}) {
        code_place not_code = place;
        not_code.offset +=
            static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(bad) -
                                       reinterpret_cast<std::uintptr_t>(address_of(answer)));
        CHECK(function_at(not_code).error() == errc::unknown_target);
    }
    for (const std::uint64_t offset :
         {std::uint64_t{1} << 40, std::numeric_limits<std::uint64_t>::max(),
          std::numeric_limits<std::uint64_t>::max() - 0x1000, std::uint64_t{1} << 63}) {
        code_place far = place;
        far.offset = offset;
        CHECK(function_at(far).error() == errc::unknown_target);
        auto record = place_of_answer();
        record.place.offset = offset;
        CHECK(record_at(record).error() == errc::unknown_target);
    }
}

TEST_CASE("target: only a record of the right type is a record", "[process]") {
    auto other_type = place_of_answer();
    other_type.type += 1;
    CHECK(record_at(other_type).error() == errc::unknown_target);
    for (const std::uint64_t aside : {1U, 4U, 8U, 16U, 24U}) {
        auto shifted = place_of_answer();
        shifted.place.offset += aside;
        CHECK(record_at(shifted).error() == errc::unknown_target);
        shifted = place_of_answer();
        shifted.place.offset -= aside;
        CHECK(record_at(shifted).error() == errc::unknown_target);
    }
    auto code = place_of_answer();
    code.place = place_of(address_of(answer)).value();
    CHECK(record_at(code).error() == errc::unknown_target);
    // Every byte of the readable program, as far as it reaches around the record.
    auto walking = place_of_answer();
    const std::uint64_t begin = walking.place.offset;
    int found = 0;
    for (std::uint64_t offset = begin - 4096; offset < begin + 4096; ++offset) {
        walking.place.offset = offset;
        if (record_at(walking)) ++found;
    }
    CHECK(found == 1);
}

// -- what a child would not have

CO_TEST_CASE("target: a function of a library loaded later is refused by its file's name",
             "[process]") {
    void* library = ::dlopen(COPROC_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    auto* function = reinterpret_cast<int (*)()>(::dlsym(library, "function_of_the_plugin"));
    REQUIRE(function != nullptr);
    CHECK(function() == 42);
    {
        process p(function);
        const auto started = co_await p.start();
        REQUIRE_FALSE(started.has_value());
        CHECK(started.error() == errc::unknown_target);
        CHECK(started.error().message().find("libcoproc_plugin.so") != std::string::npos);
        CHECK(p.to_string() == "<process(" + p.name() + ", initial)>");
    }
    ::dlclose(library);
}

CO_TEST_CASE("target: a null function is refused, not called", "[process]") {
    int (*nothing)(int) = nullptr;
    process p(nothing, 1);
    const auto started = co_await p.start();
    REQUIRE_FALSE(started.has_value());
    CHECK(started.error() == errc::unknown_target);
}
