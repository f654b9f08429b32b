#pragma once
// The first thing that a process does: find out whether it is a child, and if so, be one.

#include <optional>

namespace coproc::detail {

struct child_code {
    int code;
    bool quick_exit;  ///< leave by _exit
};

/// Empty if this process is nobody's child.
std::optional<child_code> bootstrap();

/// Flushes the streams, tells the parent and goes, without atexit functions.
[[noreturn]] void leave_quickly(int code);

}  // namespace coproc::detail
