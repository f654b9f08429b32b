#pragma once
// The examples' sleeps, which `tests/tour --pace` shortens.

#include <chrono>
#include <cstdlib>

/// `duration` times COPROC_TOUR_PACE, if that is set.
inline std::chrono::duration<double> pace(std::chrono::duration<double> duration) {
    const char* factor = std::getenv("COPROC_TOUR_PACE");
    return factor == nullptr ? duration : duration * std::atof(factor);
}
