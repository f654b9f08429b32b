#include "channels/byte_queue.hpp"

#include <coproc/sleep.hpp>

#include <atomic>

namespace coproc::detail {

namespace {

bool always() { return true; }

result<void> to_result(progress made) {
    if (made == progress::done) return success();
    return errc::would_block;
}

}  // namespace

result<byte_queue::ref> byte_queue::create(const queue_settings& settings) {
    COPROC_TRY(auto memory, queue_content::make(settings));
    COPROC_TRY(auto ringer, shared_ringer());
    return ref(new byte_queue(std::move(memory), std::move(ringer)));
}

result<byte_queue::ref> byte_queue::open(unique_fd file, std::uint64_t fingerprint, bool joinable) {
    COPROC_TRY(auto memory, region::open(std::move(file), region_kind::queue));
    COPROC_TRY(auto ringer, shared_ringer());
    ref made(new byte_queue(std::move(memory), std::move(ringer)));
    const queue_layout& layout = made->content_.layout();
    if (layout.fingerprint != fingerprint || (layout.joinable != 0) != joinable) {
        return errc::type_mismatch;
    }
    return made;
}

/// One transaction: busy if it cannot be had; `change(transaction&)` says what came of it, and
/// what it has changed is in force only if that is progress::done.
template <class Change>
result<progress> byte_queue::in_transaction(const Change& change) {
    transaction changing(content_.layout(), experience());
    if (!changing) return progress::busy;
    result<progress> made = change(changing);
    if (made && made.value() == progress::done) changing.commit();
    return made;
}

// -- putting

result<void> byte_queue::check_size(std::size_t size) const {
    const std::uint64_t most = content_.layout().max_bytes;
    if (size <= most) return success();
    return error(errc::message_too_large,
                 "a message of " + std::to_string(size) +
                     " bytes in a queue with max_bytes = " + std::to_string(most));
}

bool byte_queue::may_put(std::size_t size) const noexcept {
    return content_.is_closed() || content_.has_room(size);
}

/// Closed, full, or done: `put(transaction&)` has only to put.
template <class Put>
result<progress> byte_queue::put_if_possible(std::size_t size, const Put& put) {
    return in_transaction([&](transaction& changing) -> result<progress> {
        if (content_.is_closed()) return errc::closed;
        if (!content_.has_room(size)) return progress::not_yet;
        COPROC_TRY(put(changing));
        return progress::done;
    });
}

task<result<void>> byte_queue::put(ref self, std::span<const std::byte> message) {
    COPROC_CO_TRY(self->check_size(message.size()));
    if (message.size() > longest_inline) co_return co_await put_large(self, message);
    attempt_with what([&] { return self->put_small(message); },
                      [&] { return self->may_put(message.size()); }, message.size());
    co_return co_await until_done(self, queue_layout::producers, what);
}

result<progress> byte_queue::put_small(std::span<const std::byte> message) {
    auto made = put_if_possible(
        message.size(), [&](transaction& changing) { return content_.append(changing, message); });
    return after_put(std::move(made));
}

/// Puts those in front that are small and have room, and takes them from `rest`.
result<progress> byte_queue::put_some(std::span<const encoder>& rest) {
    constexpr std::size_t changes_of_one = 16;
    std::size_t count = 0;
    auto made = put_if_possible(rest[0].bytes().size(), [&](transaction& changing) -> result<void> {
        for (; count < rest.size() && changing.room() > changes_of_one; ++count) {
            const auto message = rest[count].bytes();
            if (message.size() > longest_inline || !content_.has_room(message.size())) break;
            const auto appended = content_.append(changing, message);
            if (!appended && count == 0) return appended;
            if (!appended) break;
        }
        return success();
    });
    if (made && made.value() == progress::done) rest = rest.subspan(count);
    return after_put(std::move(made));
}

task<result<void>> byte_queue::put_all(ref self, std::span<const encoder> messages) {
    while (!messages.empty()) {
        const std::size_t size = messages.front().bytes().size();
        if (size > longest_inline) {
            COPROC_CO_TRY(co_await put(self, messages.front().bytes()));
            messages = messages.subspan(1);
            continue;
        }
        attempt_with what([&] { return self->put_some(messages); },
                          [&] { return self->may_put(size); }, size);
        COPROC_CO_TRY(co_await until_done(self, queue_layout::producers, what));
    }
    co_return success();
}

/// A large message is filled in without the lock, and becomes one when it is complete.
task<result<void>> byte_queue::put_large(ref self, std::span<const std::byte> message) {
    std::uint64_t cell = 0;
    attempt_with reserving([&] { return self->reserve(message.size(), cell); },
                           [&] { return self->may_put(message.size()); }, message.size());
    COPROC_CO_TRY(co_await until_done(self, queue_layout::producers, reserving));
    auto outcome = co_await fill(self, cell, message);
    if (outcome) {
        attempt_with publishing([&] { return self->publish(cell); }, always);
        const auto published = co_await when_unlocked(publishing);
        if (published) co_return success();
        outcome = published.error();
    }
    self->give_back(cell, 0);
    co_return outcome;
}

result<progress> byte_queue::reserve(std::size_t size, std::uint64_t& cell) {
    auto made = put_if_possible(size, [&](transaction& changing) -> result<void> {
        COPROC_TRY(cell, content_.reserve(changing, size));
        return success();
    });
    // It may take long to fill: the room that is left is for others.
    if (made && made.value() == progress::done) wake_producer();
    return made;
}

result<progress> byte_queue::lengthen(std::uint64_t cell, std::uint64_t& missing) {
    return in_transaction([&](transaction& changing) -> result<progress> {
        COPROC_TRY(const std::uint64_t more, content_.lengthen(changing, cell, missing));
        missing -= more;
        return progress::done;
    });
}

result<progress> byte_queue::publish(std::uint64_t cell) {
    auto made = in_transaction([&](transaction& changing) -> result<progress> {
        if (content_.is_closed()) return errc::closed;
        COPROC_TRY(content_.publish(changing, cell));
        return progress::done;
    });
    return after_put(std::move(made));
}

task<result<void>> byte_queue::fill(ref self, std::uint64_t cell,
                                    std::span<const std::byte> message) {
    std::uint64_t missing = blocks_for(message.size());
    attempt_with lengthening([&] { return self->lengthen(cell, missing); }, always);
    std::uint64_t block = 0;
    while (!message.empty()) {
        // What has been made of the chain so far is filled before more is taken.
        const std::size_t before = message.size();
        self->content_.fill(cell, block, message);
        if (before == message.size()) {
            COPROC_CO_TRY(co_await when_unlocked(lengthening));
        } else if (!message.empty()) {
            COPROC_CO_TRY(co_await loop_turn());
        }
    }
    co_return success();
}

result<void> byte_queue::try_put(std::span<const std::byte> message) {
    COPROC_TRY(check_size(message.size()));
    if (message.size() <= longest_inline) {
        COPROC_TRY(const progress made, put_small(message));
        return to_result(made);
    }
    std::uint64_t cell = 0;
    COPROC_TRY(const progress reserved, reserve(message.size(), cell));
    COPROC_TRY(to_result(reserved));
    auto outcome = try_fill_and_publish(cell, message);
    if (!outcome) give_back(cell, 0);
    return outcome;
}

result<void> byte_queue::try_fill_and_publish(std::uint64_t cell,
                                              std::span<const std::byte> message) {
    std::uint64_t missing = blocks_for(message.size());
    while (missing > 0) {
        COPROC_TRY(const progress made, lengthen(cell, missing));
        COPROC_TRY(to_result(made));
    }
    for (std::uint64_t block = 0; !message.empty();) content_.fill(cell, block, message);
    COPROC_TRY(const progress made, publish(cell));
    return to_result(made);
}

// -- getting

task<result<taken_message>> byte_queue::get(ref self) {
    taken_message taken;
    attempt_with taking(
        [&] { return self->take(taken); },
        [&] { return self->content_.has_messages() || self->content_.is_closed(); });
    COPROC_CO_TRY(co_await until_done(self, queue_layout::consumers, taking));
    if (taken.cell == 0) co_return std::move(taken);
    for (std::uint64_t block = 0; !self->content_.copy(taken.cell, block, taken.content);) {
        if (const auto turned = co_await loop_turn(); !turned) {
            self->give_back(taken.cell, taken.number);
            co_return turned.error();
        }
    }
    self->end_unless_leased(taken);
    co_return std::move(taken);
}

result<progress> byte_queue::take(taken_message& into) {
    if (!content_.has_messages() && !content_.is_closed()) return progress::not_yet;
    auto made = in_transaction([&](transaction& changing) -> result<progress> {
        COPROC_TRY(const bool taken, content_.take(changing, into));
        if (taken) return progress::done;
        if (content_.is_closed()) return errc::closed;
        return progress::not_yet;
    });
    if (made && made.value() == progress::done) {
        if (content_.has_messages()) wake_consumer();
        wake_producer();
    }
    return made;
}

result<taken_message> byte_queue::try_get() {
    taken_message taken;
    COPROC_TRY(const progress made, take(taken));
    COPROC_TRY(to_result(made));
    if (taken.cell == 0) return taken;
    for (std::uint64_t block = 0; !content_.copy(taken.cell, block, taken.content);) continue;
    end_unless_leased(taken);
    return taken;
}

void byte_queue::end_unless_leased(taken_message& taken) {
    if (content_.layout().joinable != 0) return;
    (void)end(taken.cell, taken.number);
    taken.cell = 0;
}

// -- cells in our hands

result<progress> byte_queue::end_now(std::uint64_t cell, std::uint64_t number) {
    auto made = in_transaction([&](transaction& changing) -> result<progress> {
        COPROC_TRY(content_.end(changing, cell, number));
        return progress::done;
    });
    if (made && made.value() == progress::done) {
        wake_producer();
        wake_joiners();
    }
    return made;
}

result<progress> byte_queue::give_back_now(std::uint64_t cell, std::uint64_t number) {
    auto made = in_transaction([&](transaction& changing) -> result<progress> {
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

result<void> byte_queue::end_oldest_lease() {
    const std::uint64_t oldest = content_.oldest_lease();
    if (oldest == 0) return errc::too_many_releases;
    return end(oldest, content_.cell(oldest).number);
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

/// One word that no transaction writes. Whoever puts looks at it under the lock, so no message
/// comes after a consumer that has found the queue closed and empty.
void byte_queue::close() noexcept {
    std::atomic_ref(content_.layout().closed).store(1);
    kick();
}

// -- waking and repair

/// One consumer for what has come; another producer for the room that may be left.
result<progress> byte_queue::after_put(result<progress> made) noexcept {
    if (made && made.value() == progress::done) {
        wake_consumer();
        wake_producer();
    }
    return made;
}

void byte_queue::wake_consumer() noexcept {
    const auto reason = [](const void* self) {
        return static_cast<const byte_queue*>(self)->content_.has_messages();
    };
    sleeping_on(queue_layout::consumers).wake_one(ringer(), UINT64_MAX, reason, this);
}

void byte_queue::wake_producer() noexcept {
    if (!content_.has_room(0)) return;
    const auto reason = [](const void* self) {
        return static_cast<const byte_queue*>(self)->content_.has_room(0);
    };
    sleeping_on(queue_layout::producers).wake_one(ringer(), content_.room(), reason, this);
}

void byte_queue::wake_joiners() noexcept {
    if (content_.is_done()) sleeping_on(queue_layout::joiners).wake_all(ringer());
}

void byte_queue::kick() noexcept {
    wake_joiners();
    if (content_.is_closed()) {
        sleeping_on(queue_layout::consumers).wake_all(ringer());
        sleeping_on(queue_layout::producers).wake_all(ringer());
        return;
    }
    if (content_.has_messages()) wake_consumer();
    wake_producer();
}

bool byte_queue::forget(transaction& changing, participant dead, ending) noexcept {
    return content_.forget(changing, dead);
}

}  // namespace coproc::detail
