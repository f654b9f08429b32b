#pragma once
// System calls for what processes share: memory without a name, and bells to wake each other.

#include "words/system.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace coproc::system {

/// A sparse file of `size` bytes that exists in memory alone, and whose size nobody can change.
/// Errors: std::errc::file_too_large above RLIMIT_FSIZE (exceeding it would be a signal).
result<unique_fd> memory_file(std::size_t size);
/// The size of such a file. Errors: errc::bad_message if it is none.
result<std::size_t> memory_file_size(int fd);
/// Tells one file from all others, in all processes.
std::uint64_t file_number(int fd) noexcept;
/// The whole file, to be read and written; not in core dumps.
result<std::byte*> map_shared(int fd, std::size_t size);
void unmap(std::byte* mapped, std::size_t size) noexcept;
/// Gives a part of the file real memory, so that touching it cannot fail any more.
/// Errors: std::errc::not_enough_memory, std::errc::no_space_on_device.
result<void> give_memory(int fd, std::size_t offset, std::size_t size);
/// The same for up to 1 MiB. What is larger stays sparse, unless this kernel would then refuse it
/// by a SIGBUS (vm.overcommit_memory = 2: no more is promised than there is).
result<void> secure_memory(int fd, std::size_t offset, std::size_t size);

/// A bell: a datagram socket with a name that the kernel has made up, in the abstract namespace
/// of this network namespace (unix(7), "autobind").
result<unique_fd> make_bell();
result<std::uint64_t> name_of_bell(int bell);
/// Rings the bell of that name. errc::would_block: it has rung so often unheard that it has no
/// room for more; std::errc::connection_refused: its process is gone.
result<void> ring(int from, std::uint64_t name, std::uint64_t content);
/// What the next rings said, as many as there are and at most 8, by one system call; answers how
/// many. errc::would_block if there is none.
result<std::size_t> heard(int bell, std::span<std::uint64_t> contents);

}  // namespace coproc::system
