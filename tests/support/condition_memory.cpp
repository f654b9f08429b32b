#include "support/condition_memory.hpp"

#include "support/catch.hpp"
#include "words/system.hpp"

#include <set>

namespace coproc::testing {

using detail::condition_entry;
using detail::condition_layout;

namespace {

detail::region region_of(int fd) {
    auto file = system::duplicate(fd).value();
    return detail::region::open<condition_layout>(std::move(file), detail::region_kind::condition)
        .value();
}

detail::region region_of(const condition& of) {
    encoder handles;
    handles.put(of);
    return region_of(handles.fds().back());  // after its lock's
}

}  // namespace

condition_memory::condition_memory(int fd) : memory_(region_of(fd)) {}

condition_memory::condition_memory(const condition& of) : memory_(region_of(of)) {}

void condition_memory::check_whole() const {
    const condition_layout& now = memory();
    CHECK(now.changes == 0);
    std::set<std::uint64_t> numbers;
    std::uint64_t before = 0;
    std::uint64_t last_ticket = 0;
    std::uint64_t first_waiting = 0;
    for (auto number = now.oldest; number != 0; number = entry(number).next) {
        const condition_entry& one = entry(number);
        CHECK(numbers.insert(number).second);
        CHECK(one.who != 0);
        CHECK(one.previous == before);
        CHECK(one.ticket > last_ticket);
        if (one.ticket >= now.notified_below && first_waiting == 0) first_waiting = number;
        before = number;
        last_ticket = one.ticket;
    }
    CHECK(now.youngest == before);
    CHECK(now.first_waiting == first_waiting);
    CHECK(last_ticket < now.next_ticket);
    CHECK(now.notified_below <= now.next_ticket);
    for (auto number = now.free_entry; number != 0; number = entry(number).next) {
        CHECK(numbers.insert(number).second);
        CHECK(entry(number).who == 0);
    }
    CHECK(numbers.size() == now.entries_used);
}

std::vector<detail::participant> condition_memory::waiters() const {
    std::vector<detail::participant> all;
    for (auto number = memory().oldest; number != 0; number = entry(number).next) {
        all.push_back(entry(number).who);
    }
    return all;
}

std::vector<bool> condition_memory::notified() const {
    std::vector<bool> all;
    for (auto number = memory().oldest; number != 0; number = entry(number).next) {
        all.push_back(entry(number).ticket < memory().notified_below);
    }
    return all;
}

}  // namespace coproc::testing
