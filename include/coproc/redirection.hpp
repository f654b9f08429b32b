#pragma once
// Where a child's stdin, stdout or stderr leads:
//
//   coproc::process p({.standard_output = coproc::redirection::append("work.log"),
//                      .standard_error = coproc::redirection::to_output()}, work);

#include <string_view>

namespace coproc {

class connection;
namespace detail {
class kept_options;
}

/// A view, as the other options: files are opened by each start(), in the parent, relative to its
/// working directory and with its rights and umask; of an fd a duplicate is taken at once, when the
/// process is constructed, and given up when it has been started or closed.
class redirection {
 public:
    enum class kind { inherit, null, read, write, append, descriptor, output };

    /// The parent's; /dev/null if it has closed its own, or keeps it to itself (close-on-exec).
    constexpr redirection() noexcept = default;

    /// Nothing to read; what is written is gone.
    static constexpr redirection null() noexcept { return redirection(kind::null); }
    /// A file, or another thing that open() takes, to be read.
    static constexpr redirection read(std::string_view path) noexcept {
        return redirection(kind::read, path);
    }
    /// A file, created (0666 and the umask) or emptied. A named pipe needs a reader:
    /// ENXIO otherwise.
    static constexpr redirection write(std::string_view path) noexcept {
        return redirection(kind::write, path);
    }
    /// A file, created if it is not there; what is written comes behind what others have written.
    static constexpr redirection append(std::string_view path) noexcept {
        return redirection(kind::append, path);
    }
    /// An fd of this process, which stays the caller's. Its O_NONBLOCK is left as it is, and most
    /// programs cannot deal with it.
    static constexpr redirection to(int fd) noexcept { return redirection(fd); }
    /// An end of a pipe, which stays the caller's, to be closed: until then the other end does not
    /// see that the child has ended. What the child writes are bare bytes, no messages:
    /// recv_some() of the other end reads them, and send_some() writes what it reads.
    static redirection to(const connection& end) noexcept;
    /// For standard_error alone: where standard_output leads.
    static constexpr redirection to_output() noexcept { return redirection(kind::output); }

    constexpr kind what() const noexcept { return what_; }
    /// Of read, write and append.
    constexpr std::string_view path() const noexcept { return path_; }
    /// Of descriptor.
    constexpr int fd() const noexcept { return fd_; }
    /// A connection's: made blocking for the child, as stdio needs it.
    constexpr bool is_connection() const noexcept { return connection_; }

 private:
    friend class detail::kept_options;
    constexpr explicit redirection(kind what, std::string_view path = {}) noexcept
        : what_(what), path_(path) {}
    constexpr explicit redirection(int fd) noexcept : what_(kind::descriptor), fd_(fd) {}

    kind what_ = kind::inherit;
    bool connection_ = false;
    int fd_ = -1;
    std::string_view path_;
};

}  // namespace coproc
