#include <coproc/log.hpp>

#include "words/system.hpp"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

namespace coproc {

namespace {

constexpr std::array names{"DEBUG", "INFO", "WARNING", "ERROR", "OFF"};
constexpr std::array spdlog_levels{spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                   spdlog::level::err, spdlog::level::off};

spdlog::level::level_enum to_spdlog(log_level level) {
    return spdlog_levels[static_cast<std::size_t>(level)];
}

log_level from_spdlog(spdlog::level::level_enum level) {
    for (std::size_t i = 0; i < spdlog_levels.size(); ++i) {
        if (spdlog_levels[i] == level) return static_cast<log_level>(i);
    }
    return log_level::off;
}

/// What is below it is dropped before spdlog is touched: in most children nobody ever logs, and
/// making a logger is a good part of what a child costs beyond its exec.
constinit std::atomic<log_level> lowest = log_level::off;

/// Never destroyed, as the logger.
std::string& process_name() {
    static std::string& name = *new std::string("MainProcess");
    return name;
}

/// Where the lines go: fd 2, the user's sink, or nowhere.
class destination final : public spdlog::sinks::base_sink<std::mutex> {
 public:
    void choose(log_sink chosen, bool to_stderr) {
        const std::lock_guard lock(mutex_);
        sink_ = std::move(chosen);
        to_stderr_ = to_stderr;
    }
    bool to_stderr() {
        const std::lock_guard lock(mutex_);
        return to_stderr_;
    }

 private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        const log_level level = from_spdlog(message.level);
        const std::string_view text(message.payload.data(), message.payload.size());
        if (sink_) sink_(level, text);
        if (!to_stderr_) return;
        std::string line;
        line.append("[").append(names[static_cast<std::size_t>(level)]).append("/");
        line.append(process_name()).append("] ").append(text).append("\n");
        system::write_to_stderr(line);
    }
    void flush_() override {}

    log_sink sink_;
    bool to_stderr_ = false;
};

/// A sink that logs would wait for the lock that it is called under: its lines are dropped.
class nested_log_guard {
 public:
    nested_log_guard() noexcept : nested_(std::exchange(logging_here, true)) {}
    nested_log_guard(const nested_log_guard&) = delete;
    nested_log_guard& operator=(const nested_log_guard&) = delete;
    ~nested_log_guard() { logging_here = nested_; }
    bool is_nested() const noexcept { return nested_; }

 private:
    static constinit inline thread_local bool logging_here = false;
    bool nested_;
};

struct logging {
    std::shared_ptr<destination> to = std::make_shared<destination>();
    spdlog::logger logger{"coproc", to};
    logging() { logger.set_level(spdlog::level::debug); }
};

/// Never destroyed: the last lines are written while the program's statics are being destroyed.
logging& instance() {
    static logging& made = *new logging;
    return made;
}

}  // namespace

void log_to_stderr(log_level level) {
    instance().to->choose(nullptr, true);
    lowest = level;
}

void log_to(log_sink sink, log_level level) {
    instance().to->choose(std::move(sink), false);
    lowest = level;
}

void log(log_level level, std::string_view text) {
    if (!log_enabled(level)) return;
    const nested_log_guard guard;
    if (guard.is_nested()) return;
    instance().logger.log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
}

bool log_enabled(log_level level) noexcept {
    return level != log_level::off && level >= lowest.load(std::memory_order_relaxed);
}

namespace detail {

log_settings current_log_settings() {
    if (lowest == log_level::off) return {log_level::off, false};
    const bool to_stderr = instance().to->to_stderr();
    return {to_stderr ? lowest.load() : log_level::off, to_stderr};
}

void apply(const log_settings& inherited) {
    lowest = inherited.level;
    if (inherited.to_stderr) instance().to->choose(nullptr, true);
}

void set_log_name(std::string name) { process_name() = std::move(name); }

}  // namespace detail

}  // namespace coproc
