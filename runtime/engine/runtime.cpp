#include <coproc/runtime.hpp>

#include "engine/loop.hpp"

#include <functional>

namespace coproc {

namespace detail {

void root::enter() noexcept { number_ = scope_.home().enter(*this); }

void root::leave() noexcept {
    scope_.home().leave(*this);
    ended_.open();
}

}  // namespace detail

runtime::runtime(std::unique_ptr<detail::loop> made) noexcept
    : runtime_ref(*made), owned_(std::move(made)) {}
runtime::runtime(runtime&&) noexcept = default;
runtime& runtime::operator=(runtime&&) noexcept = default;
runtime::~runtime() = default;

result<runtime> runtime::create() { return create(nullptr); }

result<runtime> runtime::create(uv_loop_s* host) {
    COPROC_TRY(auto made, detail::loop::create(host));
    return runtime(std::move(made));
}

void runtime::turn() { owned_->turn(); }

void runtime::after_run() noexcept { owned_->ring(); }

int runtime::fd() const noexcept { return owned_->fd(); }

std::optional<std::chrono::milliseconds> runtime::next_timeout() const noexcept {
    return owned_->next_timeout();
}

void runtime::run_ready() { owned_->run_ready(); }

uv_loop_s* runtime::uv_loop() const noexcept { return owned_->uv(); }

void runtime_ref::post_item(std::unique_ptr<detail::posted> work) const {
    loop_->post(std::move(work));
}

runtime_counters runtime_ref::counters() const noexcept { return loop_->counted(); }

task<result<void>> runtime_ref::shutdown() const {
    detail::loop& home = *loop_;
    detail::cancel_scope& mine = co_await detail::current_scope();
    const auto is_self = [&](detail::root& task) { return &task.scope() == &mine.root(); };
    if (detail::root* self = home.find_task(is_self)) self->begins_shutdown();
    // Its own wait must not be canceled: the caller counts on the others' end.
    detail::cancel_scope shield(mine, detail::cancel_scope::shielded::yes);
    co_await detail::enter_scope(shield);
    while (detail::root* other = home.find_task(std::mem_fn(&detail::root::ends_in_shutdown))) {
        other->scope().cancel();
        (co_await other->ended().wait()).value();
    }
    co_await home.end_residents();
    co_await detail::enter_scope(mine);
    co_return success();
}

}  // namespace coproc
