#pragma once
// What every object that processes share has in common: memory, members who sleep and are woken,
// one way to wait for it, and the repair after a member's death.
//
// An object that lives here is attached: the end of a child, however it came, makes its parent call
// repair_for(), which takes what the dead had out of everything that is attached.

#include <coproc/codec.hpp>
#include <coproc/detail/wait_list.hpp>
#include <coproc/shield.hpp>
#include <coproc/sleep.hpp>
#include <coproc/task.hpp>
#include <coproc/timeout.hpp>

#include "compose/turn.hpp"
#include "shared/doorbell.hpp"
#include "shared/region.hpp"
#include "shared/sleepers.hpp"
#include "shared/transaction.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <string>

namespace coproc::detail {

/// The beginning of every object's memory.
struct shared_head : object_head {
    static constexpr std::size_t sides = 3;

    member_table members;
    std::array<sleeper_table, sides> sleeping;
};

enum class progress { done, not_yet, busy };

/// For what does not wait.
inline result<void> to_result(progress made) {
    if (made == progress::done) return success();
    return errc::would_block;
}

/// How a process came to its end: with success, or in any other way.
enum class ending { clean, failed };

/// Something that may have to wait for other processes.
class attempt {
 public:
    attempt() = default;
    attempt(const attempt&) = delete;
    attempt& operator=(const attempt&) = delete;

    /// Done; not possible yet; or the object is locked by somebody who does not go on.
    virtual result<progress> make() = 0;
    /// Without the lock: might make() succeed, or fail, now?
    virtual bool looks_possible() const noexcept = 0;
    /// How much of the object it needs to be woken for.
    virtual std::uint64_t need() const noexcept { return 0; }

 protected:
    ~attempt() = default;
};

/// One made of two functions.
template <class Make, class Possible>
class attempt_with final : public attempt {
 public:
    attempt_with(Make make, Possible possible, std::uint64_t need = 0)
        : make_(std::move(make)), possible_(std::move(possible)), need_(need) {}
    result<progress> make() override { return make_(); }
    bool looks_possible() const noexcept override { return possible_(); }
    std::uint64_t need() const noexcept override { return need_; }

 private:
    Make make_;
    Possible possible_;
    std::uint64_t need_;
};

class shared_object : public std::enable_shared_from_this<shared_object>, private bell_listener {
 public:
    shared_object(const shared_object&) = delete;
    shared_object& operator=(const shared_object&) = delete;
    virtual ~shared_object();

    /// Which object it is, and how things stand, in words: a guess, made without the lock.
    /// Thread-safe.
    virtual void describe(std::string& into) const = 0;

    int fd() const noexcept { return memory_.fd(); }

    /// Takes out what the dead had here. False if the object is locked, or it was too much for one
    /// time: once more, later.
    /// Thread-safe.
    bool repair(participant dead, ending how = ending::failed) noexcept;

 protected:
    explicit shared_object(region memory, std::shared_ptr<const unique_fd> ringer);

    /// A new Object in memory that is finished.
    template <class Object>
    static result<std::shared_ptr<Object>> attach(region memory) {
        COPROC_TRY(auto ringer, shared_ringer());
        // Another thread may repair it at any time between the two.
        const auto end = [](Object* one) {
            one->leave_attached();
            delete one;
        };
        std::shared_ptr<Object> made(new Object(std::move(memory), std::move(ringer)), end);
        made->join_attached();
        return made;
    }

    /// Lock-free where nothing stands in the way: makes attempts until one is done or fails, asleep
    /// on `side` in between; those of one process in the order of their coming.
    /// Lifetime: `what` lives until the await ends.
    /// Cancellation: what was not done is not done; a ring that had come is passed on.
    static task<result<void>> until_done(std::shared_ptr<shared_object> self, std::size_t side,
                                         attempt& what);

    /// Makes attempts until one does not find the object locked: for what never has to wait else.
    /// Lifetime: the object and `what` until the await ends.
    static task<result<progress>> when_unlocked(attempt& what);

    /// The same now if possible, and otherwise by a task on the loop where the object was used
    /// last. If there is none it waits for about 2 ms; then errc::would_block.
    template <class Make>
    result<void> now_or_later(Make make) {
        COPROC_TRY(progress made, make());
        kick_if_healed();
        if (made != progress::busy || later(retry(shared_from_this(), make))) return success();
        for (int left = 20; made == progress::busy && left > 0; --left) {
            experience_.stalled = false;
            COPROC_TRY(made, make());
        }
        if (made == progress::busy) return errc::would_block;
        return success();
    }

