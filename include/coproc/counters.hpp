#pragma once
// What a runtime has done since it was made, for a metrics system:
//
//   const coproc::runtime_counters now = rt.counters();
//   gauge("tasks", now.tasks_spawned - now.tasks_ended);

#include <cstdint>

namespace coproc {

/// They only grow.
struct runtime_counters {
    std::uint64_t tasks_spawned = 0;  ///< coproc's own among them
    std::uint64_t tasks_ended = 0;
    std::uint64_t resumptions = 0;  ///< of coroutines, by the loop: its work

    std::uint64_t children_started = 0;
    std::uint64_t children_ended = 0;   ///< of these; and that has been handled
    std::uint64_t children_failed = 0;  ///< of these: in any other way than with success
    std::uint64_t starts_failed = 0;    ///< no child, or one that could not be told what to do
    std::uint64_t servers_started = 0;  ///< fork servers: more than 1 if one was lost or outdated
};

}  // namespace coproc
