#pragma once
// The program and its shared libraries, as the dynamic loader sees them.

#include <coproc/result.hpp>

#include <cstdint>
#include <functional>
#include <string>

namespace coproc::detail {

/// The modules that are loaded now will be loaded in every child as well. Once, at the bootstrap.
void remember_modules();

}  // namespace coproc::detail
