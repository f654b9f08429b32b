#include "words/sharing_linux.hpp"

#include "words/attempt.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // linux/memfd.h of Linux 6.3
#endif

namespace coproc::system {

namespace {

constexpr int fixed_size = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr unsigned plain_memory = MFD_CLOEXEC | MFD_ALLOW_SEALING;

/// About half a millisecond to fill.
constexpr std::size_t modest_size = std::size_t{1024} * 1024;

bool promises_are_counted() {
    const auto mode = read_file("/proc/sys/vm/overcommit_memory");
    return mode && mode.value().starts_with('2');
}

result<void> check_size_limit(std::size_t size) {
    ::rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    if (limit.rlim_cur == RLIM_INFINITY || size <= limit.rlim_cur) return success();
    return error(std::make_error_code(std::errc::file_too_large),
                 "shared memory counts against the limit of file sizes (ulimit -f)");
}

}  // namespace

result<unique_fd> memory_file(std::size_t size) {
    COPROC_TRY(check_size_limit(size));
    const auto create = [](unsigned flags) {
        return attempt_fd("memfd_create", [&] { return ::memfd_create("coproc", flags); });
    };
    auto made = create(plain_memory | MFD_NOEXEC_SEAL);
    if (!made && made.error() == std::errc::invalid_argument) made = create(plain_memory);
    COPROC_TRY(unique_fd file, std::move(made));
    COPROC_TRY(attempt_void("ftruncate",
                            [&] { return ::ftruncate(file.get(), static_cast<::off_t>(size)); }));
    COPROC_TRY(attempt_void("fcntl", [&] { return ::fcntl(file.get(), F_ADD_SEALS, fixed_size); }));
    return file;
}

std::uint64_t file_number(int fd) noexcept {
    struct stat about{};
    ::fstat(fd, &about);
    return about.st_ino;
}

result<std::size_t> memory_file_size(int fd) {
    struct stat about{};
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & fixed_size) != fixed_size || ::fstat(fd, &about) != 0) {
        return error(errc::bad_message, "not a coproc object");
    }
    return static_cast<std::size_t>(about.st_size);
}

result<std::byte*> map_shared(int fd, std::size_t size) {
    void* mapped = MAP_FAILED;
    COPROC_TRY(attempt_void("mmap", [&] {
        mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
        return mapped == MAP_FAILED ? -1 : 0;
    }));
    ::madvise(mapped, size, MADV_DONTDUMP);
    return static_cast<std::byte*>(mapped);
}

void unmap(std::byte* mapped, std::size_t size) noexcept { ::munmap(mapped, size); }

result<void> give_memory(int fd, std::size_t offset, std::size_t size) {
    return attempt_void("fallocate", [&] {
        return ::fallocate(fd, 0, static_cast<::off_t>(offset), static_cast<::off_t>(size));
    });
}

result<void> secure_memory(int fd, std::size_t offset, std::size_t size) {
    if (size > modest_size && !promises_are_counted()) return success();
    return give_memory(fd, offset, size);
}

namespace {

// An autobound name is a zero byte and five hexadecimal digits; as a number, the digits.
constexpr std::size_t digits = 5;
constexpr ::socklen_t name_size = offsetof(::sockaddr_un, sun_path) + 1 + digits;

}  // namespace

result<unique_fd> make_bell() {
    COPROC_TRY(unique_fd bell, attempt_fd("socket", [] {
                   return ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
               }));
    const ::sockaddr_un unnamed{AF_UNIX, {}};
    COPROC_TRY(attempt_void("bind", [&] {
        return ::bind(bell.get(), reinterpret_cast<const ::sockaddr*>(&unnamed),
                      sizeof unnamed.sun_family);
    }));
    return bell;
}

result<std::uint64_t> name_of_bell(int bell) {
    ::sockaddr_un address{};
    ::socklen_t size = sizeof address;
    COPROC_TRY(attempt_void("getsockname", [&] {
        return ::getsockname(bell, reinterpret_cast<::sockaddr*>(&address), &size);
    }));
    if (size != name_size) return error(errc::not_supported, "a bell with a strange name");
    std::uint64_t name = 0;
    std::memcpy(&name, address.sun_path + 1, digits);
    return name;
}

result<void> ring(int from, std::uint64_t name, std::uint64_t content) {
    ::sockaddr_un address{AF_UNIX, {}};
    std::memcpy(address.sun_path + 1, &name, digits);
    COPROC_TRY(attempt_io("sendto", [&] {
        return ::sendto(from, &content, sizeof content, MSG_NOSIGNAL | MSG_DONTWAIT,
                        reinterpret_cast<const ::sockaddr*>(&address), name_size);
    }));
    return success();
}

result<std::size_t> heard(int bell, std::span<std::uint64_t> contents) {
    constexpr std::size_t most = 8;
    std::array<::iovec, most> places{};
    std::array<::mmsghdr, most> rings{};
    const std::size_t room = std::min(most, contents.size());
    for (std::size_t i = 0; i < room; ++i) {
        // A stranger's datagram of another size is a ring as well, of nobody in particular.
        contents[i] = 0;
        places[i] = {&contents[i], sizeof contents[i]};
        rings[i].msg_hdr.msg_iov = &places[i];
        rings[i].msg_hdr.msg_iovlen = 1;
    }
    COPROC_TRY(const auto count, attempt_io("recvmmsg", [&] {
                   return ::recvmmsg(bell, rings.data(), static_cast<unsigned>(room), MSG_DONTWAIT,
                                     nullptr);
               }));
    return static_cast<std::size_t>(count);
}

}  // namespace coproc::system
