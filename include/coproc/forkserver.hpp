#pragma once
// The fork server: what start_method::forkserver clones children from. It is a clean copy of the
// program with nothing but what main() has done before run() or run_if_child(); made with the first
// process that a runtime starts, and anew when it has died, or when this program has other
// privileges than before.
//
//   coproc::set_forkserver_preload([] { dictionary::load(); });   // children find it loaded

#include <coproc/result.hpp>

namespace coproc {

/// `function` is called once in each fork server that is made from now on; what it leaves in memory
/// and open, its children share (copy-on-write). nullptr: none. A runtime has one fork server.
/// If it throws or leaves a thread running, processes are spawned instead, which is logged.
/// Requires: called before other threads start processes.
/// Errors: errc::unknown_target for a function of a library that a child would not have loaded.
result<void> set_forkserver_preload(void (*function)());

}  // namespace coproc
