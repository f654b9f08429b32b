#pragma once
// What all contenders for a flow of messages have in common: numbered messages and their check.

#include "workers.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace coproc::bench {

struct flow {
    std::uint64_t producers;
    std::uint64_t consumers;
    std::uint64_t size;
    std::uint64_t count;  ///< messages of all producers; a multiple of their number

    std::uint64_t each() const noexcept { return count / producers; }
};

/// So many bytes of messages wait at most, where a queue has such a limit.
inline constexpr std::size_t memory = std::size_t{16} << 20U;

using message_view = std::span<const std::byte>;

inline constexpr std::uint64_t stop_number = UINT64_MAX;

inline std::uint64_t number_of(std::uint64_t producer, std::uint64_t i) {
    return producer << 56U | i;
}

/// The number stands at both ends, so that half a message is not taken for a whole one.
inline void mark(std::span<std::byte> message, std::uint64_t number) {
    std::memcpy(message.data(), &number, sizeof number);
    std::memcpy(message.data() + message.size() - sizeof number, &number, sizeof number);
}

/// What one consumer has seen.
struct tally {
    std::uint64_t messages = 0;
    std::uint64_t sum = 0;
    std::uint64_t wrong = 0;
    std::uint64_t stops = 0;
    std::int64_t end = 0;
    std::array<std::uint64_t, 8> next{};

    void take(message_view message, std::uint64_t size) {
        std::uint64_t number = 0;
        std::uint64_t again = 1;
        if (message.size() == size) {
            std::memcpy(&number, message.data(), sizeof number);
            std::memcpy(&again, message.data() + size - sizeof number, sizeof number);
        }
        if (number == stop_number) {
            ++stops;
            return;
        }
        const std::uint64_t producer = number >> 56U;
        const bool is_right = number == again && producer < next.size() && number >= next[producer];
        if (is_right) next[producer] = number + 1;
        wrong += is_right ? 0 : 1;
        ++messages;
        sum += number;
    }
};

inline outcome judge(const flow& what, std::int64_t begin, std::span<const tally> consumers) {
    tally all;
    for (const tally& one : consumers) {
        all.messages += one.messages;
        all.sum += one.sum;
        all.wrong += one.wrong;
        all.end = std::max(all.end, one.end);
    }
    for (std::uint64_t producer = 0; producer < what.producers; ++producer) {
        for (std::uint64_t i = 0; i < what.each(); ++i) all.sum -= number_of(producer, i);
    }
    if (all.wrong != 0) return {0, "out of order, or not what was sent"};
    if (all.messages != what.count) return {0, "lost or duplicated messages"};
    if (all.sum != 0) return {0, "other messages than were sent"};
    return {1e-9 * static_cast<double>(all.end - begin) / static_cast<double>(what.count)};
}

/// A Peer is made before the fork and has
///   sender(flow, index)      with send(message_view), in the process of that producer
///   receiver(flow, index)    with receive(std::span<std::byte>), which says how many bytes came
///   one_queue                whether all consumers take from one queue
template <class Peer>
outcome run_flow(const flow& what) {
    Peer peer(what);
    const start_line line;
    // ZeroMQ loses what is on its way when a producer ends first.
    const finish_line finish;
    const forked_memory<std::array<tally, 8>> tallies;
    // Every consumer needs as many stops as there are producers that send it some.
    const std::uint64_t stops = Peer::one_queue ? 1 : what.consumers;
    const std::uint64_t needed = Peer::one_queue ? what.producers / what.consumers : what.producers;
    std::vector<pid_t> workers;
    for (std::uint64_t index = 0; index < what.consumers; ++index) {
        workers.push_back(fork_worker([&] {
            decltype(auto) from = peer.receiver(what, index);
            tally& mine = (*tallies)[index];
            std::vector<std::byte> message(what.size);
            line.wait();
            while (mine.stops < needed) {
                const std::size_t size = from.receive(message);
                mine.take(message_view(message).first(size), what.size);
            }
            mine.end = now_ns();
        }));
    }
    for (std::uint64_t index = 0; index < what.producers; ++index) {
        workers.push_back(fork_worker([&] {
            decltype(auto) to = peer.sender(what, index);
            std::vector<std::byte> message(what.size);
            line.wait();
            for (std::uint64_t i = 0; i < what.each(); ++i) {
                mark(message, number_of(index, i));
                to.send(message);
            }
            mark(message, stop_number);
            for (std::uint64_t i = 0; i < stops; ++i) to.send(message);
            finish.wait();
        }));
    }
    finish.leave();
    const std::int64_t begin = line.go(workers.size());
    if (!all_end_well(workers)) return {0, "a worker failed"};
    return judge(what, begin, std::span(*tallies).first(what.consumers));
}

}  // namespace coproc::bench
