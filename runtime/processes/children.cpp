#include "processes/children.hpp"

#include <coproc/log.hpp>
#include <coproc/scope.hpp>
#include <coproc/shield.hpp>

#include "engine/loop.hpp"
#include "processes/child.hpp"

#include <unistd.h>

#include <algorithm>

namespace coproc::detail {

children& children::instance() {
    // Never destroyed: children may be looked at until the very end of the process.
    static children& made = *new children;
    return made;
}

void children::add(std::shared_ptr<child> started) {
    const std::lock_guard lock(mutex_);
    all_.push_back(std::move(started));
}

void children::remove(const child& ended) {
    std::shared_ptr<child> last;  // released outside the lock
    const std::lock_guard lock(mutex_);
    const auto place = std::ranges::find(all_, &ended, [](const auto& held) { return held.get(); });
    if (place == all_.end()) return;
    last = std::move(*place);
    all_.erase(place);
}

bool children::has(::pid_t pid) {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(all_, [pid](const auto& one) { return one->pid() == pid; });
}

std::vector<process_info> children::active() {
    // Those that no loop watches any more are looked at here, or they would stay zombies.
    const ::pid_t me = ::getpid();
    for (const auto& one : watched_by(nullptr)) (void)one->current();
    const std::lock_guard lock(mutex_);
    std::vector<process_info> infos;
    infos.reserve(all_.size());
    for (const auto& one : all_) {
        if (one->pid() != 0 && one->is_wanted() && one->is_child_of(me))
            infos.push_back({one->name(), one->pid(), one->is_daemon()});
    }
    return infos;
}

std::vector<std::shared_ptr<child>> children::watched_by(const loop* home) {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<child>> found;
    std::ranges::copy_if(all_, std::back_inserter(found),
                         [&](const auto& one) { return one->home() == home; });
    return found;
}

std::vector<std::shared_ptr<child>> children::of(const loop& home) {
    auto found = watched_by(&home);
    std::erase_if(found, [me = ::getpid()](const auto& one) { return !one->is_child_of(me); });
    return found;
}

namespace {

/// The loop's end of the family.
class followed_loop final : public resident {
 public:
    explicit followed_loop(loop& home) noexcept : home_(&home) {}
    ~followed_loop() override { children::instance().leave(*home_); }
    task<void> end() override { return stop_children(std::chrono::seconds(5)); }

 private:
    loop* home_;
};

}  // namespace

void children::follow(loop& home) { home.resident_of<followed_loop>(); }

void children::leave(const loop& home) {
    for (const auto& one : watched_by(&home)) one->leave_loop();
}

namespace {

constexpr std::chrono::seconds daemon_grace{2};

// How it ended is the business of those who join it.
task<void> stop_one(std::shared_ptr<child> one, std::chrono::nanoseconds grace) {
    const auto ended = co_await child::stop(one, grace);
    if (!ended && ended.error() == errc::not_started) co_await child::terminate(one, grace);
}
task<void> join_one(std::shared_ptr<child> one) { (void)co_await child::wait_end(std::move(one)); }

using family = std::vector<std::shared_ptr<child>>;

task<result<void>> stop_all(const family& all, std::chrono::nanoseconds grace) {
    const auto body = [&](scope& stopping) -> task<result<void>> {
        for (const auto& one : all) stopping.spawn(stop_one, one, grace);
        co_return success();
    };
    co_return co_await with_scope(body);
}

task<result<void>> end_all(const family& all) {
    const auto body = [&](scope& ending) -> task<result<void>> {
        for (const auto& one : all) {
            if (!one->is_daemon()) continue;
            log(log_level::info, "calling terminate() for daemon " + one->name());
            ending.spawn(child::terminate, one, std::chrono::nanoseconds(daemon_grace));
        }
        for (const auto& one : all) {
            log(log_level::info, "calling join() for process " + one->name());
            if (!one->is_daemon()) ending.spawn(join_one, one);
        }
        co_return success();
    };
    co_return co_await with_scope(body);
}

}  // namespace

task<void> stop_children(std::chrono::nanoseconds grace) {
    const loop& home = (co_await current_scope()).home();
    family all;
    while (!(all = children::instance().of(home)).empty()) {
        (co_await shield(stop_all(all, grace))).value();
    }
}

task<void> end_children(std::chrono::nanoseconds grace) {
    const cancel_scope& scope = co_await current_scope();
    family all;
    while (!(all = children::instance().of(scope.home())).empty()) {
        // Who waits for a join takes a cancellation for the end of it.
        const auto ended = co_await end_all(all);
        if (ended && !scope.is_canceled()) continue;
        co_await stop_children(grace);
    }
}

}  // namespace coproc::detail
