#include <coproc/connection.hpp>
#include <coproc/event.hpp>
#include <coproc/lock.hpp>
#include <coproc/process.hpp>
#include <coproc/shared_array.hpp>
#include <coproc/shared_memory.hpp>

#include "support/co_test.hpp"
#include "words/system.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

using coproc::errc;
using coproc::process;
using coproc::result;
using coproc::shared_memory;
using coproc::task;

namespace {

constexpr std::size_t mebibyte = std::size_t{1024} * 1024;

std::string text_in(const shared_memory& memory) {
    return reinterpret_cast<const char*>(memory.data().data());
}
void write_text(shared_memory memory, std::string text) {
    const auto all = memory.data();
    if (std::ranges::any_of(all, [](std::byte one) { return one != std::byte{0}; })) std::abort();
    std::memcpy(all.data(), text.c_str(), text.size() + 1);
}
task<void> receive_and_write(coproc::connection from) {
    const auto memory = (co_await from.recv<shared_memory>()).value();
    write_text(memory, "received");
}
/// How much of it has real memory.
std::size_t used_by(const shared_memory& memory) {
    coproc::encoder into;
    into.put(memory);
    struct stat about{};
    REQUIRE(::fstat(into.fds()[0], &about) == 0);
    return static_cast<std::size_t>(about.st_blocks) * 512;
}
bool promises_are_counted() {
    return coproc::system::read_file("/proc/sys/vm/overcommit_memory").value()[0] == '2';
}
/// What becomes of an fd that claims to be shared memory.
result<shared_memory> decoded(int fd) {
    std::vector<coproc::detail::unique_fd> fds;
    fds.push_back(coproc::system::duplicate(fd).value());
    coproc::decoder from({}, std::move(fds));
    return coproc::codec<shared_memory>::decode(from);
}
template <class T>
result<shared_memory> decoded_from(const T& handle) {
    coproc::encoder into;
    into.put(handle);
    return decoded(into.fds()[0]);
}

}  // namespace

CO_TEST_CASE("shared_memory: zeros at first, then what anybody has written",
             "[shared_memory][process]") {
    const auto memory = shared_memory::create(100'000).value();
    CHECK(memory.size() == 100'000);
    CHECK(reinterpret_cast<std::uintptr_t>(memory.data().data()) % 4096 == 0);
    process writer(write_text, memory, "hello");
    (co_await writer.start()).value();
    const auto ended = co_await writer.join();
    CHECK(ended.value().success());
    CHECK(text_in(memory) == "hello");
    const shared_memory copy = memory;
    copy.data()[0] = std::byte{'H'};
    CHECK(text_in(memory) == "Hello");
}

CO_TEST_CASE("shared_memory: a message on a connection takes it to a child",
             "[shared_memory][process]") {
    auto [ours, theirs] = coproc::pipe().value();
    process writer(receive_and_write, std::move(theirs));
    (co_await writer.start()).value();
    const auto memory = shared_memory::create(10).value();
    (co_await ours.send(memory)).value();
    const auto ended = co_await writer.join();
    CHECK(ended.value().success());
    CHECK(text_in(memory) == "received");
}

TEST_CASE("shared_memory: a size that cannot be is an error", "[shared_memory]") {
    const auto nothing = shared_memory::create(0);
    REQUIRE_FALSE(nothing.has_value());
    CHECK(nothing.error() == std::errc::invalid_argument);
    for (const std::size_t absurd : {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 4, SIZE_MAX / 1024}) {
        const auto refused = shared_memory::create(absurd);
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error() == std::errc::not_enough_memory);
        CHECK(refused.error().message().find(std::to_string(absurd)) != std::string::npos);
    }
}

TEST_CASE("shared_memory: above the limit of file sizes it is an error and no signal",
          "[shared_memory]") {
    ::rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const ::rlimit small{8192, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    const auto refused = shared_memory::create(10'000);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == std::errc::file_too_large);
}

TEST_CASE("shared_memory: a modest one has its memory at once, or is an error", "[shared_memory]") {
    const auto memory = shared_memory::create(mebibyte).value();
    CHECK(used_by(memory) >= mebibyte);
    coproc::system::set_fault_hook(
        [](const char* call) noexcept { return std::strcmp(call, "fallocate") == 0 ? ENOSPC : 0; });
    const auto refused = shared_memory::create(100'000);
    coproc::system::set_fault_hook(nullptr);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == std::errc::no_space_on_device);
}

TEST_CASE("shared_memory: a large one uses memory where it is touched", "[shared_memory]") {
    if (promises_are_counted()) return;
    const auto memory = shared_memory::create(1024 * mebibyte).value();
    memory.data().front() = std::byte{1};
    memory.data().back() = std::byte{2};
    CHECK(used_by(memory) <= 4 * mebibyte);  // huge pages, if the system has them for this
}

namespace {

/// 0 if the kernel refuses every change of its size.
int try_to_resize(shared_memory memory) {
    coproc::encoder into;
    into.put(memory);
    for (const ::off_t size : {0L, 4096L, 1L << 30L}) {
        if (::ftruncate(into.fds()[0], size) == 0 || errno != EPERM) return 1;
    }
    return 0;
}

}  // namespace

CO_TEST_CASE("shared_memory: nobody can change its size", "[shared_memory][process]") {
    const auto memory = shared_memory::create(3 * mebibyte).value();
    process child(try_to_resize, memory);
    (co_await child.start()).value();
    const auto ended = co_await child.join();
    CHECK(ended.value().code() == 0);
    memory.data().back() = std::byte{1};
}

TEST_CASE("shared_memory: what is none is refused", "[shared_memory]") {
    const coproc::testing::leak_check leaks;
    {
        const auto pipe = coproc::system::pipe().value();
        CHECK(decoded(pipe[0].get()).error() == errc::bad_message);
        CHECK(decoded_from(coproc::event::create().value()).error() == errc::bad_message);
        CHECK(decoded_from(coproc::lock::create().value()).error() == errc::bad_message);
        const coproc::detail::unique_fd plain(::memfd_create("plain", MFD_CLOEXEC));
        REQUIRE(::ftruncate(plain.get(), 8192) == 0);
        CHECK(decoded(plain.get()).error() == errc::bad_message);
        const auto array = coproc::shared_array<int>::create(10).value();
        CHECK(decoded_from(array).error() == errc::type_mismatch);
        CHECK(decoded_from(shared_memory::create(1).value()).has_value());
    }
    leaks.done();
}

TEST_CASE("shared_memory: one that has been moved from does not travel", "[shared_memory]") {
    auto memory = shared_memory::create(1).value();
    const auto moved = std::move(memory);
    coproc::encoder into;
    into.put(memory);  // NOLINT(bugprone-use-after-move): on purpose
    CHECK(into.status().error() == errc::closed);
}
