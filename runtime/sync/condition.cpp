#include <coproc/condition.hpp>

#include "sync/condition_object.hpp"

namespace coproc {

namespace {

error lock_not_held() {
    return error(std::make_error_code(std::errc::operation_not_permitted),
                 "the lock of the condition is not held");
}

}  // namespace

result<condition> condition::create() {
    COPROC_TRY(auto with, lock::create());
    return create(std::move(with));
}

result<condition> condition::create(lock with) {
    COPROC_TRY(auto made, detail::condition_object::create());
    return condition(std::move(with), std::move(made));
}

task<result<void>> condition::wait(lock::guard& held) const {
    // Not a coroutine of its own `this`: the condition may be moved or dropped meanwhile.
    const auto wait = [](condition self, lock::guard& into) -> task<result<void>> {
        // Whatever fails from here on, the lock is released.
        lock::guard before = std::move(into);
        if (!before.object_ || !self.lock_.is_ours()) co_return lock_not_held();
        const detail::condition_ref waited_for = self.object_;
        COPROC_CO_TRY(co_await detail::condition_object::enlist(waited_for));
        if (const auto released = before.release(); !released) {
            waited_for->give_up();
            co_return released.error();
        }
        COPROC_CO_TRY(const auto notified,
                      co_await detail::condition_object::wait_notified(waited_for));
        auto again = co_await self.lock_.acquire();
        if (!again) {
            waited_for->pass_on(notified);
            co_return again.error();
        }
        waited_for->consume(notified);
        into = std::move(again).value();
        co_return success();
    };
    return wait(*this, held);
}

result<void> condition::notify(std::size_t count) const {
    if (!lock_.is_ours()) return lock_not_held();
    return object_->notify(count);
}

result<void> condition::notify_all() const { return notify(SIZE_MAX); }

void codec<condition>::encode(encoder& into, const condition& from) {
    codec<lock>::encode(into, from.lock_);
    detail::encode_object(into, from.object_, "a condition");
}

result<condition> codec<condition>::decode(decoder& from) {
    COPROC_TRY(auto with, codec<lock>::decode(from));
    COPROC_TRY(auto file, from.take_fd());
    COPROC_TRY(auto opened, detail::condition_object::open(std::move(file)));
    return condition(std::move(with), std::move(opened));
}

}  // namespace coproc
