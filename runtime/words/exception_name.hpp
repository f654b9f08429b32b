#pragma once

#include <string>

namespace coproc::detail {

/// The readable type of the exception that is being handled, also of one from another language.
std::string name_of_current_exception();

}  // namespace coproc::detail
