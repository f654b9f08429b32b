#include <coproc/barrier.hpp>

#include "sync/barrier_object.hpp"

namespace coproc {

namespace detail {

namespace {

bool always() { return true; }

}  // namespace

result<barrier_ref> barrier_object::create(std::size_t parties) {
    if (parties == 0) return error(std::errc::invalid_argument);
    COPROC_TRY(auto memory, region::create(region_kind::barrier, sizeof(barrier_layout)));
    auto& made = memory.as<barrier_layout>();
    COPROC_TRY(make_lock(made));
    made.parties = parties;
    made.round = 1;
    memory.finish();
    return attach<barrier_object>(std::move(memory));
}

result<barrier_ref> barrier_object::open(unique_fd file) {
    COPROC_TRY(auto memory, region::open<barrier_layout>(std::move(file), region_kind::barrier));
    COPROC_TRY(auto opened, attach<barrier_object>(std::move(memory)));
    // If it is locked by somebody who does not go on: when we first wait.
    const auto entered = opened->enter();
    if (!entered && entered.error() != errc::would_block) return entered.error();
    return opened;
}

// -- who has it

barrier_party* barrier_object::find(participant who) const noexcept {
    for (std::size_t i = 0; i < words().parties_used; ++i) {
        if (words().party[i].who == who) return &words().party[i];
    }
    return nullptr;
}

/// This process's entry; a new one if it has none.
result<barrier_party*> barrier_object::our_party(transaction& changing) {
    const participant us = this_participant();
    if (place_ < words().parties_used && words().party[place_].who == us) {
        return &words().party[place_];
    }
    barrier_party* found = find(us);
    if (found == nullptr) found = find(0);
    if (found == nullptr) {
        if (words().parties_used == most_members) {
            return error(std::make_error_code(std::errc::no_buffer_space),
                         "more than 1024 processes have one barrier");
        }
        found = &words().party[words().parties_used];
        changing.add(words().parties_used, 1);
    }
    if (found->who != us) changing.set(found->who, us);
    place_ = static_cast<std::size_t>(found - words().party.data());
    return found;
}

result<void> barrier_object::enter() {
    return now_or_later([this]() -> result<progress> {
        transaction changing(words(), experience());
        if (!changing) return progress::busy;
        COPROC_TRY(our_party(changing));
        changing.commit();
        return progress::done;
    });
}

// -- rounds

void barrier_object::end_round(transaction& changing, bool well) noexcept {
    const std::uint64_t round = words().round;
    if (!well) changing.set(words().failed[round % barrier_layout::kept], round);
    changing.set(words().arrived, 0);
    changing.set(words().round, round + 1);
}

void barrier_object::break_it(transaction& changing) noexcept {
    changing.set(words().broken, 1);
    if (words().arrived != 0) end_round(changing, false);
}

result<progress> barrier_object::arrive(arrival& mine) {
    bool complete = false;
    {
        transaction changing(words(), experience());
        if (!changing) return progress::busy;
        if (words().broken != 0) return errc::broken_barrier;
        COPROC_TRY(barrier_party* const us, our_party(changing));
        mine = {words().round, words().arrived};
        complete = mine.index + 1 == words().parties;
        changing.set(us->last_arrival, mine.round);
        changing.add(words().arrived, 1);
        if (complete) end_round(changing, true);
        changing.commit();
    }
    if (complete) kick();
    return progress::done;
}

result<progress> barrier_object::pass(const arrival& mine) {
    const transaction looking(words(), experience());
    if (!looking) return progress::busy;
    if (words().round == mine.round) return progress::not_yet;
    const std::uint64_t failed = words().failed[mine.round % barrier_layout::kept];
    if (failed >= mine.round) return errc::broken_barrier;
    return progress::done;
}

result<void> barrier_object::abort() {
    return now_or_later([this]() -> result<progress> {
        {
            transaction changing(words(), experience());
            if (!changing) return progress::busy;
            break_it(changing);
            changing.commit();
        }
        kick();
        return progress::done;
    });
}

result<void> barrier_object::reset() {
    return now_or_later([this]() -> result<progress> {
        {
            transaction changing(words(), experience());
            if (!changing) return progress::busy;
            changing.set(words().broken, 0);
            if (words().arrived != 0) end_round(changing, false);
            changing.commit();
        }
        kick();
        return progress::done;
    });
}

/// Does not wait any more: if the round is not over nobody shall.
void barrier_object::give_up(const arrival& mine) {
    (void)now_or_later([this, round = mine.round]() -> result<progress> {
        {
            transaction changing(words(), experience());
            if (!changing) return progress::busy;
            if (words().round != round) return progress::done;
            break_it(changing);
            changing.commit();
        }
        kick();
        return progress::done;
    });
}

// -- waiting

task<result<void>> barrier_object::wait_for_others(barrier_ref self, const arrival& mine) {
    // Those who sleep in one process come one after the other: nobody may come whose round is over
    // behind somebody whose round is not, or he would sleep as long, too.
    attempt_with passing([&] { return self->pass(mine); }, [&] { return self->may_pass(mine); },
                         mine.round);
    while (self->may_pass(mine)) {
        COPROC_CO_TRY(const progress made, co_await when_unlocked(passing));
        if (made == progress::done) co_return success();
    }
    co_return co_await until_done(self, 0, passing);
}

task<result<std::size_t>> barrier_object::wait(barrier_ref self) {
    arrival mine;
    attempt_with arriving([&] { return self->arrive(mine); }, always);
    COPROC_CO_TRY(co_await when_unlocked(arriving));
    const auto passed = co_await wait_for_others(self, mine);
    if (passed) co_return mine.index;
    if (passed.error() == errc::broken_barrier) co_return passed.error();
    self->give_up(mine);
    // All may have come in the meantime.
    const auto last = self->pass(mine);
    if (last && last.value() == progress::done) co_return mine.index;
    co_return passed.error();
}

// -- repair

bool barrier_object::forget(transaction& changing, participant dead, ending how) noexcept {
    barrier_party* const gone = find(dead);
    if (gone == nullptr) return true;
    changing.set(gone->who, 0);
    if (how == ending::failed || gone->last_arrival == words().round) break_it(changing);
    return true;
}

void barrier_object::describe(std::string& into) const {
    describe_name(into, "barrier");
    into += ": " + std::to_string(waiting()) + " of " + std::to_string(parties()) + " have arrived";
    if (broken()) into += ", broken";
}

/// A party needs another round than its own.
bool barrier_object::kick() noexcept {
    sleeping_on(0).wake_all(ringer(), peek(words().round) - 1);
    return false;
}

}  // namespace detail

result<barrier> barrier::create(std::size_t parties) {
    COPROC_TRY(auto made, detail::barrier_object::create(parties));
    return barrier(std::move(made));
}

// Not a coroutine of its own `this`: the barrier object may be moved or dropped meanwhile.
task<result<std::size_t>> barrier::wait() const { return detail::barrier_object::wait(object_); }

result<void> barrier::abort() const { return object_->abort(); }

result<void> barrier::reset() const { return object_->reset(); }

std::size_t barrier::parties() const noexcept { return object_->parties(); }

std::size_t barrier::waiting() const noexcept { return object_->waiting(); }

bool barrier::broken() const noexcept { return object_->broken(); }

void codec<barrier>::encode(encoder& into, const barrier& from) {
    detail::encode_object(into, from.object_, "a barrier");
}

result<barrier> codec<barrier>::decode(decoder& from) {
    COPROC_TRY(auto file, from.take_fd());
    COPROC_TRY(auto opened, detail::barrier_object::open(std::move(file)));
    return barrier(std::move(opened));
}

}  // namespace coproc
