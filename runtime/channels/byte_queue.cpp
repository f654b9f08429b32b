#include "channels/byte_queue.hpp"

#include <atomic>
#include <utility>

namespace coproc::detail {

result<byte_queue::ref> byte_queue::create(const queue_settings& settings) {
    COPROC_TRY(auto memory, queue_content::make(settings));
    return attach<byte_queue>(std::move(memory));
}

result<byte_queue::ref> byte_queue::open(unique_fd file, std::uint64_t fingerprint, bool joinable) {
    COPROC_TRY(auto memory, region::open<queue_layout>(std::move(file), region_kind::queue));
    COPROC_TRY(ref made, attach<byte_queue>(std::move(memory)));
    const queue_layout& layout = made->content_.layout();
    if (layout.fingerprint != fingerprint || (layout.joinable != 0) != joinable) {
        return errc::type_mismatch;
    }
    return made;
}

// -- cells in our hands

result<progress> byte_queue::end_now(std::uint64_t cell, std::uint64_t number) {
    auto made = change_pool([&](transaction& changing) -> result<progress> {
        COPROC_TRY(content_.end(changing, cell, number));
        return progress::done;
    });
    if (made && made.value() == progress::done) {
        wake_both();
        wake_joiners();
    }
    return made;
}

result<progress> byte_queue::give_back_now(std::uint64_t cell, std::uint64_t number) {
    auto made = change_pool([&](transaction& changing) -> result<progress> {
        const queue_cell& mine = content_.cell(cell);
        const bool is_ours = mine.owner == this_participant() &&
                             (mine.state == queue_cell::filling || mine.number == number);
        if (is_ours) content_.give_back(changing, cell);
        return progress::done;
    });
    if (made && made.value() == progress::done) kick();
    return made;
}

result<void> byte_queue::end(std::uint64_t cell, std::uint64_t number) {
    return now_or_later([this, cell, number] { return end_now(cell, number); });
}

/// The oldest one when it is done, so that two that have to wait are not the same.
result<void> byte_queue::end_oldest_lease() {
    return now_or_later([this]() -> result<progress> {
        const std::uint64_t oldest = content_.oldest_lease();
        if (oldest == 0) return errc::too_many_releases;
        return end_now(oldest, content_.cell(oldest).number);
    });
}

void byte_queue::give_back(std::uint64_t cell, std::uint64_t number) {
    (void)now_or_later([this, cell, number] { return give_back_now(cell, number); });
}

task<result<void>> byte_queue::join(ref self) {
    const auto look = [&]() -> result<progress> {
        return self->content_.is_done() ? progress::done : progress::not_yet;
    };
    attempt_with joining(look, [&] { return self->content_.is_done(); });
    co_return co_await until_done(self, queue_layout::joiners, joining);
}

/// Whoever puts looks at the word under the lock of the tail, and a consumer that finds the queue
/// closed and empty goes through that lock before it says so.
void byte_queue::close() noexcept {
    std::atomic_ref(content_.layout().closed).store(1);
    kick();
}

void byte_queue::describe(std::string& into) const {
    describe_name(into, content_.is_joinable() ? "joinable queue" : "queue");
    into += ": " + std::to_string(content_.size());
    const queue_layout& made = content_.layout();
    if (made.max_size != UINT64_MAX) into += " of at most " + std::to_string(made.max_size);
    into += " messages, " + std::to_string(content_.bytes()) + " of at most " +
            std::to_string(made.max_bytes) + " bytes";
    if (content_.is_closed()) into += ", closed";
    describe_sleepers(into, queue_layout::consumers, " waiting for a message");
    describe_sleepers(into, queue_layout::producers, " waiting for room");
    describe_sleepers(into, queue_layout::joiners, " joining");
}

// -- waking and repair

/// One consumer for what has come; another producer for the room that may be left.
result<progress> byte_queue::after_put(result<progress> made) noexcept {
    if (made && made.value() == progress::done) wake_both();
    note_healing();
    return made;
}

bool byte_queue::wake_consumer() noexcept {
    if (!sleeping_on(queue_layout::consumers).announced()) return false;
    const auto reason = [](const void* self) {
        return static_cast<const byte_queue*>(self)->content_.has_messages();
    };
    if (!reason(this)) return false;
    return sleeping_on(queue_layout::consumers).wake_one(ringer(), UINT64_MAX, reason, this);
}

bool byte_queue::wake_producer() noexcept {
    if (!sleeping_on(queue_layout::producers).announced()) return false;
    const auto reason = [](const void* self) {
        return static_cast<const byte_queue*>(self)->content_.has_room(0);
    };
    if (!reason(this)) return false;
    return sleeping_on(queue_layout::producers).wake_one(ringer(), content_.room(), reason, this);
}

void byte_queue::wake_joiners() noexcept {
    if (!content_.is_joinable() || !content_.is_done()) return;
    sleeping_on(queue_layout::joiners).wake_all(ringer());
}

/// What was published before its lock was released is seen by those who announce themselves after
/// this, see release_lock().
void byte_queue::wake_both() noexcept {
    const bool rang_consumer = wake_consumer();
    const bool rang_producer = wake_producer();
    if (rang_consumer || rang_producer) look_again();
}

bool byte_queue::kick() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    wake_joiners();
    if (content_.is_closed()) {
        sleeping_on(queue_layout::consumers).wake_all(ringer());
        sleeping_on(queue_layout::producers).wake_all(ringer());
        return false;
    }
    const bool rang_consumer = wake_consumer();
    return wake_producer() || rang_consumer;
}

/// Of its three locks.
void byte_queue::note_healing() noexcept {
    const bool healed = put_end_.healed || get_end_.healed;
    put_end_.healed = get_end_.healed = false;
    if (healed) experience().healed = true;
    kick_if_healed();
}

bool byte_queue::forget(transaction& changing, participant dead, ending) noexcept {
    if (std::exchange(forgetting_, dead) != dead) forget_from_ = 1;
    const bool all = content_.forget(changing, dead, forget_from_);
    if (all) forgetting_ = 0;
    return all;
}

}  // namespace coproc::detail
