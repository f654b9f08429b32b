#pragma once
// One client of an HTTP/1.1 server on a libuv loop: Boost.Beast parses its requests and serializes
// the responses, this moves the bytes. Nothing here knows of processes.
//
// One request at a time: the next one is parsed when the answer has been written. So whatever the
// client does, a connection holds no more than one request, one answer (or one piece of it) and
// 16 KiB of what comes after; then TCP makes the client wait.

#include "http_message.hpp"

#include <boost/beast/core/flat_static_buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <uv.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// What a client may do.
struct http_limits {
    std::uint32_t header = 8 << 10;
    std::uint64_t body = 1 << 20;
    /// To send the next request, all of it; to take an answer, or a piece of one.
    std::chrono::milliseconds patience{10'000};
};

class http_connection;

/// Whom the connections work for.
class http_service {
 public:
    virtual void on_request(const std::shared_ptr<http_connection>& from, http_request asked) = 0;
    virtual void on_closed(const std::shared_ptr<http_connection>& one) = 0;

 protected:
    ~http_service() = default;
};

/// All members may be called at any time; without a request to answer they do nothing.
class http_connection : public std::enable_shared_from_this<http_connection> {
 public:
    http_connection(uv_loop_t* loop, http_service& service, const http_limits& limits)
        : service_(service), limits_(limits) {
        uv_tcp_init(loop, &socket_);
        uv_timer_init(loop, &timer_);
        socket_.data = timer_.data = this;
    }
    http_connection(const http_connection&) = delete;
    http_connection& operator=(const http_connection&) = delete;

    void accept(uv_stream_t* listener) {
        if (uv_accept(listener, stream()) != 0) return close();
        uv_tcp_nodelay(&socket_, 1);
        read_next();
    }

    /// The whole answer.
    void respond(http_response answer) {
        if (state_ != state::working) return;
        answer.prepare_payload();
        finish(bytes_of(answer, only_head_ ? http_part::header : http_part::all));
    }

    /// An answer in pieces, of a length that nobody knows yet. The next piece, or the end, comes
    /// after when_written.
    void begin_pieces(std::string_view content_type) {
        if (state_ != state::working) return;
        http::response<http::empty_body> answer(http::status::ok, 11);
        answer.set(http::field::content_type,
                   boost::beast::string_view(content_type.data(), content_type.size()));
        chunked_ = version_ >= 11;
        keep_alive_ = keep_alive_ && chunked_;  // otherwise its end is that of the connection
        answer.chunked(chunked_);
        const std::string header = bytes_of(answer, http_part::header);
        if (only_head_) return finish_before_time(header);
        state_ = state::in_pieces;
        write(header);
    }
    void send_piece(std::string_view text) {
        if (state_ != state::in_pieces) return;
        write(chunked_ ? http_chunk(text) : std::string(text));
    }
    void end_pieces() {
        if (state_ != state::in_pieces) return;
        finish(chunked_ ? http_last_chunk() : "");
    }
    bool is_in_pieces() const noexcept { return state_ == state::in_pieces; }

    /// Called when all that has been sent of an answer in pieces is on its way; and when the client
    /// wants no more of an answer: it has gone, was given up, or asked for the head alone. An end
    /// of its stream is taken for having gone.
    void when_written(std::function<void()> call) { on_written_ = std::move(call); }
    void when_gone(std::function<void()> call) { on_gone_ = std::move(call); }

    /// Answers what has been asked, and nothing after it.
    void close_when_idle() {
        is_last_ = true;
        if (state_ == state::reading && !parser_->got_some() && input_.size() == 0) close();
    }
    /// Now. A client that is still to get something sees that it is incomplete.
    void close() {
        if (state_ == state::closed) return;
        state_ = state::closed;
        uv_close(as_handle(&socket_), &on_handle_closed);
        uv_close(as_handle(&timer_), &on_handle_closed);
        on_written_ = nullptr;
        if (const auto call = std::exchange(on_gone_, nullptr)) call();
    }

 private:
    enum class state { reading, working, in_pieces, finishing, lingering, closed };

    struct outgoing {
        uv_write_t request;
        std::string bytes;
        std::shared_ptr<http_connection> from;
    };

    uv_stream_t* stream() noexcept { return reinterpret_cast<uv_stream_t*>(&socket_); }
    template <class Handle>
    static uv_handle_t* as_handle(Handle* one) noexcept {
        return reinterpret_cast<uv_handle_t*>(one);
    }
    static http_connection& self(void* data) noexcept {
        return *static_cast<http_connection*>(data);
    }

    // Requests.

    void read_next() {
        parser_.emplace();
        parser_->header_limit(limits_.header);
        parser_->body_limit(limits_.body);
        parser_->eager(true);
        told_to_continue_ = only_head_ = false;
        keep_alive_ = true;
        version_ = 11;
        state_ = state::reading;
        be_patient(limits_.patience);
        uv_read_start(stream(), &on_room_wanted, &on_read);
        parse();
    }

    static void on_room_wanted(uv_handle_t* socket, std::size_t, uv_buf_t* room) {
        http_connection& one = self(socket->data);
        if (one.state_ == state::lingering) one.input_.clear();
        const auto free = one.input_.prepare(one.input_.max_size() - one.input_.size());
        *room = uv_buf_init(static_cast<char*>(free.data()), static_cast<unsigned>(free.size()));
    }

