#include <coproc/lock.hpp>

#include "shared/shared_object.hpp"
#include "support/catch.hpp"

#include <stop_token>
#include <string>
#include <thread>

TEST_CASE("shared objects: one may go away while another thread repairs and looks at them") {
    std::jthread others([](const std::stop_token& enough) {
        while (!enough.stop_requested()) {
            coproc::detail::repair_for(4711, coproc::detail::ending::failed, nullptr);
            std::string said;
            coproc::detail::describe_attached(said);
        }
    });
    int made = 0;
    for (int i = 0; i < 3000; ++i) made += coproc::lock::create().has_value() ? 1 : 0;
    CHECK(made == 3000);
}
