#include <coproc/error.hpp>
#include <coproc/result.hpp>

namespace coproc {

namespace {

class category final : public std::error_category {
 public:
    const char* name() const noexcept override { return "coproc"; }

    std::string message(int value) const override {
        switch (static_cast<errc>(value)) {
            case errc::canceled:
                return "canceled";
            case errc::timed_out:
                return "timed out";
            case errc::would_block:
                return "would block";
            case errc::closed:
                return "closed";
            case errc::end_of_stream:
                return "end of stream: the other side is gone";
            case errc::truncated:
                return "the other side died in the middle of a message";
            case errc::message_too_large:
                return "message too large";
            case errc::bad_message:
                return "bad message: these bytes were not sent by coproc";
            case errc::type_mismatch:
                return "message of another type than the one asked for";
            case errc::not_bootstrapped:
                return "call coproc::run, or coproc::run_if_child as the first line of main, "
                       "before starting processes";
            case errc::not_started:
                return "the process has not been started";
            case errc::already_started:
                return "the process has already been started";
            case errc::still_running:
                return "the process is still running: join or kill it first";
            case errc::unknown_target:
                return "the child cannot find the target function";
            case errc::version_mismatch:
                return "the other side is another build: if the program or a library has been "
                       "replaced since the program was started, start it anew";
            case errc::status_lost:
                return "exit status lost: somebody else reaped the child";
            case errc::too_many_releases:
                return "released more often than acquired";
            case errc::broken_barrier:
                return "the barrier is broken";
            case errc::not_supported:
                return "not supported here";
            case errc::child_failed:
                return "the child process has failed";
        }
        return "unknown error";
    }

    std::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<errc>(value)) {
            case errc::canceled:
                return std::errc::operation_canceled;
            case errc::timed_out:
                return std::errc::timed_out;
            case errc::would_block:
                return std::errc::operation_would_block;
            case errc::end_of_stream:
                return std::errc::broken_pipe;
            case errc::message_too_large:
                return std::errc::message_size;
            case errc::bad_message:
                return std::errc::bad_message;
            case errc::not_supported:
                return std::errc::not_supported;
            default:
                return {value, *this};
        }
    }
};

}  // namespace

const std::error_category& error_category() noexcept {
    static const category instance;
    return instance;
}

std::error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), error_category()}; }

struct error::note {
    std::string text;
    std::string child_type;
    std::string child_message;
    int child_pid = 0;
};

error::error(std::error_code code, std::string text)
    : code_(code), note_(std::make_shared<note>(note{std::move(text), {}, {}, 0})) {}

error error::from_child(std::error_code code, std::string type, std::string message, int pid) {
    std::string text = "in child process " + std::to_string(pid);
    error e(code);
    e.note_ =
        std::make_shared<note>(note{std::move(text), std::move(type), std::move(message), pid});
    return e;
}

std::string error::context() const {
    if (!note_) return {};
    std::string text = note_->text;
    for (const std::string* more : {&note_->child_type, &note_->child_message}) {
        if (!more->empty()) text += ": " + *more;
    }
    return text;
}

std::string error::message() const {
    std::string text = context();
    if (child_pid() != 0) return text;
    return text.empty() ? code_.message() : text + ": " + code_.message();
}

std::string_view error::child_type() const noexcept {
    return note_ ? std::string_view(note_->child_type) : std::string_view();
}

std::string_view error::child_message() const noexcept {
    return note_ ? std::string_view(note_->child_message) : std::string_view();
}

int error::child_pid() const noexcept { return note_ ? note_->child_pid : 0; }

error error::within(std::string_view step) const {
    note changed = note_ ? *note_ : note{};
    changed.text =
        changed.text.empty() ? std::string(step) : std::string(step) + ": " + changed.text;
    error e(code_);
    e.note_ = std::make_shared<note>(std::move(changed));
    return e;
}

namespace detail {

// system_error::what() puts the code's own message behind the text, so only the context is given.
void throw_failure(const error& e) {
    const std::string context = e.context();
    throw context.empty() ? std::system_error(e.code()) : std::system_error(e.code(), context);
}

}  // namespace detail

}  // namespace coproc
