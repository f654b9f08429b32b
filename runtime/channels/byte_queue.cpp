#include "channels/byte_queue.hpp"

#include <coproc/sleep.hpp>

#include <algorithm>
#include <atomic>

namespace coproc::detail {

namespace {

bool always() { return true; }

result<void> to_result(progress made) {
    if (made == progress::done) return success();
    return errc::would_block;
}

/// So much is put or taken under one lock: others wait for it.
constexpr std::size_t most_at_once = std::size_t{64} * 1024;
/// Memory for messages is kept for the next one up to here.
constexpr std::size_t most_kept = std::size_t{4} * 1024 * 1024;

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

/// Under the lock of the tail, unless the queue is closed.
template <class Change>
result<progress> byte_queue::change_put_end(const Change& change) {
    edit<put_state> end(content_.layout().putting, put_end_);
    if (!end) return progress::busy;
    if (content_.is_closed()) return errc::closed;
    return change(end);
}

/// One transaction, in force if it is progress::done.
template <class Change>
result<progress> byte_queue::change_pool(const Change& change) {
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

result<bool> byte_queue::put_now(std::span<const std::byte> message) {
    COPROC_TRY(check_size(message.size()));
    if (message.size() > longest_inline || !goes_first(queue_layout::producers)) return false;
    COPROC_TRY(const progress made, put_small(message));
    return made == progress::done;
}

task<result<void>> byte_queue::put(ref self, std::span<const std::byte> message) {
    COPROC_CO_TRY(self->check_size(message.size()));
    if (message.size() > longest_inline) co_return co_await put_large(self, message);
    attempt_with what([&] { return self->put_small(message); },
                      [&] { return self->may_put(message.size()); }, message.size());
    co_return co_await until_done(self, queue_layout::producers, what);
}

result<progress> byte_queue::put_small(std::span<const std::byte> message) {
    auto made = change_put_end([&](edit<put_state>& end) -> result<progress> {
        COPROC_TRY(const progress appended, content_.append(end, experience(), message));
        if (appended == progress::done) end.commit();
        return appended;
    });
    return after_put(std::move(made));
}

/// Puts those in front that are small and have room, and takes them from `rest`.
result<progress> byte_queue::put_some(message_batch& rest) {
    std::size_t bytes = 0;
    auto made = change_put_end([&](edit<put_state>& end) -> result<progress> {
        while (!rest.empty() && bytes < most_at_once && rest.front().size() <= longest_inline) {
            const auto appended = content_.append(end, experience(), rest.front());
            if (!appended || appended.value() != progress::done) {
                if (bytes == 0) return appended;
                break;
            }
            bytes += rest.front().size() + 1;
            rest.pop_front();
        }
        end.commit();
        return progress::done;
    });
    return after_put(std::move(made));
}

task<result<void>> byte_queue::put_all(ref self, message_batch messages) {
    while (!messages.empty()) {
        const auto first = messages.front();
        COPROC_CO_TRY(self->check_size(first.size()));
        if (first.size() > longest_inline) {
            COPROC_CO_TRY(co_await put_large(self, first));
            messages.pop_front();
            continue;
        }
        attempt_with what([&] { return self->put_some(messages); },
                          [&] { return self->may_put(first.size()); }, first.size());
        COPROC_CO_TRY(co_await until_done(self, queue_layout::producers, what));
    }
    co_return success();
}

/// A large message is filled in without a lock, and becomes one when it is complete.
task<result<void>> byte_queue::put_large(ref self, std::span<const std::byte> message) {
    std::uint64_t cell = 0;
    attempt_with reserving([&] { return self->reserve(message.size(), cell); },
                           [&] { return self->may_put(message.size()); }, message.size());
    COPROC_CO_TRY(co_await until_done(self, queue_layout::producers, reserving));
    auto outcome = co_await fill(self, cell, message);
    if (outcome) {
        attempt_with publishing([&] { return self->publish(cell); },
                                [&] { return self->content_.can_publish(); });
        outcome = co_await until_done(self, queue_layout::producers, publishing);
        if (outcome) co_return success();
    }
    self->give_back(cell, 0);
    co_return outcome;
}

result<progress> byte_queue::reserve(std::size_t size, std::uint64_t& cell) {
    auto made = change_put_end(
        [&](edit<put_state>& end) { return content_.reserve(end, experience(), size, cell); });
    // It may take long to fill: the room that is left is for others.
    if (made && made.value() == progress::done) {
        std::atomic_thread_fence(std::memory_order_seq_cst);
        wake_producer();
    }
    return made;
}

result<progress> byte_queue::lengthen(std::uint64_t cell, std::uint64_t& missing) {
    return change_pool([&](transaction& changing) -> result<progress> {
        COPROC_TRY(const std::uint64_t more, content_.lengthen(changing, cell, missing));
        missing -= more;
        return progress::done;
    });
}

result<progress> byte_queue::publish(std::uint64_t cell) {
    return after_put(change_put_end(
        [&](edit<put_state>& end) { return content_.publish(end, experience(), cell); }));
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

result<progress> byte_queue::take(taken_message& into, coproc::bytes& content) {
    result<progress> made = progress::busy;
    if (edit<get_state> end(content_.layout().getting, get_end_); end) {
        made = content_.take(end, experience(), into, content);
        if (made && made.value() == progress::done) end.commit();
    }
    return after_take(std::move(made));
}

result<progress> byte_queue::take_some(taken_messages& into, std::size_t most) {
    result<progress> made = progress::busy;
    if (edit<get_state> end(content_.layout().getting, get_end_); end) {
        bool goes_on = true;
        for (std::size_t bytes = 0; goes_on && into.all.size() < most && bytes < most_at_once;) {
            taken_message one;
            made = content_.take(end, experience(), one, into.content);
            goes_on = made && made.value() == progress::done;
            if (goes_on) into.all.push_back(one);
            bytes += one.size;
        }
        // What was in the way of the next one is the next call's business.
        if (!into.all.empty()) {
            end.commit();
            made = progress::done;
        }
    }
    return after_take(std::move(made));
}

/// Not yet, or closed: for good if it is still empty when no put that may have begun before the
/// end is under way any more.
result<progress> byte_queue::look_when_empty() {
    if (!content_.is_closed()) return progress::not_yet;
    const edit<put_state> end(content_.layout().putting, put_end_);
    if (!end) return progress::busy;
    if (content_.has_messages()) return progress::not_yet;
    return errc::closed;
}

result<progress> byte_queue::after_take(result<progress> made) noexcept {
    if (made && made.value() == progress::not_yet) made = look_when_empty();
    if (made && made.value() == progress::done) {
        std::atomic_thread_fence(std::memory_order_seq_cst);
        wake_consumer();
        wake_producer();
    }
    kick_if_healed();
    return made;
}

result<bool> byte_queue::get_now(use_message decode, void* argument, leased_message& message) {
    if (!goes_first(queue_layout::consumers)) return false;
    coproc::bytes content = std::move(spare_content_);
    content.clear();
    taken_message taken;
    auto made = take(taken, content);
    const bool is_done = made && made.value() == progress::done;
    const bool is_small = taken.size <= longest_inline;
    result<leased_message> used = leased_message{taken.cell, taken.number};
    if (is_done && is_small) {
        std::uint64_t block = 0;
        if (taken.cell != 0) content_.copy(taken, block, content);
        used = use(taken, content, decode, argument);
    }
    keep_content(std::move(content));
    COPROC_TRY(made);
    COPROC_TRY(message, std::move(used));
    return is_done && is_small;
}

task<result<whole_message>> byte_queue::get(ref self) {
    whole_message taken;
    taken.content = std::move(self->spare_content_);
    taken.content.clear();
    attempt_with taking([&] { return self->take(taken, taken.content); },
                        [&] { return self->may_get(); });
    COPROC_CO_TRY(co_await until_done(self, queue_layout::consumers, taking));
    if (taken.cell != 0) {
        COPROC_CO_TRY(co_await copy_out(self, taken, taken.content));
    }
    co_return std::move(taken);
}

task<result<whole_message>> byte_queue::finish(ref self, leased_message in_hand) {
    whole_message taken;
    taken.content = std::move(self->spare_content_);
    static_cast<taken_message&>(taken) = {in_hand.cell, in_hand.number,
                                          self->content_.cell(in_hand.cell).size};
    COPROC_CO_TRY(co_await copy_out(self, taken, taken.content));
    co_return std::move(taken);
}

task<result<taken_messages>> byte_queue::get_some(ref self, std::size_t most) {
    taken_messages taken;
    attempt_with taking([&] { return self->take_some(taken, most); },
                        [&] { return self->may_get(); });
    COPROC_CO_TRY(co_await until_done(self, queue_layout::consumers, taking));
    co_return std::move(taken);
}

taken_messages byte_queue::get_some_now(std::size_t most) {
    taken_messages taken;
    if (goes_first(queue_layout::consumers)) (void)take_some(taken, most);
    return taken;
}

task<result<void>> byte_queue::copy_out(ref self, const taken_message& from, coproc::bytes& into) {
    into.clear();
    into.reserve(from.size);
    for (std::uint64_t block = 0; !self->content_.copy(from, block, into);) {
        if (const auto turned = co_await loop_turn(); !turned) {
            self->give_back(from.cell, from.number);
            co_return turned.error();
        }
    }
    if (!self->content_.is_joinable()) (void)self->end(from.cell, from.number);
    co_return success();
}

result<whole_message> byte_queue::try_get() {
    whole_message taken;
    COPROC_TRY(const progress made, take(taken, taken.content));
    COPROC_TRY(to_result(made));
    if (taken.cell == 0) return taken;
    taken.content.reserve(taken.size);
    for (std::uint64_t block = 0; !content_.copy(taken, block, taken.content);) continue;
    if (!content_.is_joinable()) {
        (void)end(taken.cell, taken.number);
        taken.cell = 0;
    }
    return taken;
}

result<leased_message> byte_queue::use(const taken_message& taken,
                                       std::span<const std::byte> content, use_message decode,
                                       void* argument) {
    const std::uint64_t leased = content_.is_joinable() ? taken.cell : 0;
    decoder message(content);
    if (auto used = decode(argument, message); !used) {
        if (leased != 0) (void)end(leased, taken.number);
        return used.error();
    }
    return leased_message{leased, taken.number};
}

std::unique_ptr<encoder> byte_queue::take_encoder() {
    if (spare_encoder_) return std::move(spare_encoder_);
    return std::make_unique<encoder>();
}

void byte_queue::keep_encoder(std::unique_ptr<encoder> used) noexcept {
    if (used->bytes().size() > most_kept) return;
    used->clear();
    spare_encoder_ = std::move(used);
}

void byte_queue::keep_content(coproc::bytes used) noexcept {
    if (used.capacity() <= most_kept) spare_content_ = std::move(used);
}

// -- cells in our hands

result<progress> byte_queue::end_now(std::uint64_t cell, std::uint64_t number) {
    auto made = change_pool([&](transaction& changing) -> result<progress> {
        COPROC_TRY(content_.end(changing, cell, number));
        return progress::done;
    });
    if (made && made.value() == progress::done) {
        std::atomic_thread_fence(std::memory_order_seq_cst);
        wake_producer();
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

// -- waking and repair

/// One consumer for what has come; another producer for the room that may be left.
result<progress> byte_queue::after_put(result<progress> made) noexcept {
    if (made && made.value() == progress::done) {
        std::atomic_thread_fence(std::memory_order_seq_cst);
        wake_consumer();
        wake_producer();
    }
    kick_if_healed();
    return made;
}

void byte_queue::wake_consumer() noexcept {
    if (!sleeping_on(queue_layout::consumers).announced()) return;
    const auto reason = [](const void* self) {
        return static_cast<const byte_queue*>(self)->content_.has_messages();
    };
    if (!reason(this)) return;
    sleeping_on(queue_layout::consumers).wake_one(ringer(), UINT64_MAX, reason, this);
}

void byte_queue::wake_producer() noexcept {
    if (!sleeping_on(queue_layout::producers).announced()) return;
    const auto reason = [](const void* self) {
        return static_cast<const byte_queue*>(self)->content_.has_room(0);
    };
    if (!reason(this)) return;
    sleeping_on(queue_layout::producers).wake_one(ringer(), content_.room(), reason, this);
}

void byte_queue::wake_joiners() noexcept {
    if (!content_.is_joinable() || !content_.is_done()) return;
    sleeping_on(queue_layout::joiners).wake_all(ringer());
}

void byte_queue::kick() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    wake_joiners();
    if (content_.is_closed()) {
        sleeping_on(queue_layout::consumers).wake_all(ringer());
        sleeping_on(queue_layout::producers).wake_all(ringer());
        return;
    }
    wake_consumer();
    wake_producer();
}

/// What somebody has put or taken, and died before he rang for it.
void byte_queue::kick_if_healed() noexcept {
    if (!put_end_.healed && !get_end_.healed && !experience().healed) return;
    put_end_.healed = get_end_.healed = experience().healed = false;
    kick();
}

bool byte_queue::forget(transaction& changing, participant dead) noexcept {
    return content_.forget(changing, dead);
}

}  // namespace coproc::detail
