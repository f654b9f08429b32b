#pragma once
// process_options for those who use them after the call that they were given to: with texts, lists
// and fds of their own.

#include <coproc/detail/unique_fd.hpp>
#include <coproc/process_options.hpp>
#include <coproc/result.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coproc::detail {

class kept_options {
 public:
    explicit kept_options(const process_options& given);
    kept_options(const kept_options&) = delete;
    kept_options& operator=(const kept_options&) = delete;

    /// Lifetime: this object.
    const process_options& get() const noexcept { return options_; }
    /// An fd that was given could not be duplicated.
    result<void> status() const;
    /// The redirections to fds lead nowhere from now on.
    void release_fds() noexcept;

 private:
    void keep(std::string_view& text, std::string& as);
    void keep(redirection& stream, std::string& path, unique_fd& fd);

    process_options options_;
    std::string name_;
    std::string working_directory_;
    std::string thread_name_;
    std::vector<std::string> variables_;
    std::vector<std::string_view> variable_views_;
    std::vector<int> cpus_;
    std::array<std::string, 3> paths_;
    std::array<unique_fd, 3> fds_;
    std::optional<error> failure_;
};

}  // namespace coproc::detail
