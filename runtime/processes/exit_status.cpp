#include <coproc/exit_status.hpp>

#include <cstring>

namespace coproc {

namespace detail {

std::string signal_name(int signal) {
    const char* name = ::sigabbrev_np(signal);
    return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(signal);
}

}  // namespace detail

void exit_status::set_exception(std::string type, std::string message, std::error_code failure) {
    exception_type_ = std::move(type);
    exception_message_ = std::move(message);
    failure_ = failure;
}

std::string exit_status::to_string() const {
    if (signal() != 0) {
        const std::string name = detail::signal_name(signal());
        return name.starts_with("SIG") ? "signal " + name : name;
    }
    return "exitcode " + std::to_string(code_);
}

}  // namespace coproc
