#include <coproc/event.hpp>
#include <coproc/readiness.hpp>

#include "words/system.hpp"

#include <array>
#include <cstdint>

namespace coproc {

event::event(detail::unique_fd fd)
    : fd_(std::make_shared<const detail::unique_fd>(std::move(fd))) {}

result<event> event::create() {
    COPROC_TRY(auto fd, system::event_fd());
    return event(std::move(fd));
}

result<void> event::set() const {
    // The counter only has to be above zero; setting without clearing would fill it in 10^19 steps.
    const std::uint64_t one = 1;
    COPROC_TRY(system::write(fd_->get(), std::as_bytes(std::span(&one, 1))));
    return success();
}

result<void> event::clear() const {
    std::array<std::byte, sizeof(std::uint64_t)> count;
    const auto cleared = system::read(fd_->get(), count);
    if (!cleared && cleared.error() != errc::would_block) return cleared.error();
    return success();
}

bool event::is_set() const noexcept { return system::is_readable(fd_->get()); }

namespace {

task<result<void>> wait_until_set(std::shared_ptr<const detail::unique_fd> fd) {
    COPROC_CO_TRY(co_await detail::cancellation_point());
    if (system::is_readable(fd->get())) co_return success();
    co_return co_await wait_readable(fd->get());
}

}  // namespace

task<result<void>> event::wait() const { return wait_until_set(fd_); }

void codec<event>::encode(encoder& into, const event& from) { into.attach(from.fd_->get()); }

result<event> codec<event>::decode(decoder& from) {
    COPROC_TRY(auto fd, from.take_fd());
    if (!system::is_event_fd(fd.get())) return error(errc::bad_message, "not an event");
    // A peer's eventfd may be blocking, and clear() must not be.
    COPROC_TRY(system::set_nonblocking(fd.get()));
    return event(std::move(fd));
}

}  // namespace coproc
