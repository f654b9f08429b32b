#pragma once
// Ambient cancellation: every coroutine runs in a scope, which it has from its awaiter; canceling
// a scope cancels all that is awaited in it and below it, now and from now on (level-triggered).
//
// Invariants: a canceled scope stays canceled, and so do all below it that are not shielded; a
// scope is destroyed after everything in it has ended. Loop thread only.

#include <coproc/detail/intrusive_list.hpp>

namespace coproc::detail {

class loop;
class cancel_scope;

/// A started operation as its scope sees it: something that can be hurried, once.
class pending : public list_hook<pending> {
 protected:
    using cancel_function = void (*)(pending&) noexcept;
    explicit pending(cancel_function cancel) noexcept : cancel_(cancel) {}

 private:
    friend class cancel_scope;
    cancel_function cancel_;
};

class cancel_scope : list_hook<cancel_scope> {
 public:
    /// A root: nothing above it cancels it.
    explicit cancel_scope(loop& owner) noexcept : loop_(&owner) {}

    enum class shielded { no, yes };
    /// Inside `parent`; a shielded scope is not canceled with it.
    // NOLINTNEXTLINE(google-explicit-constructor): a child, not a copy
    explicit cancel_scope(cancel_scope& parent, shielded shield = shielded::no) noexcept;

    bool is_canceled() const noexcept { return canceled_; }
    void cancel() noexcept;

    loop& home() const noexcept { return *loop_; }
    cancel_scope& root() noexcept { return parent_ == nullptr ? *this : parent_->root(); }

    /// `operation` is hurried when this scope is canceled, unless it has left before.
    void enter(pending& operation) noexcept { operations_.push_back(operation); }

 private:
    friend class intrusive_list<cancel_scope>;

    loop* loop_;
    cancel_scope* parent_ = nullptr;
    bool canceled_ = false;
    intrusive_list<cancel_scope> children_;
    intrusive_list<pending> operations_;
};

}  // namespace coproc::detail
