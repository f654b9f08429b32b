#pragma once
// A queue of messages that are bytes, in shared memory; what all kinds of queues are made of.
//
// put: under the lock of the tail the bytes become a message, and one sleeping consumer is rung.
// get: under the lock of the head the message there is copied out (or becomes a cell that is ours),
// and the ring is passed on if there are more. See queue_content.hpp for what is changed,
// queue_layout.hpp for what lies where, shared_object.hpp for waiting and repair.

#include <coproc/codec.hpp>
#include <coproc/detail/queue_access.hpp>

#include "channels/queue_content.hpp"
#include "shared/shared_object.hpp"

#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace coproc::detail {

/// In a joinable queue it is leased.
struct whole_message : leased_message {
    coproc::bytes content;
};

/// Several that were taken under one lock. Those without a cell lie one behind the other in
/// `content`, the others still in their cells.
struct taken_messages {
    std::vector<taken_message> all;
    small_content content;
};

class byte_queue final : public shared_object {
 public:
    using ref = std::shared_ptr<byte_queue>;

    byte_queue(region memory, std::shared_ptr<const unique_fd> ringer)
        : shared_object(std::move(memory), std::move(ringer)), content_(this->memory()) {}

    static result<ref> create(const queue_settings& settings);
    /// Errors: errc::bad_message, errc::version_mismatch; errc::type_mismatch for a queue of
    /// another kind or of messages of another type.
    static result<ref> open(unique_fd file, std::uint64_t fingerprint, bool joinable);

    /// Lifetime: `message` until the await ends.
    static task<result<void>> put(ref self, message_bytes message);
    /// The same for many, as many as possible under one lock and with one ring.
    static task<result<void>> put_all(ref self, message_batch messages);
    /// Decodes it, out of shared memory if it is large; `decode` is called again for as long as it
    /// leaves bytes, with turns of the loop between.
    /// Cancellation: the message goes back to the front.
    static task<result<leased_message>> get(ref self, use_message decode, void* argument);
    /// At least one, and at most `most`, as many as there are under one lock.
    static task<result<taken_messages>> get_some(ref self, std::size_t most);
    /// None if there is none without waiting.
    taken_messages get_some_now(std::size_t most);
    /// An error that somebody is to be told with the next batch.
    std::optional<error>& owed() noexcept { return owed_; }
    /// Suspends until every message that was put is done.
    static task<result<void>> join(ref self);
    void close() noexcept;

    /// errc::would_block: no room, no message, or locked by a process that does not go on.
    result<void> try_put(const message_bytes& message);
    result<leased_message> try_get(use_message decode, void* argument);
    result<whole_message> try_get();

    // The short way, if nothing is in it: nobody of this process waits, and there is room for a
    // small message, or one to be got.

    /// False: nothing has happened, put() is to be tried instead.
    bool put_now(const message_bytes& message) noexcept;
    /// A message of exactly that size.
    short_get copy_now(std::span<std::byte> into) noexcept;
    /// Its data() is null: nothing has happened, get_now() is to be tried instead.
    std::span<const std::byte> take_now(small_content& content);
    /// What has been taken into it is done with: memory for the next one.
    void keep_content(small_content used) noexcept { spare_content_ = std::move(used); }
    /// False: get() is to be tried instead, also for what is larger than a slice.
    result<bool> get_now(use_message decode, void* argument, leased_message& message);

    // What the messages of this process are encoded into, again and again: large memory that is
    // new each time costs more than what is done with it.

    std::unique_ptr<encoder> take_encoder();
    void keep_encoder(std::unique_ptr<encoder> used) noexcept;

    // These happen now, or as soon as the queue is not locked by somebody who does not go on.

    /// Ends the lease of that message: it is done. errc::too_many_releases if it is not leased.
    result<void> end(std::uint64_t cell, std::uint64_t number);
    result<void> end_oldest_lease();
    /// Back to the front of the queue.
    void give_back(std::uint64_t cell, std::uint64_t number);

    void describe(std::string& into) const override;
    std::uint64_t size() const noexcept { return content_.size(); }
    bool is_full() const noexcept { return !content_.has_room(0); }

    /// Decodes a message. One that cannot be decoded is done: given back, it would be in
    /// everybody's way for ever.
    result<leased_message> use(const taken_message& taken, const std::byte* content,
                               use_message decode, void* argument);

 private:
    // So much, and so many, are put or taken under one lock: others wait for it.
    static constexpr std::size_t most_at_once = std::size_t{64} * 1024;
    static constexpr std::size_t most_of_a_batch = 1024;

    /// Under the lock of the tail, unless the queue is closed.
    template <class Change>
    result<progress> change_put_end(const Change& change) {
        edit<put_state> end(content_.layout().putting, put_end_);
        if (!end) return progress::busy;
        if (content_.is_closed()) return errc::closed;
        return change(end);
    }
    /// One transaction, in force if it is progress::done.
    template <class Change>
    result<progress> change_pool(const Change& change) {
        transaction changing(content_.layout(), experience());
        if (!changing) return progress::busy;
        result<progress> made = change(changing);
        if (made && made.value() == progress::done) changing.commit();
        return made;
    }
    result<void> check_size(std::size_t size) const;
    bool may_put(std::size_t size) const noexcept;

    result<progress> put_small(const message_bytes& message);
    result<progress> put_some(message_batch& rest);
    static task<result<void>> put_large(ref self, message_bytes message);
    result<progress> reserve(std::size_t size, std::uint64_t& cell);
    result<progress> lengthen(std::uint64_t cell, std::uint64_t& missing);
    result<progress> publish(std::uint64_t cell);
    static task<result<void>> fill(ref self, std::uint64_t cell, message_bytes message);
    result<void> try_fill_and_publish(std::uint64_t cell, message_bytes message);
    result<progress> after_put(result<progress> made) noexcept;

    bool may_get() const noexcept { return content_.has_messages() || content_.is_closed(); }
    small_content take_content();
    result<progress> take(taken_message& into, small_content& content,
                          std::uint64_t largest = UINT64_MAX);
    static task<result<leased_message>> use_in_slices(ref self, taken_message taken,
                                                      use_message decode, void* argument);
    result<progress> take_some(taken_messages& into, std::size_t most);
    result<progress> look_when_empty();
    result<progress> after_take(result<progress> made) noexcept;

    result<progress> end_now(std::uint64_t cell, std::uint64_t number);
    result<progress> give_back_now(std::uint64_t cell, std::uint64_t number);

    bool forget(transaction& changing, participant dead, ending how) noexcept override;
    bool kick() noexcept override;
    void note_healing() noexcept;
    /// Wakes who waits for it, when its lock has been released.
    void after_change() noexcept {
        const bool somebody = sleeping_on(queue_layout::consumers).announced() ||
                              sleeping_on(queue_layout::producers).announced();
        if (somebody) wake_both();
        if (put_end_.healed || get_end_.healed || experience().healed) note_healing();
    }
    bool wake_consumer() noexcept;
    bool wake_producer() noexcept;
    void wake_both() noexcept;
    void wake_joiners() noexcept;

    queue_content content_;
    lock_experience put_end_;
    lock_experience get_end_;
    participant forgetting_ = 0;  // as far as:
    std::uint64_t forget_from_ = 1;
    std::optional<error> owed_;
    std::unique_ptr<encoder> spare_encoder_;
    small_content spare_content_;
};

}  // namespace coproc::detail