    /// Also while a request is worked on: it is the only way to see that the client has gone.
    static void on_read(uv_stream_t* socket, ssize_t size, const uv_buf_t*) {
        http_connection& one = self(socket->data);
        if (size < 0) return one.close();
        if (one.state_ == state::lingering) return;
        one.input_.commit(static_cast<std::size_t>(size));
        if (one.state_ == state::reading) one.parse();
        if (one.input_.size() == one.input_.max_size()) uv_read_stop(socket);
    }

    void parse() {
        boost::system::error_code failed;
        input_.consume(parser_->put(input_.data(), failed));
        if (failed && failed != http::error::need_more) return refuse(http_status_of(failed));
        if (parser_->is_done()) return hand_over();
        if (input_.size() == input_.max_size()) {
            return refuse(http::status::request_header_fields_too_large);
        }
        if (parser_->is_header_done()) tell_to_continue();
    }

    /// A client with a large body may wait to be asked for it.
    void tell_to_continue() {
        if (std::exchange(told_to_continue_, true)) return;
        const auto expects = parser_->get()[http::field::expect];
        if (!boost::beast::iequals(expects, "100-continue")) return;
        http::response<http::empty_body> go_on(http::status::continue_, 11);
        write(bytes_of(go_on, http_part::header));
    }

    void hand_over() {
        const bool coded =
            !parser_->chunked() && parser_->get().count(http::field::transfer_encoding) > 0;
        keep_alive_ = parser_->keep_alive();
        http_request asked = parser_->release();
        version_ = asked.version();
        only_head_ = asked.method() == http::verb::head;
        if (coded) return refuse(http::status::not_implemented);
        if (version_ >= 11 && asked.count(http::field::host) != 1) {
            return refuse(http::status::bad_request);
        }
        uv_timer_stop(&timer_);
        state_ = state::working;
        service_.on_request(shared_from_this(), std::move(asked));
    }

    /// Where this request ends, and the next one begins, is not to be known.
    void refuse(http::status why) {
        keep_alive_ = false;
        state_ = state::working;
        respond(http_reason(why));
    }

    // Answers.

    template <class Body>
    std::string bytes_of(http::response<Body>& answer, http_part wanted) const {
        answer.version(version_);
        answer.keep_alive(keep_alive_ && !is_last_);
        return http_bytes(answer, wanted);
    }

    /// The client wants no more than this.
    void finish_before_time(std::string last_bytes) {
        const auto call = std::exchange(on_gone_, nullptr);
        finish(std::move(last_bytes));
        if (call) call();
    }

    void finish(std::string last_bytes) {
        state_ = state::finishing;
        on_written_ = on_gone_ = nullptr;
        write(std::move(last_bytes));
    }

    void write(std::string bytes) {
        auto made = std::make_unique<outgoing>();
        made->bytes = std::move(bytes);
        made->from = shared_from_this();
        made->request.data = made.get();
        const auto size = static_cast<unsigned>(made->bytes.size());
        const uv_buf_t buffer = uv_buf_init(made->bytes.data(), size);
        if (uv_write(&made->request, stream(), &buffer, 1, &on_written) != 0) return close();
        (void)made.release();  // until on_written
        ++writing_;
        be_patient(limits_.patience);
    }

    static void on_written(uv_write_t* request, int status) {
        const std::unique_ptr<outgoing> done(static_cast<outgoing*>(request->data));
        http_connection& one = *done->from;
        if (status != 0) return one.close();
        if (--one.writing_ > 0) return;
        if (one.state_ == state::finishing) return one.finished();
        if (one.state_ != state::in_pieces) return;
        uv_timer_stop(&one.timer_);
        if (one.on_written_) one.on_written_();
    }

    void finished() {
        if (keep_alive_ && !is_last_) return read_next();
        linger();
    }

    /// A socket that is closed before all has been read may lose the client its answer.
    void linger() {
        state_ = state::lingering;
        uv_shutdown(&shutdown_, stream(), [](uv_shutdown_t*, int) {});
        uv_read_start(stream(), &on_room_wanted, &on_read);
        be_patient(std::chrono::seconds(1));
    }

    // Time, and the end.

    void be_patient(std::chrono::milliseconds limit) {
        uv_timer_start(&timer_, &on_time, static_cast<std::uint64_t>(limit.count()), 0);
    }

    static void on_time(uv_timer_t* timer) {
        http_connection& one = self(timer->data);
        const bool half_a_request = one.state_ == state::reading && one.parser_->got_some();
        if (!half_a_request) return one.close();
        one.refuse(http::status::request_timeout);
    }

    static void on_handle_closed(uv_handle_t* handle) {
        http_connection& one = self(handle->data);
        if (--one.open_handles_ == 0) one.service_.on_closed(one.shared_from_this());
    }

    http_service& service_;
    const http_limits limits_;
    uv_tcp_t socket_;
    uv_timer_t timer_;
    uv_shutdown_t shutdown_;
    int open_handles_ = 2;
    int writing_ = 0;
    state state_ = state::reading;

    boost::beast::flat_static_buffer<16 << 10> input_;
    std::optional<http::request_parser<http::string_body>> parser_;
    bool told_to_continue_ = false;
    bool is_last_ = false;

    // Of the request that is being answered.
    unsigned version_ = 11;
    bool keep_alive_ = true;
    bool only_head_ = false;
    bool chunked_ = false;
    std::function<void()> on_written_;
    std::function<void()> on_gone_;
};
