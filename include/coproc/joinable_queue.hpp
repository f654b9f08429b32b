#pragma once
// joinable_queue: a queue of work that is done, whoever dies over it.
//
//   auto jobs = coproc::joinable_queue<std::string>::create().value();
//   …  auto job = (co_await jobs.lease()).value();  work(job.value());  job.done().value();
//   …  (co_await jobs.join()).value();              // when all that was put is done
//
// A message that has been got stays leased until it is done. If the process that has it dies, or
// the lease is dropped, the message goes back to the front of the queue. So join() before close():
// who has been told errc::closed does not come back for it. The lease of a small message holds
// on to the 8 KiB of memory that it lies in; of max_bytes so much is not there for puts meanwhile.

#include <coproc/detail/queue_handle.hpp>

namespace coproc {

/// A message that is being worked on by this process.
template <class T>
class lease {
 public:
    lease(lease&& other) noexcept
        : queue_(std::exchange(other.queue_, nullptr)),
          message_(other.message_),
          value_(std::move(other.value_)) {}
    lease& operator=(lease&& other) noexcept {
        if (this == &other) return *this;
        drop();
        queue_ = std::exchange(other.queue_, nullptr);
        message_ = other.message_;
        value_ = std::move(other.value_);
        return *this;
    }
    /// Not done: the message goes back.
    ~lease() { drop(); }

    T& value() noexcept { return *value_; }
    const T& value() const noexcept { return *value_; }
    /// How often it has gone back to the queue before, from dropped leases, dead consumers, and
    /// those who were canceled while they copied it: for giving up a message that kills.
    std::size_t returns() const noexcept { return message_.returns; }

    /// The work is done, for good; if a process that has been stopped has the queue locked, as soon
    /// as it goes on. Errors: errc::too_many_releases if it was already.
    result<void> done() {
        if (!queue_) return errc::too_many_releases;
        COPROC_TRY(detail::end_lease(queue_, message_));
        queue_.reset();
        return success();
    }

 private:
    template <class>
    friend class joinable_queue;
    lease(detail::queue_ref of, detail::leased_message message, std::optional<T> value) noexcept
        : queue_(std::move(of)), message_(message), value_(std::move(value)) {}
    void drop() noexcept {
        if (queue_) detail::give_back(std::exchange(queue_, nullptr), message_);
    }

    detail::queue_ref queue_;
    detail::leased_message message_;
    std::optional<T> value_;
};

template <class T>
class joinable_queue : public detail::typed_queue<T> {
 public:
    static result<joinable_queue> create(queue_options options = {}) {
        COPROC_TRY(auto made, detail::make_queue(detail::fingerprint<T>(), options, true));
        return joinable_queue(std::move(made));
    }

    /// Like get(); the message is done by lease::done(), and given back when the lease is dropped.
    [[nodiscard]] task<result<coproc::lease<T>>> lease() { return lease_from(this->ref()); }
    /// The message that this process got first of those it has not done is done: for programs that
    /// get() one at a time.
    /// Errors: errc::too_many_releases if there is none.
    result<void> task_done() { return detail::end_oldest_lease(this->ref()); }
    /// Suspends until as many messages have been done as put.
    [[nodiscard]] task<result<void>> join() { return detail::join_queue(this->ref()); }

 private:
    friend struct codec<joinable_queue>;
    explicit joinable_queue(detail::queue_ref made) noexcept
        : detail::typed_queue<T>(std::move(made)) {}

    static task<result<coproc::lease<T>>> lease_from(detail::queue_ref from) {
        std::optional<T> value;
        COPROC_CO_TRY(const auto message,
                      co_await detail::get_message(from, &detail::decode_slice<T>, &value));
        co_return coproc::lease<T>(std::move(from), message, std::move(value));
    }
};

template <class T>
struct codec<joinable_queue<T>> {
    static void encode(encoder& into, const joinable_queue<T>& from) {
        detail::encode_queue(into, from.ref());
    }
    static result<joinable_queue<T>> decode(decoder& from) {
        COPROC_TRY(auto opened, detail::decode_queue(from, detail::fingerprint<T>(), true));
        return joinable_queue<T>(std::move(opened));
    }
};

}  // namespace coproc
