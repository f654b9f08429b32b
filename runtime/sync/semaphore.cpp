#include <coproc/semaphore.hpp>

#include "shared/shared_object.hpp"

#include <algorithm>
#include <array>

namespace coproc {

namespace detail {

namespace {

/// How many permits a process has, so that they come back when it dies.
struct permit_holder {
    participant who;
    std::uint64_t permits;
};

struct semaphore_layout : shared_head {
    std::uint64_t permits;
    std::uint64_t most;
    std::uint64_t holders_used;  ///< holders from here on have never been
    std::array<permit_holder, most_members> holders;
};

}  // namespace

class semaphore_object final : public shared_object {
 public:
    semaphore_object(region memory, std::shared_ptr<const unique_fd> ringer)
        : shared_object(std::move(memory), std::move(ringer)) {}

    static result<semaphore_ref> create(std::size_t permits, std::size_t most) {
        COPROC_TRY(auto memory, region::create(region_kind::semaphore, sizeof(semaphore_layout)));
        auto& made = memory.as<semaphore_layout>();
        COPROC_TRY(make_lock(made));
        made.permits = permits;
        made.most = most;
        memory.finish();
        return attach<semaphore_object>(std::move(memory));
    }
    static result<semaphore_ref> open(unique_fd file) {
        COPROC_TRY(auto memory,
                   region::open<semaphore_layout>(std::move(file), region_kind::semaphore));
        return attach<semaphore_object>(std::move(memory));
    }

    void describe(std::string& into) const override {
        describe_name(into, "semaphore");
        into += ": " + std::to_string(value());
        if (is_bounded()) into += " of " + std::to_string(words().most);
        into += " permits";
        describe_sleepers(into, 0, " waiting");
    }
    std::size_t value() const noexcept { return peek(words().permits); }
    bool is_bounded() const noexcept { return words().most != SIZE_MAX; }

    result<progress> acquire() {
        if (value() == 0) return progress::not_yet;
        {
            transaction changing(words(), experience());
            if (!changing) return progress::busy;
            if (words().permits == 0) return progress::not_yet;
            COPROC_TRY(permit_holder* const mine, holder(changing));
            changing.add(mine->permits, 1);
            changing.subtract(words().permits, 1);
            changing.commit();
        }
        if (kick()) look_again();
        return progress::done;
    }
    /// One permit more for everybody.
    result<void> release() {
        return now_or_later([this] { return release_now(nullptr); });
    }
    /// One that this process has acquired.
    result<void> give_back() {
        return now_or_later([this]() -> result<progress> {
            permit_holder* const mine = find(this_participant());
            // A plain fork has a copy of the permit, and not the permit.
            if (mine == nullptr) return errc::too_many_releases;
            return release_now(mine);
        });
    }
    static task<result<void>> wait_for(semaphore_ref self) {
        COPROC_CO_TRY(co_await cancellation_point());
        if (self->goes_first(0)) {
            COPROC_CO_TRY(const progress made, self->acquire());
            if (made == progress::done) co_return success();
        }
        attempt_with acquiring([&] { return self->acquire(); }, [&] { return self->value() != 0; });
        co_return co_await until_done(self, 0, acquiring);
    }

 private:
    semaphore_layout& words() const noexcept { return memory().as<semaphore_layout>(); }

    permit_holder* find(participant who) const noexcept {
        for (std::size_t i = 0; i < words().holders_used; ++i) {
            if (words().holders[i].who == who) return &words().holders[i];
        }
        return nullptr;
    }
    /// This process's entry; a new one if it has no permits.
    result<permit_holder*> holder(transaction& changing) const {
        if (permit_holder* mine = find(this_participant())) return mine;
        permit_holder* free = find(0);
        if (free == nullptr) {
            if (words().holders_used == most_members) {
                return error(std::make_error_code(std::errc::no_buffer_space),
                             "more than 1024 processes have permits of one semaphore");
            }
            free = &words().holders[words().holders_used];
            changing.add(words().holders_used, 1);
        }
        changing.set(free->who, this_participant());
        return free;
    }

    result<progress> release_now(permit_holder* from) {
        {
            transaction changing(words(), experience());
            if (!changing) return progress::busy;
            if (words().permits >= words().most) return errc::too_many_releases;
            changing.add(words().permits, 1);
            if (from != nullptr) {
                changing.subtract(from->permits, 1);
                if (from->permits == 0) changing.set(from->who, 0);
            }
            changing.commit();
        }
        if (kick()) look_again();
        return progress::done;
    }

    bool forget(transaction& changing, participant dead, ending) noexcept override {
        if (permit_holder* holder = find(dead)) {
            const std::uint64_t permits = words().permits + holder->permits;
            changing.set(words().permits, std::min(permits, words().most));
            changing.set(holder->permits, 0);
            changing.set(holder->who, 0);
        }
        return true;
    }
    /// One permit, one sleeper; who is woken wakes the next one if there are more.
    bool kick() noexcept override {
        const auto reason = [](const void* self) {
            return static_cast<const semaphore_object*>(self)->value() != 0;
        };
        return value() != 0 && sleeping_on(0).wake_one(ringer(), UINT64_MAX, reason, this);
    }
};

}  // namespace detail

result<detail::semaphore_ref> semaphore::make(std::size_t permits, bool bounded) {
    return detail::semaphore_object::create(permits, bounded ? permits : SIZE_MAX);
}

result<semaphore> semaphore::create(std::size_t permits) {
    COPROC_TRY(auto made, make(permits, false));
    return semaphore(std::move(made));
}

result<bounded_semaphore> bounded_semaphore::create(std::size_t permits) {
    COPROC_TRY(auto made, make(permits, true));
    return bounded_semaphore(std::move(made));
}

std::size_t semaphore::value() const noexcept { return object_->value(); }

result<semaphore::permit> semaphore::try_acquire() const {
    COPROC_TRY(const detail::progress made, object_->acquire());
    if (made != detail::progress::done) return errc::would_block;
    return permit(object_);
}

task<result<semaphore::permit>> semaphore::acquire() const {
    // Not a coroutine of its own `this`: the semaphore object may be moved or dropped meanwhile.
    const auto wait = [](detail::semaphore_ref object) -> task<result<permit>> {
        COPROC_CO_TRY(co_await detail::semaphore_object::wait_for(object));
        co_return permit(std::move(object));
    };
    return wait(object_);
}

result<void> semaphore::release() const { return object_->release(); }

result<void> semaphore::permit::release() {
    if (!object_) return errc::too_many_releases;
    COPROC_TRY(object_->give_back());
    object_.reset();
    return success();
}

void semaphore::permit::drop() noexcept {
    if (const auto held = std::exchange(object_, nullptr)) (void)held->give_back();
}

void codec<semaphore>::encode(encoder& into, const semaphore& from) {
    detail::encode_object(into, from.object_, "a semaphore");
}

result<semaphore> codec<semaphore>::decode(decoder& from) {
    COPROC_TRY(auto file, from.take_fd());
    COPROC_TRY(auto opened, detail::semaphore_object::open(std::move(file)));
    return semaphore(std::move(opened));
}

void codec<bounded_semaphore>::encode(encoder& into, const bounded_semaphore& from) {
    codec<semaphore>::encode(into, from);
}

result<bounded_semaphore> codec<bounded_semaphore>::decode(decoder& from) {
    COPROC_TRY(auto file, from.take_fd());
    COPROC_TRY(auto opened, detail::semaphore_object::open(std::move(file)));
    if (!opened->is_bounded()) return error(errc::bad_message, "a semaphore without a bound");
    return bounded_semaphore(std::move(opened));
}

}  // namespace coproc
