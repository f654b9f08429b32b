// An HTTP/1.1 server on a libuv loop of its own, on which coproc is a guest: what is cheap is
// answered on the loop, and what is expensive, may crash or is not trusted is done by children,
// within limits.
//
//   http_server [--port N] [--slots N] [--queue N] [--deadline MS] [--memory MB] [--grace MS]
//
//   GET /ping               pong, by the loop
//   GET /primes?below=N     CPU time, in a child of the fork server
//   POST /words             somebody's text, in a child that is executed anew
//   GET /count?to=N         what a child prints, as it prints it
//   GET /crash /spin /bomb  what else children do
//
// A child that dies is a 500, one that is not done in time a 504, one too many a 503. SIGTERM ends
// the server when its clients have got what they had asked for; a second one sooner.

#include <coproc/coproc.hpp>

#include "http_host.hpp"
#include "http_settings.hpp"
#include "http_work.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

using coproc::result;
using coproc::task;
using std::chrono::milliseconds;

using permit = coproc::semaphore::permit;

/// What somebody wants.
struct order {
    std::shared_ptr<http_connection> from;
    std::string_view route;
    long number;
    std::string body;
};

/// Why it cannot be had.
http::status status_of(const coproc::error& failed) {
    if (failed == coproc::errc::timed_out) return http::status::gateway_timeout;
    if (failed.child_pid() != 0) return http::status::internal_server_error;
    // The server is about to end, or the machine refuses it a process, memory or an fd.
    const bool refused =
        failed == coproc::errc::canceled || failed.code().category() == std::system_category();
    return refused ? http::status::service_unavailable : http::status::internal_server_error;
}

http_response overloaded() {
    http_response made = http_reason(http::status::service_unavailable);
    made.set(http::field::retry_after, "1");
    return made;
}

class http_server final : public http_host {
 public:
    /// `children` and `requests`: how many there may be.
    http_server(coproc::runtime& rt, const settings& chosen, coproc::semaphore children,
                coproc::semaphore requests, coproc::event all_gone)
        : http_host(rt.uv_loop()),
          rt_(rt),
          deadline_(chosen.deadline),
          grace_(chosen.grace),
          children_(std::move(children)),
          requests_(std::move(requests)),
          all_gone_(std::move(all_gone)) {
        within_limits_.nice = 19;  // the loop comes first
        within_limits_.limits.core_size = 0;
        const auto memory = static_cast<std::uint64_t>(chosen.memory) << 20;
        if (memory > 0) within_limits_.limits.address_space = memory;
    }

 private:
    // What each target leads to; one that ends with '=' is followed by a number.

    struct route {
        http::verb method;
        std::string_view target;
        void (http_server::*serve)(order& asked);
    };
    static const std::array<route, 7> routes;

    void on_request(const std::shared_ptr<http_connection>& from, http_request asked) override {
        const std::string_view target(asked.target().data(), asked.target().size());
        for (const route& one : routes) {
            const bool numbered = one.target.ends_with('=');
            if (numbered ? !target.starts_with(one.target) : target != one.target) continue;
            const bool head = asked.method() == http::verb::head && one.method == http::verb::get;
            if (!head && asked.method() != one.method) return refuse_method(*from, one);
            const auto number = numbered ? to_number(target.substr(one.target.size())) : 0;
            if (!number) return from->respond(http_reason(http::status::bad_request));
            order made{from, one.target, *number, std::move(asked.body())};
            return (this->*one.serve)(made);
        }
        from->respond(http_reason(http::status::not_found));
    }

    static void refuse_method(http_connection& from, const route& one) {
        http_response refused = http_reason(http::status::method_not_allowed);
        refused.set(http::field::allow, http::to_string(one.method));
        from.respond(std::move(refused));
    }

    void ping(order& asked) { asked.from->respond(http_text(http::status::ok, "pong\n")); }
    void primes(order& asked) {
        serve(asked, coproc::call(within_limits_, count_primes, asked.number));
    }
    void words(order& asked) {
        coproc::process_options untrusted = within_limits_;
        untrusted.method = coproc::start_method::spawn;
        untrusted.clear_environment = true;
        serve(asked, coproc::call(untrusted, count_words, std::move(asked.body)));
    }
    void crash(order& asked) { serve(asked, coproc::call(within_limits_, abort_at_once)); }
    void spin(order& asked) { serve(asked, coproc::call(within_limits_, never_end)); }
    void bomb(order& asked) { serve(asked, coproc::call(within_limits_, devour_memory)); }
    void count(order& asked) {
        admit(asked, [&](permit place) { return answer_in_pieces(asked, std::move(place)); });
    }

    void serve(const order& asked, task<result<std::string>> work) {
        admit(asked,
              [&](permit place) { return answer(asked, std::move(place), std::move(work)); });
    }

    /// Spawns `answering(place)` if there may be one request more. It is canceled, and so its child
    /// ends, when the client goes away.
    template <class Answering>
    void admit(const order& asked, Answering answering) {
        auto place = requests_.try_acquire();
        if (!place) return asked.from->respond(overloaded());
        auto answer = rt_.spawn(answering(std::move(place).value()));
        asked.from->when_gone([answer]() mutable { answer.cancel(); });
    }

    // A child's value.

    task<void> answer(order asked, permit place, task<result<std::string>> work) {
        const auto text = co_await coproc::timeout(deadline_, in_turn(std::move(work)));
        (void)place.release();  // first: who has an answer may ask again
        if (text) co_return asked.from->respond(http_text(http::status::ok, text.value()));
        fail(asked, text.error());
    }

