#include "sync/condition_object.hpp"

#include <utility>

namespace coproc::detail {

result<condition_ref> condition_object::create() {
    COPROC_TRY(auto memory, region::create(region_kind::condition, sizeof(condition_layout)));
    auto& made = memory.as<condition_layout>();
    COPROC_TRY(make_lock(made));
    made.next_ticket = 1;
    made.notified_below = 1;
    memory.finish();
    return attach<condition_object>(std::move(memory));
}

result<condition_ref> condition_object::open(unique_fd file) {
    COPROC_TRY(auto memory,
               region::open<condition_layout>(std::move(file), region_kind::condition));
    return attach<condition_object>(std::move(memory));
}

// -- the list

/// The number of an entry that is in no list.
result<std::uint64_t> condition_object::unused(transaction& changing) const {
    if (const std::uint64_t number = words().free_entry; number != 0) {
        changing.set(words().free_entry, entry(number).next);
        return number;
    }
    if (words().entries_used == condition_layout::most_entries) {
        return error(std::make_error_code(std::errc::no_buffer_space),
                     "more than 16384 tasks wait for one condition");
    }
    changing.add(words().entries_used, 1);
    return words().entries_used;
}

void condition_object::append(transaction& changing, std::uint64_t number) const noexcept {
    condition_entry& made = entry(number);
    const std::uint64_t before = words().youngest;
    changing.set(made.next, 0);
    changing.set(made.previous, before);
    changing.set(before == 0 ? words().oldest : entry(before).next, number);
    changing.set(words().youngest, number);
    if (words().first_waiting == 0) changing.set(words().first_waiting, number);
}

void condition_object::remove(transaction& changing, std::uint64_t number) const noexcept {
    condition_entry& gone = entry(number);
    changing.set(gone.previous == 0 ? words().oldest : entry(gone.previous).next, gone.next);
    changing.set(gone.next == 0 ? words().youngest : entry(gone.next).previous, gone.previous);
    if (words().first_waiting == number) changing.set(words().first_waiting, gone.next);
    changing.set(gone.who, 0);
    changing.set(gone.next, words().free_entry);
    changing.set(words().free_entry, number);
}

/// Notifies so many more.
void condition_object::advance(transaction& changing, std::size_t count) const noexcept {
    std::uint64_t next = words().first_waiting;
    if (next == 0 || count == 0) return;
    for (; count > 0 && next != 0; --count) next = entry(next).next;
    changing.set(words().first_waiting, next);
    changing.set(words().notified_below, next == 0 ? words().next_ticket : entry(next).ticket);
}

// -- what waiters do

result<progress> condition_object::enlist_now() {
    transaction changing(words(), experience());
    if (!changing) return progress::busy;
    COPROC_TRY(const std::uint64_t number, unused(changing));
    const std::uint64_t ticket = words().next_ticket;
    changing.set(words().next_ticket, ticket + 1);
    changing.set(entry(number).who, this_participant());
    changing.set(entry(number).ticket, ticket);
    append(changing, number);
    ours_.push_back({number, ticket});
    changing.commit();
    return progress::done;
}

task<result<void>> condition_object::enlist(condition_ref self) {
    loop& home = (co_await current_scope()).home();
    attempt_with enlisting(
        [&]() -> result<progress> {
            // Who notifies it must be able to ring.
            COPROC_TRY(const progress joined, self->join(home));
            if (joined != progress::done) return joined;
            return self->enlist_now();
        },
        [] { return true; });
    COPROC_CO_TRY(co_await when_unlocked(enlisting));
    co_return success();
}

result<progress> condition_object::take_notified(place& taken) {
    const transaction looking(words(), experience());
    if (!looking) return progress::busy;
    if (ours_.front().ticket >= words().notified_below) return progress::not_yet;
    taken = ours_.front();
    ours_.pop_front();
    return progress::done;
}

/// One of ours; which one is the oldest may change while it is in line.
class condition_object::being_notified final : public attempt {
 public:
    explicit being_notified(condition_object& of) noexcept : of_(&of) {}

    const place& taken() const noexcept { return taken_; }

 private:
    result<progress> make() override { return of_->take_notified(taken_); }
    bool looks_possible() const noexcept override {
        return need() < peek(of_->words().notified_below);
    }
    std::uint64_t need() const noexcept override { return of_->ours_.front().ticket; }

    condition_object* of_;
    place taken_;
};

task<result<condition_object::place>> condition_object::wait_notified(condition_ref self) {
    being_notified what(*self);
    const auto notified = co_await until_done(self, 0, what);
    if (notified) co_return what.taken();
    self->give_up();
    co_return notified.error();
}

void condition_object::give_up() {
    const place last = ours_.back();
    ours_.pop_back();
    pass_on(last);
}

void condition_object::consume(const place& notified) {
    (void)now_or_later([this, notified]() -> result<progress> {
        transaction changing(words(), experience());
        if (!changing) return progress::busy;
        remove(changing, notified.number);
        changing.commit();
        return progress::done;
    });
}

void condition_object::pass_on(const place& one) {
    (void)now_or_later([this, one]() -> result<progress> {
        {
            transaction changing(words(), experience());
            if (!changing) return progress::busy;
            const bool notified = is_notified(one.number);
            remove(changing, one.number);
            if (notified) advance(changing, 1);
            changing.commit();
        }
        kick();
        return progress::done;
    });
}

// -- what others do

result<void> condition_object::notify(std::size_t count) {
    return now_or_later([this, count]() -> result<progress> {
        {
            transaction changing(words(), experience());
            if (!changing) return progress::busy;
            advance(changing, count);
            changing.commit();
        }
        kick();
        return progress::done;
    });
}

bool condition_object::forget(transaction& changing, participant dead, ending) noexcept {
    constexpr std::size_t changes_of_one = 10;  // with those of advance() and a member's
    std::size_t notified = 0;
    bool all = true;
    for (std::uint64_t number = words().oldest; number != 0 && all;) {
        const std::uint64_t next = entry(number).next;
        if (entry(number).who == dead) {
            all = changing.room() >= changes_of_one;
            if (all && is_notified(number)) ++notified;
            if (all) remove(changing, number);
        }
        number = next;
    }
    advance(changing, notified);
    return all;
}

void condition_object::describe(std::string& into) const {
    describe_name(into, "condition");
    describe_sleepers(into, 0, " waiting");
}

bool condition_object::kick() noexcept {
    sleeping_on(0).wake_all(ringer(), peek(words().notified_below) - 1);
    return false;
}

}  // namespace coproc::detail
