#pragma once
// Where the kernel writes down each child that a fork server clones, before the child's first
// instruction (CLONE_CHILD_SETTID): a page that server and application share. So the application
// finds also a child that has been killed together with its server, before either could say that
// it was born. Where there is no memory to share (RLIMIT_FSIZE counts it), one does without.
//
// Of a birth whose server is gone, and whose control socket is at its end, it holds what will ever
// be known: the child has left its sockets later than it has been written down.

#include "shared/region.hpp"

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace coproc::detail {

class birth_register {
 public:
    /// For a server, by the application.
    static result<birth_register> create() {
        COPROC_TRY(auto made, region::create(region_kind::births, sizeof(page)));
        made.finish();
        return birth_register(std::move(made));
    }
    /// By the server.
    static result<birth_register> open(unique_fd file) {
        COPROC_TRY(auto opened, region::open<page>(std::move(file), region_kind::births));
        return birth_register(std::move(opened));
    }

    int fd() const noexcept { return memory_.fd(); }

    /// Nobody has been born under this number so far.
    void begin(std::uint64_t number) noexcept { entry(number) = 0; }
    /// Where the kernel is to write.
    ::pid_t* place_of(std::uint64_t number) noexcept {
        return reinterpret_cast<::pid_t*>(&entry(number));
    }
    /// 0: no child.
    ::pid_t pid_of(std::uint64_t number) noexcept { return entry(number); }

 private:
    /// Many more than births are under way at a time.
    static constexpr std::size_t entries = 256;
    using place = std::atomic<::pid_t>;
    static_assert(place::is_always_lock_free && sizeof(place) == sizeof(::pid_t));
    struct page : region_head {
        std::array<place, entries> pids;
    };

    explicit birth_register(region memory) noexcept : memory_(std::move(memory)) {}
    place& entry(std::uint64_t number) noexcept {
        return memory_.as<page>().pids[number % entries];
    }

    region memory_;
};

}  // namespace coproc::detail