    task<result<std::string>> in_turn(task<result<std::string>> work) {
        COPROC_CO_TRY(const auto turn, co_await children_.acquire());
        co_return co_await std::move(work);
    }

    // What a child prints.

    task<void> answer_in_pieces(order asked, permit place) {
        const auto done = co_await pass_on_count(asked);
        (void)place.release();
        if (done) co_return asked.from->end_pieces();
        fail(asked, done.error());
    }

    task<result<void>> pass_on_count(const order& asked) {
        COPROC_CO_TRY(const auto turn, co_await coproc::timeout(deadline_, children_.acquire()));
        COPROC_CO_TRY(auto ends, coproc::pipe(coproc::simplex));
        coproc::process_options options = within_limits_;
        options.kill_on_drop = true;
        options.standard_output = coproc::redirection::to(ends.second);
        coproc::process child(options, count_up, asked.number);
        COPROC_CO_TRY(co_await coproc::timeout(deadline_, child.start()));
        ends.second.close();  // the child's is the only one left
        COPROC_CO_TRY(co_await pass_on(ends.first, *asked.from));
        COPROC_CO_TRY(const auto status, co_await coproc::timeout(deadline_, child.join()));
        if (!status.success()) {
            co_return coproc::error(coproc::errc::child_failed, status.to_string());
        }
        if (!asked.from->is_in_pieces()) asked.from->begin_pieces("text/plain");
        co_return coproc::success();
    }

    /// One piece after the other: a client that does not read makes the child wait, whose pipe is
    /// full, and is given up after a while, which cancels this.
    task<result<void>> pass_on(coproc::connection& output, http_connection& to) {
        COPROC_CO_TRY(const auto written, coproc::event::create());
        to.when_written([written] { (void)written.set(); });
        std::array<char, 16 << 10> text;
        for (;;) {
            const auto room = std::as_writable_bytes(std::span(text));
            const auto size = co_await coproc::timeout(deadline_, output.recv_some(room));
            if (!size && size.error() == coproc::errc::end_of_stream) co_return coproc::success();
            if (!size) co_return size.error();
            if (!to.is_in_pieces()) to.begin_pieces("text/plain");
            COPROC_CO_TRY(written.clear());
            to.send_piece(std::string_view(text.data(), size.value()));
            COPROC_CO_TRY(co_await written.wait());
        }
    }

    /// The reason is for the log: clients need not know what is inside.
    static void fail(const order& asked, const coproc::error& failed) {
        if (failed != coproc::errc::canceled) {
            const std::string reason = failed.within(asked.route).message();
            std::fprintf(stderr, "http_server: %s\n", reason.c_str());
        }
        if (asked.from->is_in_pieces()) return asked.from->close();  // no other status now
        asked.from->respond(http_reason(status_of(failed)));
    }

    // The end.

    void on_signal() override {
        if (std::exchange(ending_, true)) return on_all_gone();
        rt_.spawn(end());
        stop_listening();
    }
    void on_all_gone() override { (void)all_gone_.set(); }

    task<void> end() {
        (void)co_await coproc::timeout(grace_, all_gone_.wait());
        (void)co_await rt_.shutdown();
        close();
    }

    coproc::runtime& rt_;
    const milliseconds deadline_;
    const milliseconds grace_;
    coproc::process_options within_limits_;
    const coproc::semaphore children_;
    const coproc::semaphore requests_;
    const coproc::event all_gone_;
    bool ending_ = false;
};

const std::array<http_server::route, 7> http_server::routes{{
    {http::verb::get, "/ping", &http_server::ping},
    {http::verb::get, "/primes?below=", &http_server::primes},
    {http::verb::post, "/words", &http_server::words},
    {http::verb::get, "/count?to=", &http_server::count},
    {http::verb::get, "/crash", &http_server::crash},
    {http::verb::get, "/spin", &http_server::spin},
    {http::verb::get, "/bomb", &http_server::bomb},
}};

/// Runs the host's loop until the server has ended.
result<void> serve(uv_loop_t& loop, const settings& chosen) {
    const auto slots = static_cast<std::size_t>(chosen.slots);
    const auto queue = static_cast<std::size_t>(chosen.queue);
    COPROC_TRY(auto rt, coproc::runtime::create(&loop));
    COPROC_TRY(auto children, coproc::semaphore::create(slots));
    COPROC_TRY(auto requests, coproc::semaphore::create(slots + queue));
    COPROC_TRY(auto all_gone, coproc::event::create());
    http_server server(rt, chosen, children, requests, all_gone);
    const std::string address = "127.0.0.1";
    const int failed = server.listen(address.c_str(), chosen.port);
    if (failed == 0) {
        std::printf("listening on %s:%d\n", address.c_str(), server.port());
        std::fflush(stdout);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    if (failed == 0) return coproc::success();
    return coproc::error(std::error_code(-failed, std::system_category()),
                         "listening on " + address + ":" + std::to_string(chosen.port));
}

int main(int argc, char** argv) {
    if (auto code = coproc::run_if_child()) return *code;
    const auto chosen = parse_settings(argc, argv);
    if (!chosen) {
        std::fputs(usage, stderr);
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN);  // libuv writes to clients that have gone
    uv_loop_t loop;
    uv_loop_init(&loop);
    const auto served = serve(loop, *chosen);
    uv_run(&loop, UV_RUN_DEFAULT);  // what the runtime had on it closes
    const int busy = uv_loop_close(&loop);
    if (!served) std::fprintf(stderr, "http_server: %s\n", served.error().message().c_str());
    if (busy != 0) std::fprintf(stderr, "http_server: the loop: %s\n", uv_strerror(busy));
    return served && busy == 0 ? 0 : 1;
}
