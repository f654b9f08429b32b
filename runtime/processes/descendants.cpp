#include "processes/descendants.hpp"

#include "shared/shared_object.hpp"

#include <sys/resource.h>

#include <algorithm>

namespace coproc::detail {

namespace {

/// They shall not use up our file descriptors, nor shall a child that makes up more of them.
std::size_t most_watched() {
    ::rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return std::min<std::size_t>(4096, limit.rlim_cur / 4);
}

}  // namespace

void descendants::watch(unique_fd pidfd, participant who) {
    if (all_.size() >= most_watched()) return;
    descendant& one = all_.emplace_back(*this, std::move(pidfd), who);
    one.place = std::prev(all_.end());
    const auto on_end = [](void* ended) noexcept {
        auto& it = *static_cast<descendant*>(ended);
        it.family->on_end(it);
    };
    if (!one.ending.call_when_readable(*home_, on_end, &one)) all_.pop_back();
}

void descendants::on_end(descendant& one) noexcept {
    const participant dead = one.name;
    all_.erase(one.place);
    // How it ended is known to its parent alone, which says so where it matters.
    repair_for(dead, ending::clean, home_);
}

}  // namespace coproc::detail
