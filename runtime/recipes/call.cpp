#include <coproc/call.hpp>

#include <coproc/shield.hpp>
#include <coproc/timeout.hpp>
#include <coproc/when_all.hpp>

#include "channels/message_socket.hpp"
#include "processes/child.hpp"
#include "processes/control.hpp"
#include "words/exception_name.hpp"
#include "words/system.hpp"

#include <sys/socket.h>

#include <csignal>
#include <new>

namespace coproc::detail {

namespace {

/// The type of an answer that is no value; no type_info hashes to so small a number.
constexpr std::uint64_t failure_type = 32;

/// A killed process that has not ended by then hangs in the kernel.
constexpr std::chrono::seconds longest_farewell{5};

struct failure {
    int code;
    bool is_ours;  ///< of coproc's category; otherwise the system's
    std::string type;
    std::string message;
};

}  // namespace

// In the child.

void answer::fail(std::error_code code, std::string type, std::string message) {
    const bool is_ours = code.category() == error_category();
    const bool is_known = is_ours || code.category() == std::system_category() ||
                          code.category() == std::generic_category();
    if (message.size() > control::longest_text) message.resize(control::longest_text);
    is_failure_ = true;
    type_ = failure_type;
    body_.clear();
    body_.put(failure{is_known ? code.value() : 0, is_ours, std::move(type), std::move(message)});
}

answer::answer(const error& why) : answer() { fail(why.code(), "coproc::error", why.message()); }

answer::answer(const std::exception_ptr& thrown) : answer() {
    try {
        std::rethrow_exception(thrown);
    } catch (const std::system_error& caught) {
        fail(caught.code(), name_of_current_exception(), caught.what());
    } catch (const std::exception& caught) {
        fail({}, name_of_current_exception(), caught.what());
    } catch (...) {
        fail({}, name_of_current_exception(), {});
    }
}

result<int> answer::send(answer what, unique_fd pipe) {
    message_socket to(std::move(pipe));
    auto sent = to.send_blocking({what.type_, what.body_.bytes(), what.body_.fds()});
    if (!sent && sent.error() == errc::message_too_large) {
        what = answer(sent.error());
        sent = to.send_blocking({what.type_, what.body_.bytes(), {}});
    }
    COPROC_TRY(std::move(sent));
    return what.is_failure_ ? 1 : 0;
}

task<result<int>> answer::send_from_loop(answer what, unique_fd pipe) {
    message_socket to(std::move(pipe));
    auto sent = co_await to.send({what.type_, what.body_.bytes(), what.body_.fds()});
    if (!sent && sent.error() == errc::message_too_large) {
        what = answer(sent.error());
        sent = co_await to.send({what.type_, what.body_.bytes(), {}});
    }
    COPROC_CO_TRY(std::move(sent));
    co_return what.is_failure_ ? 1 : 0;
}

// In the parent.

prepared_call::prepared_call(const process_options& options, std::unique_ptr<call_request> request)
    : request_(request.get()), child_(std::make_shared<child>(options, std::move(request))) {}

namespace {

/// What becomes of the child's answer.
class answer_reader {
 public:
    answer_reader(unique_fd pipe, std::uint64_t type, use_message use, void* argument,
                  std::size_t largest)
        : pipe_(std::move(pipe)), type_(type), use_(use), argument_(argument) {
        pipe_.accept_up_to(largest);
    }

    /// The child has ended: nothing comes any more, whoever has inherited its end.
    void end_pipe() noexcept {
        if (!pipe_.is_open()) return;
        if (!system::shut_down(pipe_.fd(), SHUT_RD)) pipe_.close();
    }

    /// Takes the answer, if there is one.
    static task<result<void>> read(answer_reader& self, int pid) {
        COPROC_CO_TRY(const message_header header, co_await self.pipe_.wait_message());
        result<void> taken = self.take(header, pid);
        // The room of a large message is not needed while the child ends.
        self.pipe_.drop(header);
        co_return taken;
    }

 private:
    result<void> take(const message_header& header, int pid) {
        decoder message(pipe_.body(header), pipe_.take_fds(header));
        if (header.type == failure_type) return failure_in(message, pid);
        if (header.type != type_) return errc::type_mismatch;
        try {
            return use_(argument_, message);
        } catch (const std::bad_alloc&) {
            return std::errc::not_enough_memory;
        } catch (const std::exception& thrown) {
            return error(errc::bad_message, thrown.what());
        }
    }

    static result<void> failure_in(decoder& message, int pid) {
        COPROC_TRY(auto said, message.get<failure>());
        std::error_code code = errc::child_failed;
        if (said.code != 0) {
            code = {said.code, said.is_ours ? error_category() : std::system_category()};
        }
        return error::from_child(code, std::move(said.type), std::move(said.message), pid);
    }

    message_socket pipe_;
    std::uint64_t type_;
    use_message use_;
    void* argument_;
};

bool is_answer(const error& why) { return why.child_pid() != 0; }
/// Is that how a pipe ends whose other side is gone?
bool is_end(const error& why) {
    if (is_answer(why)) return false;
    return why == errc::end_of_stream || why == errc::truncated || why == errc::closed;
}

/// Empty if the answer has been taken. A child that answers nonsense is not waited for.
task<std::optional<error>> await_answer(answer_reader& from, std::shared_ptr<child> one) {
    const auto taken = co_await answer_reader::read(from, one->pid());
    if (taken) co_return std::nullopt;
    const error& why = taken.error();
    if (!is_answer(why) && !is_end(why)) (void)one->signal(SIGKILL);
    co_return why;
}

task<void> await_end(answer_reader& pipe, std::shared_ptr<child> one) {
    const auto ended = co_await child::wait_end(std::move(one));
    if (ended) pipe.end_pipe();
}

task<void> put_down(std::shared_ptr<child> one) {
    if (!one->signal(SIGKILL)) co_return;
    (void)co_await shield(timeout(longest_farewell, child::wait_end(one)));
}

/// A child has ended without an answer.
error why_it_ended(child& one, bool in_the_middle) {
    const result<exit_status>& end = *one.end();
    if (!end) return end.error();
    const exit_status& status = end.value();
    if (!status.exception_type().empty()) {
        const std::error_code code = status.failure() ? status.failure() : errc::child_failed;
        return error::from_child(code, status.exception_type(), status.exception_message(),
                                 one.pid());
    }
    return error(errc::child_failed,
                 "process " + std::to_string(one.pid()) + " ended with " + status.to_string() +
                     (in_the_middle ? " in the middle of its answer" : " and without an answer"));
}

}  // namespace

task<result<void>> prepared_call::run(prepared_call self, std::uint64_t type, use_message use,
                                      void* argument) {
    const std::shared_ptr<child> one = self.child_;
    const std::string step = "call of " + one->name();
    auto ends = system::socket_pair();
    if (!ends) co_return ends.error().within(step);
    // A child can answer no more than it can have; who does not limit it believes it.
    const auto largest = one->limits().address_space.value_or(PTRDIFF_MAX / 2);
    answer_reader pipe(std::move(ends.value()[0]), type, use, argument, largest);
    self.request_->answer_through(std::move(ends.value()[1]));
    COPROC_CO_TRY(co_await child::start(one));
    const auto [failure, ended] = co_await when_all(await_answer(pipe, one), await_end(pipe, one));
    const bool canceled = !one->end();
    if (canceled) co_await put_down(one);
    if (!failure) co_return success();
    if (!is_end(*failure)) co_return failure->within(step);
    if (canceled) co_return error(errc::canceled).within(step);
    co_return why_it_ended(*one, *failure == errc::truncated).within(step);
}

}  // namespace coproc::detail
