#include "processes/children.hpp"

#include <coproc/log.hpp>
#include <coproc/scope.hpp>
#include <coproc/shield.hpp>

#include "processes/child.hpp"

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

std::vector<process_info> children::active() {
    const std::lock_guard lock(mutex_);
    std::vector<process_info> infos;
    infos.reserve(all_.size());
    for (const auto& one : all_) infos.push_back({one->name(), one->pid(), one->is_daemon()});
    return infos;
}

std::vector<std::shared_ptr<child>> children::of(const loop& home) {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<child>> found;
    std::ranges::copy_if(all_, std::back_inserter(found),
                         [&](const auto& one) { return one->home() == &home; });
    return found;
}

namespace {

constexpr std::chrono::seconds daemon_grace{2};

// How it ended is the business of those who join it.
task<void> stop_one(std::shared_ptr<child> one, std::chrono::nanoseconds grace) {
    (void)co_await child::stop(std::move(one), grace);
}
task<void> join_one(std::shared_ptr<child> one) { (void)co_await child::join(std::move(one)); }

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
            ending.spawn(stop_one, one, std::chrono::nanoseconds(daemon_grace));
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
        if (const auto ended = co_await end_all(all); ended) continue;
        co_await stop_children(grace);
    }
}

}  // namespace coproc::detail
