#pragma once
// Ambient cancellation: every coroutine runs in a scope, which it has from its awaiter; canceling
// a scope cancels all that is awaited in it and below it, now and from now on (level-triggered).
//
// Invariants: a canceled scope stays canceled, and so do all below it that are not shielded; a
// scope is destroyed after everything in it has ended. Loop thread only.

#include <coproc/detail/intrusive_list.hpp>

#include <string>

namespace coproc::detail {

class loop;
class cancel_scope;
class promise_base;

/// A started operation as its scope sees it: something that can be hurried, once.
class pending : public list_hook<pending> {
 public:
    /// Who waits for it.
    const promise_base* waiter() const noexcept { return waiter_; }
    /// Appends what it waits for.
    void describe(std::string& into) const { kind_->describe(*this, into); }

 protected:
    struct kind {
        void (*cancel)(pending&) noexcept;
        void (*describe)(const pending&, std::string&);
    };
    explicit pending(const kind& which) noexcept : kind_(&which) {}

    promise_base* waiter_ = nullptr;

 private:
    friend class cancel_scope;
    const kind* kind_;
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

    // What is going on in it.
    template <class F>
    void for_each_operation(F&& f) {
        operations_.for_each(f);
    }
    template <class F>
    void for_each_child(F&& f) {
        children_.for_each(f);
    }

 private:
    friend class intrusive_list<cancel_scope>;

    loop* loop_;
    cancel_scope* parent_ = nullptr;
    bool canceled_ = false;
    bool is_shielded_ = false;
    intrusive_list<cancel_scope> children_;
    intrusive_list<pending> operations_;
};

}  // namespace coproc::detail
