#include "shared/doorbell.hpp"

#include "words/sharing_linux.hpp"

#include <array>
#include <utility>

namespace coproc::detail {

doorbell::~doorbell() {
    watch_.reset();
    for (const auto& [cookie, listener] : std::exchange(listeners_, {})) listener->on_silence();
}

result<doorbell*> doorbell::of(loop& home) {
    auto& mine = home.resident_of<doorbell>();
    if (!mine.watch_) {
        COPROC_TRY(mine.hang_up());
    }
    return &mine;
}

result<void> doorbell::hang_up() {
    COPROC_TRY(bell_, system::make_bell());
    COPROC_TRY(name_, system::name_of_bell(bell_.get()));
    watch_.emplace(bell_.get());
    const auto on_ready = [](void* self) noexcept { static_cast<doorbell*>(self)->listen(); };
    auto watching = watch_->call_when_readable(*home_, on_ready, this);
    if (!watching) watch_.reset();
    return watching;
}

std::uint64_t doorbell::add(bell_listener& listener) {
    listeners_.emplace(++last_cookie_, &listener);
    return last_cookie_;
}

/// A bell that is full takes no more rings, and a ring that was not taken was for anybody: when
/// more than one has come, all listeners look. That costs each a few nanoseconds.
void doorbell::listen() noexcept {
    // No more at a time: the poll calls again if more have come.
    std::array<std::uint64_t, 8> said{};
    const auto rings = system::heard(bell_.get(), said);
    if (rings && rings.value() == 1) {
        if (const auto one = listeners_.find(said.front()); one != listeners_.end()) {
            one->second->on_ring();
        }
        return;
    }
    // on_ring() only posts: nobody is added or removed meanwhile.
    for (const auto& [cookie, listener] : listeners_) listener->on_ring();
}

}  // namespace coproc::detail
