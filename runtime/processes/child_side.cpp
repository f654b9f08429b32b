#include "processes/child_side.hpp"

#include <coproc/detail/awaited.hpp>
#include <coproc/log.hpp>
#include <coproc/this_process.hpp>

#include "words/exception_name.hpp"
#include "words/system.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace coproc::detail {

result<message_header> child_side::wait_message() {
    for (;;) {
        auto header = control_.try_message();
        if (header && header.value().type == control::hello_type) {
            control_.drop(header.value());
            say_hello();
            continue;
        }
        if (header || header.error() != errc::would_block) return header;
        ::pollfd waiting{control_.fd(), POLLIN, 0};
        if (::poll(&waiting, 1, -1) < 0 && errno != EINTR) return std::errc::io_error;
    }
}

result<message_header> child_side::wait_bootstrap() {
    COPROC_TRY(bootstrap_, wait_message());
    if (bootstrap_.type != control::bootstrap_type) return errc::bad_message;
    return bootstrap_;
}

namespace {

std::string cut(std::string text) {
    if (text.size() > control::longest_text) text.resize(control::longest_text);
    return text;
}

}  // namespace

void child_side::note(std::string type, std::string message, bool expected) {
    if (!expected) {
        const std::string line =
            "Process " + current_process().name() + ": " + type + ": " + message + "\n";
        system::write_to_stderr(line);
    }
    last_.failed = true;
    last_.exception_type = cut(std::move(type));
    last_.exception_message = cut(std::move(message));
}

void child_side::note_failure(const error& why) {
    release_memory_reserve();
    note("coproc::error", why.message(), why == errc::canceled);
    note_code(why.code());
}

/// Other categories do not travel.
void child_side::note_code(const std::error_code& why) noexcept {
    const bool ours = why.category() == error_category();
    if (!ours && why.category() != std::system_category() &&
        why.category() != std::generic_category()) {
        return;
    }
    last_.failure = why.value();
    last_.failure_is_ours = ours;
}

void child_side::note_exception(const std::exception_ptr& thrown) {
    release_memory_reserve();
    try {
        std::rethrow_exception(thrown);
    } catch (const std::exception& caught) {
        note(name_of_current_exception(), caught.what(), is_cancellation(thrown));
        if (const auto* failed = dynamic_cast<const std::system_error*>(&caught))
            note_code(failed->code());
    } catch (...) {
        note(name_of_current_exception(), "");
    }
}

void child_side::report(int code) noexcept {
    last_.code = code;
    encoder message;
    message.put(last_);
    // There is room, unless the parent has been stopped for hundreds of births.
    (void)control_.try_send({control::report_type, message.bytes(), {}});
}

void child_side::say_hello() noexcept {
    const auto me = system::open_process(::getpid());
    if (!me) ::_exit(1);  // the parent will never know us
    encoder message;
    message.put(control::hello{::getpid()});
    const int fds[] = {me.value().get()};
    (void)control_.try_send({control::hello_type, message.bytes(), fds});
}

void child_side::tell_birth(int pidfd, std::uint64_t participant) noexcept {
    encoder message;
    message.put(control::birth{participant});
    const int fds[] = {pidfd};
    // A parent that does not read for so long is not waited for.
    (void)control_.try_send({control::birth_type, message.bytes(), fds});
}

}  // namespace coproc::detail
