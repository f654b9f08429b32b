#pragma once
// A look at a condition's memory from beside it.

#include <coproc/condition.hpp>

#include "sync/condition_object.hpp"

#include <vector>

namespace coproc::testing {

class condition_memory {
 public:
    explicit condition_memory(int fd);
    explicit condition_memory(const condition& of);

    const detail::condition_layout& memory() const {
        return memory_.as<detail::condition_layout>();
    }
    /// Checks the invariants of condition_object.hpp.
    void check_whole() const;
    /// Of the entries that are left, the oldest first: whose is it?
    std::vector<detail::participant> waiters() const;
    /// And is it notified?
    std::vector<bool> notified() const;

 private:
    const detail::condition_entry& entry(std::uint64_t number) const {
        return memory().entries[number - 1];
    }

    detail::region memory_;
};

}  // namespace coproc::testing
