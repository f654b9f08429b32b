#include <coproc/supervise.hpp>

#include <coproc/shield.hpp>
#include <coproc/sleep.hpp>

#include "processes/child.hpp"
#include "processes/kept_options.hpp"

#include <algorithm>
#include <deque>
#include <optional>

namespace coproc {

std::string supervised_end::to_string() const {
    std::string text = name;
    if (pid != 0) text += " (pid " + std::to_string(pid) + ")";
    text += status ? " ended with " + status.value().to_string() : ": " + status.error().message();
    switch (next) {
        case next_step::restart: {
            const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(pause);
            return text + ": restart " + std::to_string(restarts + 1) + " in " +
                   std::to_string(wait.count()) + " ms";
        }
        case next_step::done:
            return text;
        case next_step::give_up:
            return text + ": given up after " + std::to_string(restarts) + " restarts";
        case next_step::stop:
            return text + ": stopped";
    }
    return text;
}

}  // namespace coproc

namespace coproc::detail {

namespace {

/// One of many starts with the same target and arguments.
class repeated_request final : public start_request {
 public:
    explicit repeated_request(shared_request what)
        : start_request(what->record()), what_(std::move(what)) {}
    void encode(encoder& into) const override { what_->encode(into); }

 private:
    shared_request what_;
};

/// The options, for as long as the generator lives.
class plan {
 public:
    explicit plan(const supervise_options& given)
        : options_(given), process_(std::make_shared<const kept_options>(given.process)) {}

    const supervise_options& options() const noexcept { return options_; }
    std::shared_ptr<child> make_child(const shared_request& what) const {
        return std::make_shared<child>(process_->get(), std::make_unique<repeated_request>(what));
    }
    bool ends_with(const result<exit_status>& status) const {
        return options_.when == restart::on_failure && status && status.value().success();
    }

 private:
    supervise_options options_;
    std::shared_ptr<const kept_options> process_;
};

/// How long to wait before each restart, and how often.
class back_off {
 public:
    explicit back_off(const supervise_options& options)
        : options_(&options), pause_(options.first_pause) {}

    /// For a process that has ended now; empty if it has been restarted often enough.
    std::optional<std::chrono::nanoseconds> pause_after(clock::duration life) {
        if (life >= options_->healthy_after) pause_ = options_->first_pause;
        const auto pause = std::min(pause_, options_->longest_pause);
        const auto when = time_after(pause);
        std::erase_if(restarts_, [&](auto before) { return when - before >= options_->period; });
        if (std::ssize(restarts_) >= options_->max_restarts) return std::nullopt;
        restarts_.push_back(when);
        pause_ = pause > options_->longest_pause / 2 ? options_->longest_pause : 2 * pause;
        return pause;
    }

 private:
    const supervise_options* options_;
    std::chrono::nanoseconds pause_;
    std::deque<clock::time_point> restarts_;  // within the last period
};

/// From start to end; canceled in between, the process is stopped.
task<result<exit_status>> live(std::shared_ptr<child> one, std::chrono::nanoseconds grace) {
    COPROC_CO_TRY(co_await child::start(one));
    auto ended = co_await child::join(one);
    if (one->end()) co_return ended;
    co_return co_await shield(child::stop(one, grace));
}

generator<supervised_end> keep_running(plan how, shared_request what) {
    using step = supervised_end::next_step;
    back_off pauses(how.options());
    for (int restarts = 0;; ++restarts) {
        const std::shared_ptr<child> one = how.make_child(what);
        const auto began = clock::now();
        auto status = co_await live(one, how.options().grace);
        const auto ended = clock::now();
        const cancel_scope& scope = co_await current_scope();
        if (scope.is_canceled() && one->pid() == 0) co_return;
        supervised_end end{one->name(), std::move(status), one->pid(), restarts, step::stop};
        if (!scope.is_canceled()) {
            const bool is_done = how.ends_with(end.status);
            const auto pause = is_done ? std::nullopt : pauses.pause_after(ended - began);
            end.next = is_done ? step::done : pause ? step::restart : step::give_up;
            end.pause = pause.value_or(std::chrono::nanoseconds(0));
        }
        const auto when = time_after(end.pause);
        co_yield end;
        if (end.next != step::restart) co_return;
        if (!co_await sleep_until(when)) co_return;
    }
}

}  // namespace

generator<supervised_end> keep_running(const supervise_options& options, shared_request what) {
    return keep_running(plan(options), std::move(what));
}

}  // namespace coproc::detail
