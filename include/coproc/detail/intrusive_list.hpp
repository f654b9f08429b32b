#pragma once
// A doubly linked list whose links live in its elements: no allocation, and an element that is
// destroyed or unlinked leaves whichever list it is in, in constant time.

#include <cassert>

namespace coproc::detail {

/// `Tag` tells the hooks of a class apart that is in several lists at once.
template <class Tag>
class list_hook {
 public:
    list_hook() = default;
    list_hook(const list_hook&) = delete;
    list_hook& operator=(const list_hook&) = delete;
    ~list_hook() { unlink(); }

    bool is_linked() const noexcept { return next_ != nullptr; }

    void unlink() noexcept {
        if (next_ == nullptr) return;
        prev_->next_ = next_;
        next_->prev_ = prev_;
        next_ = prev_ = nullptr;
    }

 private:
    template <class, class>
    friend class intrusive_list;

    list_hook* next_ = nullptr;
    list_hook* prev_ = nullptr;
};

/// Elements derive from list_hook<Tag>. A list does not own its elements and is never moved.
template <class T, class Tag = T>
class intrusive_list {
    using hook_type = list_hook<Tag>;

 public:
    intrusive_list() noexcept { end_.next_ = end_.prev_ = &end_; }
    ~intrusive_list() { assert(empty()); }

    bool empty() const noexcept { return end_.next_ == &end_; }
    T& front() noexcept { return static_cast<T&>(*end_.next_); }

    void push_back(T& element) noexcept {
        hook_type& hook = element;
        assert(!hook.is_linked());
        hook.prev_ = end_.prev_;
        hook.next_ = &end_;
        end_.prev_->next_ = &hook;
        end_.prev_ = &hook;
    }

    /// Unlinks and returns the first element, or nullptr.
    T* pop_front() noexcept {
        if (empty()) return nullptr;
        T& first = front();
        static_cast<hook_type&>(first).unlink();
        return &first;
    }

    /// Takes all of `other`'s elements, behind ours.
    void splice_back(intrusive_list& other) noexcept {
        while (T* element = other.pop_front()) push_back(*element);
    }

    /// Calls f with every element; f may unlink the one it was called with, and no other.
    template <class F>
    void for_each(F&& f) {
        for (hook_type* hook = end_.next_; hook != &end_;) {
            hook_type* next = hook->next_;
            f(static_cast<T&>(*hook));
            hook = next;
        }
    }

 private:
    hook_type end_;
};

}  // namespace coproc::detail
