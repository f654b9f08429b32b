#pragma once
// Where and how a child runs: its streams, surroundings and limits. The parent checks and opens
// what it can, so that start() says what is wrong; the rest travels in the bootstrap, and the child
// does it in ordinary code, the same for every start method.

#include <coproc/codec.hpp>
#include <coproc/detail/unique_fd.hpp>
#include <coproc/exit_status.hpp>
#include <coproc/process_options.hpp>
#include <coproc/result.hpp>

#include "processes/launch_linux.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace coproc::detail {

/// Part of the bootstrap; the fds are attached to that in the order of the members.
struct placement {
    enum class stream : std::uint8_t { inherited, attached, output };

    leading leads;
    bool has_directory;  ///< attached
    std::vector<std::string> environment;
    bool clear_environment;
    std::optional<unsigned> umask;
    std::string thread_name;
    std::array<stream, 3> streams;
    std::optional<int> nice;
    std::vector<int> cpus;
    process_limits limits;
};

/// In the parent. What is attached to the message stays in `opened` until that has been sent.
/// Errors: std::errc::invalid_argument for an option out of its range; what opening refuses.
result<placement> prepare_placement(const process_options& options, encoder& message,
                                    std::vector<unique_fd>& opened);

/// In the child: leads what it is to lead, if it does not already.
result<void> take_lead(const placement& where);
/// In the child, before anything else of the message is decoded. An error names the option.
result<void> take_place(const placement& where, decoder& message);

/// A child with little memory keeps some for its last words. Thread-safe.
void release_memory_reserve() noexcept;

/// What the end tells of the limits that the process had; see exit_status::limit.
process_limit limit_reached(const process_limits& limits, const exit_status& end,
                            bool killed_by_us) noexcept;

}  // namespace coproc::detail
