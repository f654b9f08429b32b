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

/// Ends the lease of a message that cannot be decoded: given back, it would be in everybody's way
/// for ever.
class end_on_failure {
 public:
    end_on_failure(byte_queue& queue, const taken_message& taken) noexcept
        : queue_(&queue), cell_(taken.cell), number_(taken.number) {}
    end_on_failure(const end_on_failure&) = delete;
    end_on_failure& operator=(const end_on_failure&) = delete;
    ~end_on_failure() {
        if (cell_ != 0) (void)queue_->end(cell_, number_);
    }
    void dismiss() noexcept { cell_ = 0; }

 private:
    byte_queue* queue_;
    std::uint64_t cell_;
    std::uint64_t number_;
};

result<leased_message> use_content(byte_queue& queue, const taken_message& taken, use_message use,
                                   void* argument) {
    end_on_failure lease(queue, taken);
    decoder message(taken.content);
    COPROC_TRY(use(argument, message));
    lease.dismiss();
    return leased_message{taken.cell, taken.number};
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
    co_return use_content(*from, taken, use, argument);
}

result<void> try_put_message(const queue_ref& to, const encoder& message) {
    COPROC_TRY(check_message(message));
    return to->try_put(message.bytes());
}

result<leased_message> try_get_message(const queue_ref& from, use_message use, void* argument) {
    COPROC_TRY(const taken_message taken, from->try_get());
    return use_content(*from, taken, use, argument);
}

std::size_t queue_size(const queue_ref& of) noexcept { return of->size(); }
bool queue_is_full(const queue_ref& one) noexcept { return one->is_full(); }
void close_queue(const queue_ref& one) noexcept { one->close(); }

result<void> end_lease(const queue_ref& of, const leased_message& message) {
    return of->end(message.cell, message.number);
}
result<void> end_oldest_lease(const queue_ref& of) { return of->end_oldest_lease(); }
void give_back(const queue_ref& to, const leased_message& message) {
    to->give_back(message.cell, message.number);
}
task<result<void>> join_queue(queue_ref one) { return byte_queue::join(std::move(one)); }

}  // namespace coproc::detail
