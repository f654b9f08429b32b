#pragma once
// The contract of acquire(), of whatever is acquired: the attempts find it held.

#include "support/contract.hpp"

#include <optional>
#include <utility>

namespace coproc::testing {

/// `make()` is a new one, whose guards are of type Guard.
template <auto make, class Guard>
class acquiring_under_contract : public operation_under_contract {
    task<void> set_up() override {
        lock_.emplace(make());
        held_.emplace(lock_->try_acquire().value());
        co_return;
    }
    task<result<void>> attempt() override {
        COPROC_CO_TRY(auto mine, co_await lock_->acquire());
        held_.emplace(std::move(mine));
        co_return success();
    }
    task<void> release() override {
        if (held_) held_->release().value();
        held_.reset();
        co_return;
    }
    task<void> tear_down() override {
        held_.reset();
        lock_.reset();
        co_return;
    }

    std::optional<decltype(make())> lock_;
    std::optional<Guard> held_;
};

}  // namespace coproc::testing
