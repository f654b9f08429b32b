// byte_queue: the way in.

#include "channels/byte_queue.hpp"

#include <coproc/sleep.hpp>

#include <algorithm>

namespace coproc::detail {

namespace {

bool always() { return true; }

}  // namespace

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

bool byte_queue::put_now(const message_bytes& message) noexcept {
    const std::size_t most = std::min(longest_inline, content_.layout().max_bytes);
    if (message.size() > most || !goes_first(queue_layout::producers)) return false;
    {
        edit<put_state> end(content_.layout().putting, put_end_);
        if (!end || content_.is_closed() || !content_.append_here(end.now, message)) return false;
        end.commit();
    }
    after_change();
    return true;
}

task<result<void>> byte_queue::put(ref self, message_bytes message) {
    COPROC_CO_TRY(self->check_size(message.size()));
    if (message.size() > longest_inline) co_return co_await put_large(self, message);
    attempt_with what([&] { return self->put_small(message); },
                      [&] { return self->may_put(message.size()); }, message.size());
    co_return co_await until_done(self, queue_layout::producers, what);
}

result<progress> byte_queue::put_small(const message_bytes& message) {
    auto made = change_put_end([&](edit<put_state>& end) -> result<progress> {
        COPROC_TRY(const progress appended, content_.append(end, experience(), message));
        if (appended == progress::done) end.commit();
        return appended;
    });
    return after_put(std::move(made));
}

/// Puts those in front that are small and have room, and takes them from `rest`.
result<progress> byte_queue::put_some(message_batch& rest) {
    std::size_t count = 0;
    std::size_t bytes = 0;
    const auto goes_on = [&] {
        return !rest.empty() && count < most_of_a_batch && bytes < most_at_once &&
               rest.front().size() <= longest_inline;
    };
    auto made = change_put_end([&](edit<put_state>& end) -> result<progress> {
        put_state now = end.now;  // in registers, like the other end in take_some()
        for (; goes_on(); ++count) {
            const message_bytes next(rest.front());
            if (!content_.append_here(now, next)) {
                end.now = now;
                const auto appended = content_.append(end, experience(), next);
                now = end.now;
                const bool is_done = appended && appended.value() == progress::done;
                if (!is_done && count == 0) return appended;
                if (!is_done) break;
            }
            bytes += next.size();
            rest.pop_front();
        }
        end.now = now;
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
            COPROC_CO_TRY(co_await put_large(self, message_bytes(first)));
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
task<result<void>> byte_queue::put_large(ref self, message_bytes message) {
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
    if (made && made.value() == progress::done) wake_both();
    note_healing();
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

task<result<void>> byte_queue::fill(ref self, std::uint64_t cell, message_bytes message) {
    std::uint64_t missing = blocks_for(message.size());
    attempt_with lengthening([&] { return self->lengthen(cell, missing); }, always);
    std::uint64_t block = 0;
    while (message.size() > 0) {
        // What has been made of the chain so far is filled before more is taken.
        const std::size_t before = message.size();
        self->content_.fill(cell, block, message);
        if (before == message.size()) {
            COPROC_CO_TRY(co_await when_unlocked(lengthening));
        } else if (message.size() > 0) {
            COPROC_CO_TRY(co_await loop_turn());
        }
    }
    co_return success();
}

result<void> byte_queue::try_put(const message_bytes& message) {
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

result<void> byte_queue::try_fill_and_publish(std::uint64_t cell, message_bytes message) {
    std::uint64_t missing = blocks_for(message.size());
    while (missing > 0) {
        COPROC_TRY(const progress made, lengthen(cell, missing));
        COPROC_TRY(to_result(made));
    }
    for (std::uint64_t block = 0; message.size() > 0;) content_.fill(cell, block, message);
    COPROC_TRY(const progress made, publish(cell));
    return to_result(made);
}

}  // namespace coproc::detail
