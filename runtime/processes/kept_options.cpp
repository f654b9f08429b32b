#include "processes/kept_options.hpp"

#include <coproc/connection.hpp>

#include "words/system.hpp"

namespace coproc {

redirection redirection::to(const connection& end) noexcept {
    redirection made(end.fd());
    made.connection_ = true;
    return made;
}

}  // namespace coproc

namespace coproc::detail {

kept_options::kept_options(const process_options& given)
    : options_(given),
      variables_(given.environment.begin(), given.environment.end()),
      variable_views_(variables_.begin(), variables_.end()),
      cpus_(given.cpus.begin(), given.cpus.end()) {
    options_.environment = variable_views_;
    options_.cpus = cpus_;
    keep(options_.name, name_);
    keep(options_.working_directory, working_directory_);
    keep(options_.thread_name, thread_name_);
    keep(options_.standard_input, paths_[0], fds_[0]);
    keep(options_.standard_output, paths_[1], fds_[1]);
    keep(options_.standard_error, paths_[2], fds_[2]);
}

void kept_options::keep(std::string_view& text, std::string& as) {
    as = text;
    text = as;
}

void kept_options::keep(redirection& stream, std::string& path, unique_fd& fd) {
    keep(stream.path_, path);
    if (stream.what() != redirection::kind::descriptor) return;
    const bool closed = stream.is_connection() && stream.fd() < 0;
    auto own = closed ? result<unique_fd>(errc::closed) : system::duplicate(stream.fd());
    if (own) {
        fd = std::move(own).value();
        stream.fd_ = fd.get();
    } else if (!failure_) {
        failure_ =
            own.error().within(closed ? "a connection to redirect to"
                                      : "fd " + std::to_string(stream.fd()) + " to redirect to");
    }
}

result<void> kept_options::status() const {
    if (failure_) return *failure_;
    return success();
}

void kept_options::release_fds() noexcept {
    for (unique_fd& fd : fds_) fd.reset();
}

}  // namespace coproc::detail
