#include <coproc/recursive_lock.hpp>

namespace coproc {

result<recursive_lock> recursive_lock::create() {
    COPROC_TRY(auto made, lock::create());
    return recursive_lock(std::move(made));
}

result<recursive_lock::guard> recursive_lock::try_acquire() const {
    COPROC_TRY(auto held, lock_.try_acquire());
    return guard(std::make_shared<lock::guard>(std::move(held)));
}

task<result<recursive_lock::guard>> recursive_lock::acquire() const {
    // Not a coroutine of its own `this`: the lock object may be moved or dropped meanwhile.
    const auto wait = [](lock from) -> task<result<guard>> {
        COPROC_CO_TRY(auto held, co_await from.acquire());
        co_return guard(std::make_shared<lock::guard>(std::move(held)));
    };
    return wait(lock_);
}

result<void> recursive_lock::guard::release() {
    if (!held_) return errc::too_many_releases;
    if (held_.use_count() == 1) {
        COPROC_TRY(held_->release());
    }
    held_.reset();
    return success();
}

void codec<recursive_lock>::encode(encoder& into, const recursive_lock& from) {
    codec<lock>::encode(into, from.lock_);
}

result<recursive_lock> codec<recursive_lock>::decode(decoder& from) {
    COPROC_TRY(auto opened, codec<lock>::decode(from));
    return recursive_lock(std::move(opened));
}

}  // namespace coproc
