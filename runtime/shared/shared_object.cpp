#include "shared/shared_object.hpp"

#include <coproc/runtime.hpp>
#include <coproc/sleep.hpp>

#include "words/sharing_linux.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <vector>

namespace coproc::detail {

namespace {

/// Everything that is attached in this process.
struct attached_objects {
    std::mutex mutex;
    std::vector<shared_object*> all;
};

attached_objects& attached() {
    // Never destroyed: objects may be attached until the very end of the process.
    static attached_objects& made = *new attached_objects;
    return made;
}

/// Of `some`, those that are attached still and locked: not repaired. Under the mutex, so that none
/// is destroyed meanwhile, by its own thread.
std::vector<shared_object*> left_after_repair(std::vector<shared_object*> some, participant dead,
                                              ending how) {
    const std::lock_guard lock(attached().mutex);
    std::erase_if(some, [dead, how](shared_object* one) {
        return std::ranges::find(attached().all, one) == attached().all.end() ||
               one->repair(dead, how);
    });
    return some;
}

std::vector<shared_object*> all_attached() {
    const std::lock_guard lock(attached().mutex);
    return attached().all;
}

/// Some milliseconds of the loop's time.
constexpr int most_at_once = 256;
constexpr std::chrono::milliseconds first_pause{1};
/// Long for one who is awake, short for those who sleep on because he has been stopped.
constexpr std::chrono::milliseconds until_second_look{50};
constexpr std::chrono::milliseconds longest_pause{16};

/// A loop that shuts down does not wait for an object that stays locked.
task<void> repair_later(std::vector<shared_object*> locked, participant dead, ending how) {
    auto pause = first_pause;
    while (!locked.empty()) {
        const auto slept = co_await sleep_for(pause);
        pause = std::min(2 * pause, longest_pause);
        locked = left_after_repair(std::move(locked), dead, how);
        if (!slept) co_return;
    }
}

}  // namespace

void repair_for(participant dead, ending how, loop* home) {
    if (dead == 0) return;  // nobody, who owns what is free
    auto locked = left_after_repair(all_attached(), dead, how);
    // Without a loop it cannot be done later.
    for (int left = 100; home == nullptr && !locked.empty() && left > 0; --left) {
        locked = left_after_repair(std::move(locked), dead, how);
    }
    if (locked.empty() || home == nullptr) return;
    runtime_ref(*home).spawn_errand(repair_later(std::move(locked), dead, how));
}

result<std::shared_ptr<const unique_fd>> shared_object::shared_ringer() {
    static std::mutex mutex;
    static std::weak_ptr<const unique_fd> current;
    const std::lock_guard lock(mutex);
    if (auto held = current.lock()) return held;
    COPROC_TRY(unique_fd bell, system::make_bell());
    auto made = std::make_shared<const unique_fd>(std::move(bell));
    current = made;
    return made;
}

shared_object::shared_object(region memory, std::shared_ptr<const unique_fd> ringer)
    : memory_(std::move(memory)), ringer_(std::move(ringer)) {}

shared_object::~shared_object() { leave(); }

void shared_object::join_attached() {
    const std::lock_guard lock(attached().mutex);
    attached().all.push_back(this);
}

void shared_object::leave_attached() noexcept {
    const std::lock_guard lock(attached().mutex);
    std::erase(attached().all, this);
}

// -- dumps

void describe_attached(std::string& into) {
    const std::unique_lock lock(attached().mutex, std::try_to_lock);
    if (!lock) {
        into += "  (they are just being changed)\n";
        return;
    }
    for (const shared_object* one : attached().all) {
        into += "  ";
        one->describe(into);
        into += '\n';
    }
}

void shared_object::describe_name(std::string& into, const char* what) const {
    into += what;
    into += ' ' + std::to_string(system::file_number(memory_.fd()));
}

void shared_object::describe_sleepers(std::string& into, std::size_t side,
                                      const char* doing) const {
    const std::size_t count = sleeping_on(side).count();
    if (count == 0) return;
    into += "; " + std::to_string(count) + (count == 1 ? " loop" : " loops") + doing;
}

// -- membership

result<progress> shared_object::join(loop& home) {
    COPROC_TRY(doorbell* const bell, doorbell::of(home));
    if (bell_ == bell) return progress::done;
    leave();
    member_table& members = head().members;
    transaction changing(head(), experience_);
    if (!changing) return progress::busy;
    const auto place = std::ranges::find(members.all, participant{0}, &member::who);
    if (place == members.all.end()) {
        return error(std::make_error_code(std::errc::no_buffer_space),
                     "more than 1024 processes wait for one object");
    }
    index_ = static_cast<std::size_t>(place - members.all.begin());
    cookie_ = bell->add(*this);
    bell_ = bell;
    joined_as_ = this_participant();
    changing.set(place->who, this_participant());
    changing.set(place->bell, bell->name());
    changing.set(place->cookie, cookie_);
    if (index_ >= members.used) changing.set(members.used, index_ + 1);
    changing.commit();
    return progress::done;
}

/// A place that cannot be given back, because the object is locked, is so when the process ends.
void shared_object::leave() noexcept {
    if (bell_ == nullptr) return;
    bell_->remove(cookie_);
    give_place_back();
}

void shared_object::on_silence() noexcept { give_place_back(); }

void shared_object::give_place_back() noexcept {
    bell_ = nullptr;
    second_look_.stop();
    if (joined_as_ != this_participant()) return;
    transaction changing(head(), experience_);
    if (!changing) return;
    changing.set(head().members.all[index_].who, 0);
    changing.commit();
}

// -- waiting

void shared_object::look_again() noexcept {
    if (bell_ == nullptr || second_look_.is_armed()) return;
    second_look_.start(bell_->home(), time_after(until_second_look));
}

void shared_object::second_look::on_time(alarm& self) noexcept {
    shared_object& of = *static_cast<second_look&>(self).of_;
    if (of.kick()) of.look_again();
}

void shared_object::on_ring() noexcept {
    for (waiting& side : waiting_) side.asleep.wake_all();
}

/// Who is canceled, or fails, with a ring that somebody else could use, passes it on.
class shared_object::owed_ring {
 public:
    explicit owed_ring(shared_object& of) noexcept : of_(&of) {}
    owed_ring(const owed_ring&) = delete;
    owed_ring& operator=(const owed_ring&) = delete;
    ~owed_ring() {
        if (is_owed && of_->kick()) of_->look_again();
    }

