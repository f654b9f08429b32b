#pragma once
// A queue of messages that are bytes, in shared memory; what all kinds of queues are made of.
//
// put: one transaction makes the bytes a message, and one sleeping consumer is rung. get: one
// transaction takes the message at the head (copied out, or as a cell that is now ours), and the
// ring is passed on if there are more. See queue_content.hpp for the transactions,
// queue_layout.hpp for what lies where, shared_object.hpp for waiting and repair.

#include <coproc/codec.hpp>

#include "channels/queue_content.hpp"
#include "shared/shared_object.hpp"

#include <memory>
#include <span>

namespace coproc::detail {

class byte_queue final : public shared_object {
 public:
    using ref = std::shared_ptr<byte_queue>;

    static result<ref> create(const queue_settings& settings);
    /// Errors: errc::bad_message, errc::version_mismatch; errc::type_mismatch for a queue of
    /// another kind or of messages of another type.
    static result<ref> open(unique_fd file, std::uint64_t fingerprint, bool joinable);

    /// Lifetime: `message` until the await ends.
    static task<result<void>> put(ref self, std::span<const std::byte> message);
    /// The same for many, as many as possible in one transaction and with one ring.
    static task<result<void>> put_all(ref self, std::span<const encoder> messages);
    static task<result<taken_message>> get(ref self);
    /// Suspends until every message that was put is done.
    static task<result<void>> join(ref self);
    void close() noexcept;

    /// errc::would_block: no room, no message, or locked by a process that does not go on.
    result<void> try_put(std::span<const std::byte> message);
    result<taken_message> try_get();

    // These happen now, or as soon as the queue is not locked by somebody who does not go on.

    /// Ends the lease of that message: it is done. errc::too_many_releases if it is not leased.
    result<void> end(std::uint64_t cell, std::uint64_t number);
    result<void> end_oldest_lease();
    /// Back to the front of the queue.
    void give_back(std::uint64_t cell, std::uint64_t number);

    std::uint64_t size() const noexcept { return content_.size(); }
    bool is_full() const noexcept { return !content_.has_room(0); }

 private:
    explicit byte_queue(region memory, std::shared_ptr<const unique_fd> ringer)
        : shared_object(std::move(memory), std::move(ringer)), content_(this->memory()) {}

    template <class Change>
    result<progress> in_transaction(const Change& change);
    template <class Put>
    result<progress> put_if_possible(std::size_t size, const Put& put);
    result<void> check_size(std::size_t size) const;
    bool may_put(std::size_t size) const noexcept;

    result<progress> put_small(std::span<const std::byte> message);
    result<progress> put_some(std::span<const encoder>& rest);
    static task<result<void>> put_large(ref self, std::span<const std::byte> message);
    result<progress> reserve(std::size_t size, std::uint64_t& cell);
    result<progress> lengthen(std::uint64_t cell, std::uint64_t& missing);
    result<progress> publish(std::uint64_t cell);
    static task<result<void>> fill(ref self, std::uint64_t cell,
                                   std::span<const std::byte> message);
    result<void> try_fill_and_publish(std::uint64_t cell, std::span<const std::byte> message);
    result<progress> after_put(result<progress> made) noexcept;

    result<progress> take(taken_message& into);
    void end_unless_leased(taken_message& taken);

    result<progress> end_now(std::uint64_t cell, std::uint64_t number);
    result<progress> give_back_now(std::uint64_t cell, std::uint64_t number);

    bool forget(transaction& changing, participant dead, ending how) noexcept override;
    void kick() noexcept override;
    void wake_consumer() noexcept;
    void wake_producer() noexcept;
    void wake_joiners() noexcept;

    queue_content content_;
};

}  // namespace coproc::detail
