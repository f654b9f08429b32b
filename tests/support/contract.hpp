#pragma once
// The contract of everything that is awaited on the outside world, as five checks that
// operation_contract_test.cpp makes of every operation that any test file has registered:
//
//   class recv_under_contract : public coproc::testing::operation_under_contract { … };
//   const coproc::testing::contract_row<recv_under_contract> recv_row("connection::recv");

#include <coproc/result.hpp>
#include <coproc/task.hpp>

#include <memory>
#include <string>
#include <vector>

namespace coproc::testing {

/// An operation and the world that it waits for. Each check makes a new one, with a runtime of its
/// own, and calls set_up, then any number of attempts one after the other, then tear_down.
class operation_under_contract {
 public:
    virtual ~operation_under_contract() = default;

    /// Makes what the operation needs; not canceled.
    virtual task<void> set_up() { co_return; }
    /// Awaits the operation once; what came of it, without its value.
    virtual task<result<void>> attempt() = 0;
    /// Makes an attempt that is pending, or the next one, finish with success. Called once for each
    /// attempt that is to succeed.
    virtual task<void> release() { co_return; }
    /// Ends what set_up has begun.
    virtual task<void> tear_down() { co_return; }

    /// The call (of the fault hook) whose refusal makes a start fail; none if it cannot fail.
    virtual const char* start_call() const { return nullptr; }
    /// One that has begun may be impossible to stop: then canceling waits for release().
    virtual bool can_be_stopped() const { return true; }
    /// ThreadSanitizer cannot follow a program that starts processes.
    virtual bool has_processes() const { return false; }
};

struct contract_entry {
    std::string name;
    std::unique_ptr<operation_under_contract> (*make)();
};

/// All rows, in no particular order.
std::vector<contract_entry>& contract_entries();

/// As a global constant: registers Row.
template <class Row>
class contract_row {
 public:
    explicit contract_row(std::string name) {
        contract_entries().push_back(
            {std::move(name), [] { return std::unique_ptr<operation_under_contract>(new Row()); }});
    }
};

}  // namespace coproc::testing
