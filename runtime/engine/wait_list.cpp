#include <coproc/detail/wait_list.hpp>

namespace coproc::detail {

// Not in the header: inlined into a caller, the copy of the outcome makes GCC 12 warn of
// uninitialized memory that nobody reads.
bool wait_list::wake_one(const result<void>& outcome) {
    wait_op* first = waiting_.pop_front();
    if (first != nullptr) first->finish(outcome);
    return first != nullptr;
}

}  // namespace coproc::detail
