#include <coproc/detail/cancel_scope.hpp>

namespace coproc::detail {

cancel_scope::cancel_scope(cancel_scope& parent, shielded shield) noexcept
    : loop_(parent.loop_), parent_(&parent) {
    if (shield == shielded::yes) return;
    canceled_ = parent.canceled_;
    parent.children_.push_back(*this);
}

void cancel_scope::cancel() noexcept {
    if (canceled_) return;
    canceled_ = true;
    children_.for_each([](cancel_scope& child) { child.cancel(); });
    // Canceling an operation resumes nobody, so no operation can come or go behind our back.
    while (pending* operation = operations_.pop_front()) operation->cancel_(*operation);
}

}  // namespace coproc::detail
