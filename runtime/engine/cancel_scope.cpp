#include <coproc/detail/cancel_scope.hpp>

namespace coproc::detail {

cancel_scope::cancel_scope(cancel_scope& parent, shielded shield) noexcept
    : loop_(parent.loop_), parent_(&parent), is_shielded_(shield == shielded::yes) {
    canceled_ = parent.canceled_ && !is_shielded_;
    parent.children_.push_back(*this);
}

void cancel_scope::cancel() noexcept {
    if (canceled_) return;
    canceled_ = true;
    children_.for_each([](cancel_scope& child) {
        if (!child.is_shielded_) child.cancel();
    });
    // Canceling an operation resumes nobody, so no operation can come or go behind our back.
    // One that cannot end at once stays in the list until it does.
    operations_.for_each([](pending& one) { one.kind_->cancel(one); });
}

}  // namespace coproc::detail
