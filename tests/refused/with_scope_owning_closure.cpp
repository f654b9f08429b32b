// expect: name it first, then pass the name
// only: gcc<13
#include <coproc/scope.hpp>

#include <string>

coproc::task<coproc::result<void>> work(std::string text) {
    co_return co_await coproc::with_scope(
        [text](coproc::scope&) -> coproc::task<void> { co_return; });
}
