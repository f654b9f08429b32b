// byte_queue: the way out.

#include "channels/byte_queue.hpp"

#include <coproc/sleep.hpp>

#include <algorithm>
#include <utility>

namespace coproc::detail {

namespace {

/// Memory for messages is kept for the next one up to here.
constexpr std::size_t most_kept = std::size_t{4} * 1024 * 1024;

}  // namespace

small_content byte_queue::take_content() {
    if (spare_content_) return std::move(spare_content_);
    return std::make_unique_for_overwrite<std::byte[]>(longest_inline);
}

result<progress> byte_queue::take(taken_message& into, small_content& content,
                                  std::uint64_t largest) {
    // Not there for as long as somebody's decoding may come back to this queue.
    content = take_content();
    result<progress> made = progress::busy;
    if (edit<get_state> end(content_.layout().getting, get_end_); end) {
        made = content_.take(end, experience(), into, content.get(), largest);
        if (made && made.value() == progress::done) end.commit();
    }
    if (!made || made.value() != progress::done) keep_content(std::move(content));
    return after_take(std::move(made));
}

result<progress> byte_queue::take_some(taken_messages& into, std::size_t most) {
    // What there is no memory for is not taken.
    most = std::min(most, most_of_a_batch);
    into.all.reserve(most);
    into.content = std::make_unique_for_overwrite<std::byte[]>(most_at_once + longest_inline);
    result<progress> made = progress::busy;
    if (edit<get_state> end(content_.layout().getting, get_end_); end) {
        std::byte* next = into.content.get();
        get_state now = end.now;  // in registers: each message's place depends on the one before
        for (std::size_t bytes = 0; into.all.size() < most && bytes < most_at_once;) {
            taken_message one;
            if (const auto here = content_.take_here(now); here.data() != nullptr) {
                one.size = here.size();
                std::memcpy(next, here.data(), here.size());
            } else {
                end.now = now;
                made = content_.take(end, experience(), one, next);
                now = end.now;
                if (!made || made.value() != progress::done) break;
            }
            into.all.push_back(one);
            bytes += one.size;
            if (one.cell == 0) next += one.size;
        }
        end.now = now;
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
    if (made && made.value() == progress::done) wake_both();
    note_healing();
    return made;
}

std::span<const std::byte> byte_queue::take_now(small_content& content) {
    if (!goes_first(queue_layout::consumers)) return {};
    content = take_content();
    std::span<const std::byte> here;
    {
        edit<get_state> end(content_.layout().getting, get_end_);
        if (end) here = content_.take_here(end.now);
        if (here.data() != nullptr) {
            std::memcpy(content.get(), here.data(), here.size());
            end.commit();
        }
    }
    if (here.data() == nullptr) {
        keep_content(std::move(content));
        return {};
    }
    after_change();
    return {content.get(), here.size()};
}

short_get byte_queue::copy_now(std::span<std::byte> into) noexcept {
    const bool may_be_here = into.size() <= longest_inline && !content_.is_joinable();
    if (!may_be_here || !goes_first(queue_layout::consumers)) return short_get::not_yet;
    bool fits = false;
    {
        edit<get_state> end(content_.layout().getting, get_end_);
        if (!end) return short_get::not_yet;
        const auto here = content_.take_here(end.now);
        if (here.data() == nullptr) return short_get::not_yet;
        fits = here.size() == into.size();
        if (fits) std::memcpy(into.data(), here.data(), into.size());
        end.commit();
    }
    after_change();
    return fits ? short_get::done : short_get::bad_message;
}

result<bool> byte_queue::get_now(use_message decode, void* argument, leased_message& message) {
    if (!goes_first(queue_layout::consumers)) return false;
    taken_message taken;
    small_content content;
    COPROC_TRY(const progress made, take(taken, content, slice));
    if (made != progress::done) return false;
    // NOLINTNEXTLINE(clang-analyzer-cplusplus.Move): moved from only where nothing was taken
    COPROC_TRY(message, use(taken, content.get(), decode, argument));
    keep_content(std::move(content));
    return true;
}

task<result<leased_message>> byte_queue::get(ref self, use_message decode, void* argument) {
    taken_message taken;
    small_content content;
    attempt_with taking([&] { return self->take(taken, content); },
                        [&] { return self->may_get(); });
    COPROC_CO_TRY(co_await until_done(self, queue_layout::consumers, taking));
    if (taken.size > slice) {
        self->keep_content(std::move(content));
        co_return co_await use_in_slices(self, taken, decode, argument);
    }
    auto used = self->use(taken, content.get(), decode, argument);
    self->keep_content(std::move(content));
    co_return used;
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

result<whole_message> byte_queue::try_get() {
    const auto copy_all = [](void* into, decoder& message) -> result<void> {
        auto& content = *static_cast<coproc::bytes*>(into);
        content.reserve(message.remaining());
        while (message.remaining() > 0) {
            const auto piece = message.read_some(message.remaining());
            content.insert(content.end(), piece.begin(), piece.end());
        }
        return success();
    };
    whole_message whole;
    COPROC_TRY(static_cast<leased_message&>(whole), try_get(copy_all, &whole.content));
    return whole;
}

result<leased_message> byte_queue::try_get(use_message decode, void* argument) {
    taken_message taken;
    small_content content;
    COPROC_TRY(const progress made, take(taken, content));
    COPROC_TRY(to_result(made));
    auto used = use(taken, content.get(), decode, argument);
    keep_content(std::move(content));
    return used;
}

namespace {

/// What lies in a cell, piece by piece.
struct cell_pieces {
    const queue_content* content;
    const taken_message* message;
    std::uint64_t block = 0;

    static std::span<const std::byte> next(void* self) {
        auto& [content, message, block] = *static_cast<cell_pieces*>(self);
        return content->next_piece(*message, block);
    }
};

/// A cell in our hands: if it is not dealt with, because decoding has thrown or has been canceled,
/// it goes back.
class held_cell {
 public:
    held_cell(byte_queue& queue, const queue_content& content, const taken_message& taken) noexcept
        : queue_(&queue), content_(&content), cell_(taken.cell), number_(taken.number) {}
    held_cell(const held_cell&) = delete;
    held_cell& operator=(const held_cell&) = delete;
    ~held_cell() {
        if (cell_ != 0) queue_->give_back(cell_, number_);
    }
    /// It has been decoded, or cannot be: done with, unless it is leased.
    result<leased_message> deal_with(const result<void>& decoded) {
        const std::uint64_t cell = std::exchange(cell_, 0);
        if (decoded && content_->is_joinable()) {
            const leased_message message{cell, number_, content_->cell(cell).returns};
            content_->lease(cell);
            return message;
        }
        (void)queue_->end(cell, number_);
        if (!decoded) return decoded.error();
        return leased_message{};
    }

 private:
    byte_queue* queue_;
    const queue_content* content_;
    std::uint64_t cell_;
    std::uint64_t number_;
};

}  // namespace

result<leased_message> byte_queue::use(const taken_message& taken, const std::byte* content,
                                       use_message decode, void* argument) {
    if (taken.cell == 0) {
        decoder message(std::span(content, taken.size));
        COPROC_TRY(decode(argument, message));
        return leased_message{};
    }
    held_cell held(*this, content_, taken);
    cell_pieces pieces{&content_, &taken};
    decoder message(taken.size, &cell_pieces::next, &pieces);
    auto decoded = decode(argument, message);
    while (decoded && message.remaining() > 0) decoded = decode(argument, message);
    return held.deal_with(decoded);
}

task<result<leased_message>> byte_queue::use_in_slices(ref self, taken_message taken,
                                                       use_message decode, void* argument) {
    held_cell held(*self, self->content_, taken);
    cell_pieces pieces{&self->content_, &taken};
    decoder message(taken.size, &cell_pieces::next, &pieces);
    for (;;) {
        const auto decoded = decode(argument, message);
        if (!decoded || message.remaining() == 0) co_return held.deal_with(decoded);
        COPROC_CO_TRY(co_await loop_turn());
    }
}

std::unique_ptr<encoder> byte_queue::take_encoder() {
    if (spare_encoder_) return std::move(spare_encoder_);
    return std::make_unique<encoder>();
}

void byte_queue::keep_encoder(std::unique_ptr<encoder> used) noexcept {
    if (used->capacity() > most_kept) return;
    used->clear();
    spare_encoder_ = std::move(used);
}

}  // namespace coproc::detail
