#include <coproc/joinable_queue.hpp>
#include <coproc/queue.hpp>

#include "channels/byte_queue.hpp"

namespace coproc::detail {

namespace {

result<void> check_message(const encoder& message) {
    COPROC_TRY(message.status());
    if (message.fds().empty()) return success();
    return error(errc::not_supported,
                 "a handle in a queue's message: send it through a connection");
}

result<void> use_content(const taken_message& taken, use_message use, void* argument) {
    decoder message(taken.content);
    return use(argument, message);
}

}  // namespace

result<queue_ref> make_queue(std::uint64_t type, const queue_options& options, bool joinable) {
    return byte_queue::create({type, options.max_size, options.max_bytes, joinable});
}

void encode_queue(encoder& into, const queue_ref& from) {
    if (!from) return into.fail(error(errc::closed, "a queue that has been moved from"));
    into.attach(from->fd());
    into.keep(from);
}

result<queue_ref> decode_queue(decoder& from, std::uint64_t type, bool joinable) {
    COPROC_TRY(auto file, from.take_fd());
    return byte_queue::open(std::move(file), type, joinable);
}

task<result<void>> put_message(queue_ref to, encoder message) {
    COPROC_CO_TRY(check_message(message));
    co_return co_await byte_queue::put(std::move(to), message.bytes());
}

task<result<void>> put_messages(queue_ref to, std::vector<encoder> messages) {
    for (const encoder& message : messages) {
        COPROC_CO_TRY(check_message(message));
    }
    co_return co_await byte_queue::put_all(std::move(to), messages);
}

task<result<leased_message>> get_message(queue_ref from, use_message use, void* argument) {
    COPROC_CO_TRY(const taken_message taken, co_await byte_queue::get(from));
    COPROC_CO_TRY(use_content(taken, use, argument));
    co_return leased_message{taken.cell, taken.number};
}

result<void> try_put_message(const queue_ref& to, const encoder& message) {
    COPROC_TRY(check_message(message));
    return to->try_put(message.bytes());
}

result<leased_message> try_get_message(const queue_ref& from, use_message use, void* argument) {
    COPROC_TRY(const taken_message taken, from->try_get());
    COPROC_TRY(use_content(taken, use, argument));
    return leased_message{taken.cell, taken.number};
}

std::size_t queue_size(const queue_ref& of) noexcept { return of->size(); }
bool queue_is_full(const queue_ref& one) noexcept { return one->is_full(); }
void close_queue(const queue_ref& one) noexcept { one->close(); }

result<void> end_lease(const queue_ref& of, const leased_message& message) {
    return of->end(message.cell, message.number);
}
result<void> end_oldest_lease(const queue_ref& of) { return of->end_oldest_lease(); }
void give_back(const queue_ref& to, const leased_message& message) { to->give_back(message.cell); }
task<result<void>> join_queue(queue_ref one) { return byte_queue::join(std::move(one)); }

}  // namespace coproc::detail
