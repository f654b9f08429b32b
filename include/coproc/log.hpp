#pragma once
// What coproc says of itself, in the form of Python's multiprocessing:
//
//   coproc::log_to_stderr(coproc::log_level::debug);
//   [INFO/process 0] child process calling its target
//
// Nothing is logged until a destination is given. Children inherit level and destination (a sink
// of your own stays in its process: a child of it logs to nowhere). Every line is one write, so
// that lines of several processes do not tear each other (on a pipe, lines of up to 4096 bytes).
// All functions are thread-safe.

#include <functional>
#include <string>
#include <string_view>

namespace coproc {

/// debug: each step; info: processes start, end and are ended; warning: fallbacks, lost statuses;
/// error: failures that nobody else is told of.
enum class log_level : int { debug, info, warning, error, off };

/// Lines from `level` on go to fd 2. Called again it changes the level; it adds no second line.
void log_to_stderr(log_level level = log_level::info);

/// Called with the level and the text, without prefix or newline, from any thread, one at a time.
/// What a sink itself logs is dropped.
/// Lifetime: what it refers to, until it is replaced. coproc::run logs after its function has
/// returned, so that is nothing of that function's.
using log_sink = std::function<void(log_level, std::string_view)>;
/// Lines from `level` on go to `sink`, and nowhere else.
void log_to(log_sink sink, log_level level = log_level::info);

/// Logs `text` as coproc does; for your own lines among them.
void log(log_level level, std::string_view text);

/// Would a line of `level` go anywhere?
bool log_enabled(log_level level) noexcept;

namespace detail {

/// What a child inherits.
struct log_settings {
    log_level level = log_level::off;
    bool to_stderr = false;
};
log_settings current_log_settings();
void apply(const log_settings& inherited);

/// The process's name in the prefix; set before there are threads.
void set_log_name(std::string name);

}  // namespace detail

}  // namespace coproc
