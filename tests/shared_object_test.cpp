#include <coproc/lock.hpp>

#include "shared/shared_object.hpp"
#include "support/catch.hpp"

#include <atomic>
#include <string>
#include <thread>

TEST_CASE("shared objects: one may go away while another thread repairs and looks at them") {
    std::atomic<bool> enough = false;
    std::thread others([&] {
        while (!enough) {
            coproc::detail::repair_for(4711, coproc::detail::ending::failed, nullptr);
            std::string said;
            coproc::detail::describe_attached(said);
        }
    });
    int made = 0;
    for (int i = 0; i < 3000; ++i) made += coproc::lock::create().has_value() ? 1 : 0;
    enough = true;
    others.join();
    CHECK(made == 3000);
}
