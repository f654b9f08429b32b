#pragma once
// Messages that go to another process and back, one at a time.

#include "flow.hpp"

namespace coproc::bench {

/// The clock goes when the first trip, which waits for the other side's start, is over.
template <class Trip>
outcome timed(const flow& what, const Trip& trip) {
    std::vector<std::byte> message(what.size);
    std::vector<std::byte> answer(what.size);
    trip(message, answer);
    const std::int64_t begin = now_ns();
    for (std::uint64_t i = 1; i <= what.count; ++i) {
        mark(message, i);
        trip(message, answer);
        if (answer != message) return {0, "another message came back"};
    }
    return {1e-9 * static_cast<double>(now_ns() - begin) / static_cast<double>(what.count)};
}

/// The other side of `count` trips, and the one before them, in a forked process.
template <class Echo, class Trip>
outcome with_forked_echo(const flow& what, const Echo& echo, const Trip& trip) {
    const pid_t child = fork_worker([&] {
        std::vector<std::byte> message(what.size);
        for (std::uint64_t i = 0; i <= what.count; ++i) echo(message);
    });
    outcome measured = timed(what, trip);
    if (!all_end_well({&child, 1})) measured.failure = "the other side failed";
    return measured;
}

}  // namespace coproc::bench
