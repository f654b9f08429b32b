#pragma once
// queue: messages for any number of processes, first in, first out, in shared memory.
//
//   auto q = coproc::queue<std::string>::create({.max_size = 100}).value();
//   (co_await q.put("Hello world")).value();        // in any process that has been given q
//   auto text = (co_await q.get()).value();
//
// Copies are the same queue; it travels as an argument or in a message on a connection. Any number
// of tasks in any number of processes may put and get. Whatever dies when, the queue stays whole: a
// message that put() has acknowledged is delivered once, unless it is in the hands of a consumer
// that dies (joinable_queue gives it to another one).

#include <coproc/detail/queue_handle.hpp>

namespace coproc {

template <class T>
class queue : public detail::typed_queue<T> {
 public:
    static result<queue> create(queue_options options = {}) {
        COPROC_TRY(auto made, detail::make_queue(detail::fingerprint<T>(), options, false));
        return queue(std::move(made));
    }

 private:
    friend struct codec<queue>;
    explicit queue(detail::queue_ref made) noexcept : detail::typed_queue<T>(std::move(made)) {}
};

/// The same with nothing but put, get, empty and close, and no limits but memory's.
template <class T>
class simple_queue : private detail::typed_queue<T> {
    using base = detail::typed_queue<T>;

 public:
    static result<simple_queue> create() {
        COPROC_TRY(auto made, detail::make_queue(detail::fingerprint<T>(), {}, false));
        return simple_queue(std::move(made));
    }

    using base::close;
    using base::empty;
    using base::get;
    using base::put;

 private:
    friend struct codec<simple_queue>;
    explicit simple_queue(detail::queue_ref made) noexcept : base(std::move(made)) {}
};

template <class T>
struct codec<queue<T>> {
    static void encode(encoder& into, const queue<T>& from) {
        detail::encode_queue(into, from.ref());
    }
    static result<queue<T>> decode(decoder& from) {
        COPROC_TRY(auto opened, detail::decode_queue(from, detail::fingerprint<T>(), false));
        return queue<T>(std::move(opened));
    }
};

template <class T>
struct codec<simple_queue<T>> {
    static void encode(encoder& into, const simple_queue<T>& from) {
        detail::encode_queue(into, from.ref());
    }
    static result<simple_queue<T>> decode(decoder& from) {
        COPROC_TRY(auto opened, detail::decode_queue(from, detail::fingerprint<T>(), false));
        return simple_queue<T>(std::move(opened));
    }
};

}  // namespace coproc
