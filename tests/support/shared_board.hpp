#pragma once
// Plain memory that a test's processes share, whatever becomes of coproc's own: atomics that are
// zero in the beginning.
//
//   const shared_board<notes> seen;                        // and in a child, which got
//   seen.path(): const shared_board<notes> seen(path);

#include "support/catch.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

namespace coproc::testing {

template <class Board>
class shared_board {
 public:
    shared_board() : fd_(::memfd_create("board", MFD_CLOEXEC)) {
        REQUIRE(::ftruncate(fd_, sizeof(Board)) == 0);
        at_ = map(fd_);
    }
    /// The one of another process.
    explicit shared_board(const std::string& path) : fd_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {
        at_ = map(fd_);
    }
    shared_board(const shared_board&) = delete;
    shared_board& operator=(const shared_board&) = delete;
    ~shared_board() {
        ::munmap(at_, sizeof(Board));
        ::close(fd_);
    }

    Board& operator*() const noexcept { return *at_; }
    Board* operator->() const noexcept { return at_; }
    std::string path() const {
        return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_);
    }

 private:
    static Board* map(int fd) {
        return static_cast<Board*>(
            ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    }

    int fd_;
    Board* at_;
};

}  // namespace coproc::testing
