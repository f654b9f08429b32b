// What the processes of a family say to each other on the control socket, and how lies what they
// share.

#include "processes/control.hpp"
#include "channels/queue_layout.hpp"
#include "shared/region.hpp"
#include "support/catch.hpp"
#include "sync/barrier_object.hpp"
#include "sync/condition_object.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace {

namespace control = coproc::detail::control;
using coproc::detail::code_place;
using coproc::detail::leading;
using coproc::detail::placement;
using coproc::detail::record_place;

placement some_place() {
    return {leading::group,
            true,
            {"A=1", "B"},
            false,
            022U,
            "thread",
            {placement::stream::inherited, placement::stream::attached, placement::stream::output},
            -5,
            {0, 7},
            {.address_space = 1U << 29U, .cpu_seconds = 10, .open_files = 64}};
}

/// One of each, in which every member says something else.
coproc::encoder all_messages() {
    const code_place place{"module", "build-id", 4711};
    coproc::encoder all;
    control::put_protocol(all);
    all.put(control::bootstrap{"name", "1:2", "parent", 11, true, false, true, 2, true,
                               record_place{place, 12}, some_place()});
    all.put(control::report{1, true, "type", "message", 13, true});
    all.put(control::birth{14});
    all.put(control::service{place, true, true});
    all.put(control::request{15, 5});
    all.put(control::answer{16, 17, 18, true, "reason"});
    all.put(control::hello{19});
    return all;
}

/// FNV-1a
std::uint64_t hash(const coproc::bytes& of) {
    std::uint64_t value = 0xcbf29ce484222325;
    for (const std::byte one : of) value = (value ^ std::to_integer<unsigned>(one)) * 0x100000001b3;
    return value;
}

}  // namespace

TEST_CASE("control: messages that are laid out anew get the protocol another number") {
    INFO(
        "what the messages look like has changed: so the protocol needs another number, if this "
        "one has been in a release, and the hash here another value");
    CHECK(control::protocol == std::string("coproc protocol 1"));
    CHECK(hash(all_messages().to_bytes()) == 0x1545bbce1b463938);
}

TEST_CASE("control: what is shared and is laid out anew gets the layout another number") {
    using namespace coproc::detail;
    INFO(
        "what lies in regions has changed: so the layout needs another number in region.cpp, if "
        "this one has been in a release, and the sizes here others");
    CHECK(region::create(region_kind::memory, 4096).value().as<region_head>().layout == 1);
    const std::array sizes{sizeof(region_head),    sizeof(object_head),     sizeof(shared_head),
                           sizeof(queue_block),    sizeof(queue_cell),      sizeof(queue_record),
                           sizeof(put_state),      sizeof(get_state),       sizeof(queue_layout),
                           sizeof(barrier_layout), sizeof(condition_layout)};
    CHECK(sizes ==
          std::array<std::size_t, 11>{32, 2240, 76416, 16, 72, 8, 56, 48, 77120, 125568, 600768});
}
