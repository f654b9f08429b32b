#pragma once
// Many coroutines of one loop waiting for the same thing, first come, first served.

#include <coproc/detail/operation.hpp>

#include <string>

namespace coproc::detail {

/// What a list's waiters wait for, in words.
class waited_for {
 public:
    // NOLINTNEXTLINE(google-explicit-constructor)
    waited_for(const char* words) noexcept
        : write_([](const void* of, std::string& into) { into += static_cast<const char*>(of); }),
          of_(words) {}
    /// Those of its describe(std::string&) at that moment. Lifetime: as long as the list.
    template <class Object>
    explicit waited_for(const Object& object) noexcept
        : write_([](const void* of, std::string& into) {
              static_cast<const Object*>(of)->describe(into);
          }),
          of_(&object) {}

    void describe(std::string& into) const { write_(of_, into); }

 private:
    void (*write_)(const void* of, std::string& into);
    const void* of_;
};

class wait_list {
    struct place {};

 public:
    wait_list() noexcept : wait_list("somebody else") {}
    explicit wait_list(waited_for what) noexcept : what_(what) {}

    /// Finishes when it is woken. Cancellation: leaves the list.
    class wait_op : public operation<wait_op>, private list_hook<place> {
     public:
        explicit wait_op(wait_list& list) noexcept : list_(&list) {}
        // NOLINTNEXTLINE(bugprone-use-after-move): only the base has been moved
        wait_op(wait_op&& other) noexcept : operation(std::move(other)), list_(other.list_) {}

     private:
        friend operation<wait_op>;
        friend class wait_list;
        friend class intrusive_list<wait_op, place>;

        result<void> start(loop&) {
            if (list_->open_) {
                finish(success());
            } else {
                list_->waiting_.push_back(*this);
            }
            return success();
        }
        void cancel() {
            list_hook<place>::unlink();
            finish(errc::canceled);
        }
        void describe(std::string& into) const { list_->what_.describe(into); }

        wait_list* list_;
    };

    bool empty() const noexcept { return waiting_.empty(); }
    wait_op wait() noexcept { return wait_op(*this); }

    /// Wakes the one that has waited longest. False if nobody waits.
    bool wake_one(const result<void>& outcome = success());
    void wake_all(const result<void>& outcome = success()) {
        while (wake_one(outcome)) continue;
    }
    /// Wakes all, and from now on nobody waits: what they waited for has happened for good.
    void open() {
        open_ = true;
        wake_all();
    }
    bool is_open() const noexcept { return open_; }
    /// Undoes open(): those who come from now on wait again.
    void shut() noexcept { open_ = false; }

 private:
    intrusive_list<wait_op, place> waiting_;
    waited_for what_;
    bool open_ = false;
};

}  // namespace coproc::detail
