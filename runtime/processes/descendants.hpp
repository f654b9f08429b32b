#pragma once
// The processes that our children have started, and theirs: not ours to reap, but when one of them
// has died, whatever it had of shared objects is taken back here, too: its parent may be dead.
//
// Each process tells its parent the pidfd of every child that it starts, before the child knows who
// it is in shared memory, and passes on what its own children tell it. (What ends an orphan is its
// lifeline.)

#include <coproc/detail/unique_fd.hpp>

#include "engine/loop.hpp"
#include "shared/participant.hpp"
#include "waits/fd_watch.hpp"

#include <list>

namespace coproc::detail {

class descendants final : public resident {
 public:
    explicit descendants(loop& home) noexcept : home_(&home) {}

    /// Repairs for it when it has ended. One that cannot be watched is not.
    void watch(unique_fd pidfd, participant who);

 private:
    struct descendant {
        descendant(descendants& all, unique_fd fd, participant who)
            : family(&all), pidfd(std::move(fd)), name(who), ending(pidfd.get()) {}
        descendants* family;
        unique_fd pidfd;
        participant name;
        fd_watch ending;
        std::list<descendant>::iterator place;
    };
    void on_end(descendant& one) noexcept;

    loop* home_;
    std::list<descendant> all_;
};

}  // namespace coproc::detail