    /// What somebody has changed, and died before he rang for it.
    void kick_if_healed() noexcept {
        if (std::exchange(experience_.healed, false)) kick();
    }
    /// Has this process joined, and does nobody of it wait on that side?
    bool goes_first(std::size_t side) const noexcept {
        return bell_ != nullptr && waiting_[side].line.is_free();
    }
    /// Makes this process a member whose bell is the one of `home`. until_done() does it by itself.
    result<progress> join(loop& home);
    /// Which member it is, once it has joined.
    std::size_t index() const noexcept { return index_; }

    /// Takes what belongs to `dead` out of the object's own words, as much as fits into one
    /// transaction; true if that was all.
    virtual bool forget(transaction& changing, participant dead, ending how) noexcept = 0;
    /// Wakes who could go on now, if somebody sleeps. True if one was rung who has been chosen out
    /// of several: see look_again().
    virtual bool kick() noexcept = 0;
    /// Somebody has been rung instead of others. If he has been stopped they would sleep on: in a
    /// while it is looked whether there still is a reason.
    void look_again() noexcept;

    sleepers sleeping_on(std::size_t side) const noexcept {
        return {head().sleeping[side], head().members, known_awake_[side]};
    }
    /// What it is, and the number of its memory's file, the same in all processes.
    void describe_name(std::string& into, const char* what) const;
    /// So many loops, of all processes, are asleep on that side.
    void describe_sleepers(std::string& into, std::size_t side, const char* doing) const;
    int ringer() const noexcept { return ringer_->get(); }
    shared_head& head() const noexcept { return memory_.as<shared_head>(); }
    const region& memory() const noexcept { return memory_; }
    lock_experience& experience() noexcept { return experience_; }

 private:
    static result<std::shared_ptr<const unique_fd>> shared_ringer();
    void join_attached();
    void leave_attached() noexcept;
    bool later(task<void> rest);
    /// Has been promised: goes on for a second even when the loop shuts down.
    template <class Make>
    static task<void> retry([[maybe_unused]] std::shared_ptr<shared_object> kept, Make make) {
        const auto always = [] { return true; };
        attempt_with what(make, always);
        const auto made = co_await when_unlocked(what);
        if (!made) (void)co_await shield(timeout(std::chrono::seconds(1), when_unlocked(what)));
    }

    class second_look final : public alarm {
     public:
        explicit second_look(shared_object& of) noexcept : alarm(&on_time), of_(&of) {}

     private:
        static void on_time(alarm& self) noexcept;
        shared_object* of_;
    };

    class owed_ring;

    struct waiting {
        explicit waiting(const shared_object& of) noexcept
            : line(waited_for(of)), asleep(waited_for(of)) {}
        turn line;
        wait_list asleep;
    };
    static_assert(shared_head::sides == 3);

    void on_ring() noexcept override;
    void on_silence() noexcept override;
    void leave() noexcept;
    void give_place_back() noexcept;

    region memory_;
    std::shared_ptr<const unique_fd> ringer_;
    std::array<waiting, shared_head::sides> waiting_{waiting(*this), waiting(*this),
                                                     waiting(*this)};
    mutable std::array<known_awake, shared_head::sides> known_awake_{};
    lock_experience experience_;
    doorbell* bell_ = nullptr;   // of the loop where it is waited for
    participant joined_as_ = 0;  // a plain fork has a copy of this object, and is no member
    std::uint64_t cookie_ = 0;
    std::size_t index_ = 0;
    second_look second_look_{*this};
};

/// As codecs of handles do; `what` names one for the message about a handle that was moved from.
template <class Object>
void encode_object(encoder& into, const std::shared_ptr<Object>& object, const char* what) {
    if (!object) return into.fail(error(errc::closed, std::string(what) + " that was moved from"));
    into.attach(object->fd());
    into.keep(object);
}

/// Repairs everything that is attached in this process; what is locked at the moment is repaired
/// by a task on `home`, if there is one, later. Thread-safe.
void repair_for(participant dead, ending how, loop* home);

/// A line for each object that is attached in this process. Thread-safe.
void describe_attached(std::string& into);

}  // namespace coproc::detail
