#pragma once
// Where code and constants are, said so that another process of the same program finds them, at
// whatever addresses its modules are loaded.

#include <coproc/result.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace coproc::detail {

/// A place in the program or one of its libraries, in any process that runs the same files.
struct code_place {
    std::string module;    ///< empty: the program itself
    std::string build_id;  ///< of the module; empty if it has none
    std::uint64_t offset;  ///< from where the module is loaded
};

/// Errors: errc::unknown_target, with the module's file name, for a library that a child would not
/// have loaded, or that cannot be told from another build.
result<code_place> place_of(const void* address);
/// Errors: errc::unknown_target if the module is not loaded or has no code there;
/// errc::version_mismatch if it is another build.
result<const void*> function_at(const code_place& place);
/// The same for `size` bytes of constants.
result<const void*> constant_at(const code_place& place, std::size_t size);

}  // namespace coproc::detail
