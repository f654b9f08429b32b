// byte_queue: the way out.

#include "channels/byte_queue.hpp"

#include <coproc/sleep.hpp>

#include <atomic>

namespace coproc::detail {

namespace {

/// Memory for messages is kept for the next one up to here.
constexpr std::size_t most_kept = std::size_t{4} * 1024 * 1024;

}  // namespace

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
    note_healing();
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
    result<leased_message> used = leased_message{taken.cell, taken.number, 0};
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
    const std::size_t returns = leased == 0 ? 0 : content_.cell(leased).returns;
    return leased_message{leased, taken.number, returns};
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

}  // namespace coproc::detail
