#include "support/contract.hpp"

namespace coproc::testing {

std::vector<contract_entry>& contract_entries() {
    static std::vector<contract_entry> entries;
    return entries;
}

}  // namespace coproc::testing
