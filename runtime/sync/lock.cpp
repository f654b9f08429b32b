#include <coproc/lock.hpp>

#include "shared/shared_object.hpp"

namespace coproc {

namespace detail {

namespace {

struct lock_layout : shared_head {
    participant owner;
    std::uint64_t owner_died;
};

}  // namespace

class lock_object final : public shared_object {
 public:
    lock_object(region memory, std::shared_ptr<const unique_fd> ringer)
        : shared_object(std::move(memory), std::move(ringer)) {}

    static result<lock_ref> create() {
        COPROC_TRY(auto memory, region::create(region_kind::lock, sizeof(lock_layout)));
        COPROC_TRY(make_lock(memory.as<lock_layout>()));
        memory.finish();
        return attach<lock_object>(std::move(memory));
    }
    static result<lock_ref> open(unique_fd file) {
        COPROC_TRY(auto memory, region::open<lock_layout>(std::move(file), region_kind::lock));
        return attach<lock_object>(std::move(memory));
    }

    void describe(std::string& into) const override {
        describe_name(into, "lock");
        into += is_ours() ? ": ours" : is_locked() ? ": another process's" : ": free";
        describe_sleepers(into, 0, " waiting");
    }
    bool is_locked() const noexcept { return peek(words().owner) != 0; }
    /// Nobody else writes or removes our name while we live: no transaction is needed.
    bool is_ours() const noexcept { return peek(words().owner) == this_participant(); }

    /// `owner_died`: whether the new owner is the one to be told.
    result<progress> acquire(bool& owner_died) {
        auto made = acquire_now(owner_died);
        kick_if_healed();
        return made;
    }
    result<void> release() {
        return now_or_later([this] { return release_now(); });
    }

    static task<result<bool>> wait_for(lock_ref self) {
        COPROC_CO_TRY(co_await cancellation_point());
        bool owner_died = false;
        if (self->goes_first(0)) {
            COPROC_CO_TRY(const progress made, self->acquire(owner_died));
            if (made == progress::done) co_return owner_died;
        }
        attempt_with acquiring([&] { return self->acquire(owner_died); },
                               [&] { return !self->is_locked(); });
        COPROC_CO_TRY(co_await until_done(self, 0, acquiring));
        co_return owner_died;
    }

 private:
    lock_layout& words() const noexcept { return memory().as<lock_layout>(); }

    result<progress> acquire_now(bool& owner_died) {
        if (is_locked()) return progress::not_yet;
        transaction changing(words(), experience());
        if (!changing) return progress::busy;
        if (words().owner != 0) return progress::not_yet;
        owner_died = words().owner_died != 0;
        changing.set(words().owner, this_participant());
        if (owner_died) changing.set(words().owner_died, 0);
        changing.commit();
        return progress::done;
    }
    result<progress> release_now() {
        {
            transaction changing(words(), experience());
            if (!changing) return progress::busy;
            // A plain fork has a copy of the guard, and not the lock.
            if (words().owner != this_participant()) return errc::too_many_releases;
            changing.set(words().owner, 0);
            changing.commit();
        }
        if (kick()) look_again();
        return progress::done;
    }
    bool forget(transaction& changing, participant dead, ending) noexcept override {
        if (words().owner != dead) return true;
        changing.set(words().owner, 0);
        changing.set(words().owner_died, 1);
        return true;
    }
    bool kick() noexcept override {
        const auto reason = [](const void* self) {
            return !static_cast<const lock_object*>(self)->is_locked();
        };
        return !is_locked() && sleeping_on(0).wake_one(ringer(), UINT64_MAX, reason, this);
    }
};

}  // namespace detail

result<lock> lock::create() {
    COPROC_TRY(auto made, detail::lock_object::create());
    return lock(std::move(made));
}

bool lock::is_locked() const noexcept { return object_->is_locked(); }

bool lock::is_ours() const noexcept { return object_->is_ours(); }

result<lock::guard> lock::try_acquire() const {
    bool owner_died = false;
    COPROC_TRY(const detail::progress made, object_->acquire(owner_died));
    if (made != detail::progress::done) return errc::would_block;
    return guard(object_, owner_died);
}

task<result<lock::guard>> lock::acquire() const {
    // Not a coroutine of its own `this`: the lock object may be moved or dropped meanwhile.
    const auto wait = [](detail::lock_ref object) -> task<result<guard>> {
        COPROC_CO_TRY(const bool owner_died, co_await detail::lock_object::wait_for(object));
        co_return guard(std::move(object), owner_died);
    };
    return wait(object_);
}

result<void> lock::guard::release() {
    if (!object_) return errc::too_many_releases;
    COPROC_TRY(object_->release());
    object_.reset();
    return success();
}

void lock::guard::drop() noexcept {
    if (const auto held = std::exchange(object_, nullptr)) (void)held->release();
}

void codec<lock>::encode(encoder& into, const lock& from) {
    detail::encode_object(into, from.object_, "a lock");
}

result<lock> codec<lock>::decode(decoder& from) {
    COPROC_TRY(auto file, from.take_fd());
    COPROC_TRY(auto opened, detail::lock_object::open(std::move(file)));
    return lock(std::move(opened));
}

}  // namespace coproc
