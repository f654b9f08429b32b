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

namespace {

std::string end_of(const exit_status& status) {
    if (status.signal() == 0) return "exitcode " + std::to_string(status.code());
    const std::string name = detail::signal_name(status.signal());
    return name.starts_with("SIG") ? "signal " + name : name;
}

const char* name_of(process_limit limit) {
    switch (limit) {
        case process_limit::none:
            return "";
        case process_limit::cpu_time:
            return " (limit of CPU time)";
        case process_limit::address_space:
            return " (limit of address space)";
        case process_limit::open_files:
            return " (limit of open files)";
    }
    return "";
}

}  // namespace

std::string exit_status::to_string() const { return end_of(*this) + name_of(limit_); }

}  // namespace coproc
