#pragma once
// Raw bytes, as connections and encoders carry them.

#include <cstddef>
#include <vector>

namespace coproc {

using bytes = std::vector<std::byte>;

}  // namespace coproc