    bool is_owed = false;

 private:
    shared_object* of_;
};

task<result<void>> shared_object::until_done(std::shared_ptr<shared_object> self, std::size_t side,
                                             attempt& what) {
    COPROC_CO_TRY(co_await cancellation_point());
    waiting& here = self->waiting_[side];
    if (!here.line.try_take()) {
        COPROC_CO_TRY(co_await here.line.wait());
    }
    const turn::holder mine(here.line);
    loop& home = (co_await current_scope()).home();
    // Also for what does not have to wait, so that later() knows the loop.
    if (self->bell_ == nullptr) (void)self->join(home);
    auto pause = first_pause;
    owed_ring owed(*self);
    result<void> outcome = success();
    while (outcome) {
        auto made = what.make();
        self->kick_if_healed();
        if (made && made.value() == progress::done) {
            owed.is_owed = false;
            co_return success();
        }
        if (made && made.value() == progress::not_yet) pause = first_pause;
        if (made && made.value() == progress::not_yet) {
            owed.is_owed = false;  // there was nothing to be rung for
            made = self->join(home);
        }
        if (!made) {
            outcome = made.error();
        } else if (made.value() == progress::busy) {
            outcome = co_await sleep_for(pause);
            pause = std::min(2 * pause, longest_pause);
        } else {
            sleepers all = self->sleeping_on(side);
            all.announce(self->index_, what.need());
            if (!what.looks_possible()) outcome = co_await here.asleep.wait();
            owed.is_owed = all.withdraw(self->index_);
        }
    }
    co_return outcome;
}

bool shared_object::later(task<void> rest) {
    if (bell_ == nullptr) return false;
    runtime_ref(bell_->home()).spawn_errand(std::move(rest));
    return true;
}

task<result<progress>> shared_object::when_unlocked(attempt& what) {
    COPROC_CO_TRY(co_await cancellation_point());
    for (auto pause = first_pause;; pause = std::min(2 * pause, longest_pause)) {
        COPROC_CO_TRY(const progress made, what.make());
        if (made != progress::busy) co_return made;
        COPROC_CO_TRY(co_await sleep_for(pause));
    }
}

// -- repair

bool shared_object::repair(participant dead, ending how) noexcept {
    member_table& members = head().members;
    lock_experience of_this_repair;
    int transactions = 0;
    for (bool all = false; !all; ++transactions) {
        if (transactions == most_at_once) return false;
        transaction changing(head(), of_this_repair);
        if (!changing) return false;
        all = forget(changing, dead, how);
        for (std::size_t i = 0; all && i < members.used; ++i) {
            if (members.all[i].who != dead) continue;
            for (std::size_t side = 0; side < shared_head::sides; ++side) {
                sleeping_on(side).withdraw(i);
            }
            changing.set(members.all[i].who, 0);
            all = changing.room() > 1;
        }
        changing.commit();
    }
    // Whatever the dead had been rung for, or was about to ring for.
    kick();
    return true;
}

}  // namespace coproc::detail
