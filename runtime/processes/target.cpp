#include <coproc/detail/target.hpp>

namespace coproc::detail {

namespace {

/// What is looked at may be anything in the program, also what a sanitizer has fenced off.
__attribute__((no_sanitize("address"))) std::uint64_t magic_of(const target_record& perhaps) {
    return perhaps.magic;
}

}  // namespace

result<record_place> place_of(const target_record& record) {
    COPROC_TRY(auto place, place_of(static_cast<const void*>(&record)));
    return record_place{std::move(place), record.type->hash_code()};
}

result<const target_record*> record_at(const record_place& place) {
    COPROC_TRY(const void* address, constant_at(place.place, sizeof(target_record)));
    const auto* record = static_cast<const target_record*>(address);
    const bool aligned = reinterpret_cast<std::uintptr_t>(address) % alignof(target_record) == 0;
    if (!aligned || magic_of(*record) != target_record::expected_magic ||
        record->type->hash_code() != place.type) {
        return error(errc::unknown_target, "no such target in the program");
    }
    return record;
}

}  // namespace coproc::detail
