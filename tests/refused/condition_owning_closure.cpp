// expect: name it first, then pass the name
// only: gcc<13
#include <coproc/condition.hpp>

#include <string>

coproc::task<coproc::result<void>> wait(coproc::condition c, std::string text) {
    auto held = (co_await c.acquire()).value();
    co_return co_await c.wait_for(held, [text] { return text.empty(); });
}
