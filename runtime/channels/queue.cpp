#include <coproc/joinable_queue.hpp>
#include <coproc/queue.hpp>

#include <coproc/sleep.hpp>

#include "channels/byte_queue.hpp"
#include "words/exception_name.hpp"

#include <exception>
#include <new>

namespace coproc::detail {

namespace {

error moved_from() { return error(errc::closed, "a queue that has been moved from"); }

result<void> check_message(const encoder& message) {
    if (message.is_plain()) return success();
    COPROC_TRY(message.status());
    return error(errc::not_supported,
                 "a handle in a queue's message: send it through a connection");
}

}  // namespace

result<queue_ref> make_queue(std::uint64_t type, const queue_options& options, bool joinable) {
    return byte_queue::create({type, options.max_size, options.max_bytes, joinable});
}

void encode_queue(encoder& into, const queue_ref& from) { encode_object(into, from, "a queue"); }

result<queue_ref> decode_queue(decoder& from, std::uint64_t type, bool joinable) {
    COPROC_TRY(auto file, from.take_fd());
    return byte_queue::open(std::move(file), type, joinable);
}

std::unique_ptr<encoder> make_encoder(const queue_ref& to) {
    if (to) return to->take_encoder();
    auto failed = std::make_unique<encoder>();
    failed->fail(moved_from());
    return failed;
}

bool put_bytes_now(const queue_ref& to, const message_bytes& message) noexcept {
    return to && to->put_now(message);
}

bool put_message_now(const queue_ref& to, std::unique_ptr<encoder>& message) {
    if (!message->is_plain() || !to->put_now(message->content())) return false;
    to->keep_encoder(std::move(message));
    return true;
}

task<result<void>> put_message(queue_ref to, std::unique_ptr<encoder> message) {
    COPROC_CO_TRY(check_message(*message));
    COPROC_CO_TRY(co_await cancellation_point());
    COPROC_CO_TRY(co_await byte_queue::put(to, message->content()));
    to->keep_encoder(std::move(message));
    co_return success();
}

task<result<void>> put_messages(queue_ref to, message_batch messages) {
    if (!to) co_return moved_from();
    COPROC_CO_TRY(check_message(messages.all()));
    co_return co_await byte_queue::put_all(std::move(to), std::move(messages));
}

short_get copy_message_now(const queue_ref& from, std::span<std::byte> into) noexcept {
    return from ? from->copy_now(into) : short_get::not_yet;
}
std::span<const std::byte> take_message_now(const queue_ref& from, small_content& content) {
    if (!from) return {};
    return from->take_now(content);
}
void keep_content(const queue_ref& of, small_content used) noexcept {
    of->keep_content(std::move(used));
}

result<bool> get_message_now(const queue_ref& from, use_message use, void* argument,
                             leased_message& message) {
    if (!from) return moved_from();
    return from->get_now(use, argument, message);
}

task<result<leased_message>> get_message(queue_ref from, use_message use, void* argument) {
    if (!from) co_return moved_from();
    co_return co_await byte_queue::get(std::move(from), use, argument);
}

namespace {

/// The other messages of a batch may be decoded nevertheless, and nobody else would look for them.
result<void> without_exceptions(const auto& decode) {
    try {
        return decode();
    } catch (const std::bad_alloc&) {
        return std::errc::not_enough_memory;
    } catch (const std::exception& thrown) {
        return error(errc::bad_message, thrown.what());
    } catch (...) {
        return error(errc::bad_message, name_of_current_exception());
    }
}

/// Decodes a batch; returns how many messages could be. Of those that could not the first failure
/// is the one that is reported.
std::size_t use_batch(byte_queue& from, const taken_messages& taken, use_message use,
                      void* argument, std::optional<error>& failure) {
    const std::byte* next = taken.content.get();
    decoder small({});
    const auto use_one = [&](const taken_message& one) -> result<void> {
        if (one.cell == 0) {
            small.begin({std::exchange(next, next + one.size), one.size});
            return use(argument, small);
        }
        COPROC_TRY(from.use(one, nullptr, use, argument));
        return success();
    };
    std::size_t used = 0;
    for (const taken_message& one : taken.all) {
        const auto decoded = without_exceptions([&] { return use_one(one); });
        if (decoded) ++used;
        if (!decoded && !failure) failure = decoded.error();
    }
    return used;
}

}  // namespace

task<result<void>> get_messages(queue_ref from, std::size_t most, use_message use, void* argument) {
    if (!from) co_return moved_from();
    if (auto owed = std::exchange(from->owed(), std::nullopt)) co_return *owed;
    std::optional<error> failure;
    COPROC_CO_TRY(taken_messages taken, co_await byte_queue::get_some(from, most));
    std::size_t used = 0;
    while (!taken.all.empty()) {
        most -= taken.all.size();
        used += use_batch(*from, taken, use, argument, failure);
        const bool is_over = failure || most == 0 || !co_await loop_turn();
        taken = taken_messages();
        if (!is_over) taken = from->get_some_now(most);
    }
    if (!failure) co_return success();
    if (used == 0) co_return *failure;
    from->owed() = std::move(failure);
    co_return success();
}

result<void> try_put_message(const queue_ref& to, std::unique_ptr<encoder> message) {
    COPROC_TRY(check_message(*message));
    COPROC_TRY(to->try_put(message->content()));
    to->keep_encoder(std::move(message));
    return success();
}

result<leased_message> try_get_message(const queue_ref& from, use_message use, void* argument) {
    if (!from) return moved_from();
    return from->try_get(use, argument);
}

std::size_t queue_size(const queue_ref& of) noexcept { return of ? of->size() : 0; }
bool queue_is_full(const queue_ref& one) noexcept { return one && one->is_full(); }
result<void> close_queue(const queue_ref& one) {
    if (!one) return moved_from();
    one->close();
    return success();
}

result<void> end_lease(const queue_ref& of, const leased_message& message) {
    return of->end(message.cell, message.number);
}
result<void> end_oldest_lease(const queue_ref& of) {
    if (!of) return moved_from();
    return of->end_oldest_lease();
}
void give_back(const queue_ref& to, const leased_message& message) {
    to->give_back(message.cell, message.number);
}
task<result<void>> join_queue(queue_ref one) {
    if (!one) co_return moved_from();
    co_return co_await byte_queue::join(std::move(one));
}

}  // namespace coproc::detail
