#include <coproc/detail/code_place.hpp>

#include "wire/modules.hpp"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

// NOLINTBEGIN(performance-no-int-to-ptr): addresses are computed here, from the loader's numbers

namespace coproc::detail {

namespace {

/// One entry of the dynamic loader's list; valid during the walk.
class loaded_module {
 public:
    explicit loaded_module(const ::dl_phdr_info& info) noexcept : info_(&info) {}

    std::string name() const { return info_->dlpi_name; }
    std::uintptr_t base() const noexcept { return info_->dlpi_addr; }

    /// Is `address` inside a loaded segment with these permissions (PF_R, PF_X)?
    bool contains(std::uintptr_t address, std::uint32_t permissions) const {
        return std::any_of(headers().begin(), headers().end(), [&](const ElfW(Phdr) & segment) {
            const std::uintptr_t start = base() + segment.p_vaddr;
            return segment.p_type == PT_LOAD && (segment.p_flags & permissions) == permissions &&
                   address >= start && address - start < segment.p_memsz;
        });
    }

    std::string build_id() const {
        for (const ElfW(Phdr) & segment : headers()) {
            if (segment.p_type != PT_NOTE) continue;
            const auto notes = std::span(
                reinterpret_cast<const std::byte*>(base() + segment.p_vaddr), segment.p_memsz);
            if (auto found = build_id_in(notes)) return *found;
        }
        return {};
    }

 private:
    std::span<const ElfW(Phdr)> headers() const { return {info_->dlpi_phdr, info_->dlpi_phnum}; }

    static std::optional<std::string> build_id_in(std::span<const std::byte> notes) {
        const auto padded = [](std::size_t size) { return (size + 3) & ~std::size_t{3}; };
        while (notes.size() >= sizeof(ElfW(Nhdr))) {
            ElfW(Nhdr) header;
            std::memcpy(&header, notes.data(), sizeof header);
            const std::size_t content = sizeof header + padded(header.n_namesz);
            const std::size_t end = content + padded(header.n_descsz);
            if (end > notes.size()) return std::nullopt;
            const bool gnu =
                header.n_namesz == 4 && std::memcmp(notes.data() + sizeof header, "GNU", 4) == 0;
            if (gnu && header.n_type == NT_GNU_BUILD_ID) {
                return std::string(reinterpret_cast<const char*>(notes.data() + content),
                                   header.n_descsz);
            }
            notes = notes.subspan(end);
        }
        return std::nullopt;
    }

    const ::dl_phdr_info* info_;
};

/// Calls f(module) for each until it answers true.
template <class F>
void walk_modules(F&& f) {
    ::dl_iterate_phdr(
        [](::dl_phdr_info* info, std::size_t, void* walker) {
            return (*static_cast<std::remove_reference_t<F>*>(walker))(loaded_module(*info)) ? 1
                                                                                             : 0;
        },
        &f);
}

std::vector<std::string>& remembered() {
    static std::vector<std::string>& names = *new std::vector<std::string>;
    return names;
}

/// Before anything has been remembered, main() is where its children come by, too.
bool in_every_child(const std::string& module_name) {
    return remembered().empty() ||
           std::ranges::find(remembered(), module_name) != remembered().end();
}

/// The address of `place` in this process, if it is in a segment with these permissions.
result<std::uintptr_t> address_of(const code_place& place, std::uint32_t permissions) {
    result<std::uintptr_t> found = error(errc::unknown_target, "module " + place.module);
    walk_modules([&](const loaded_module& candidate) {
        if (candidate.name() != place.module) return false;
        const std::uintptr_t address = candidate.base() + place.offset;
        if (candidate.build_id() != place.build_id) {
            found = error(errc::version_mismatch, "module " + place.module);
        } else if (candidate.contains(address, permissions)) {
            found = address;
        }
        return true;
    });
    return found;
}

}  // namespace

void remember_modules() {
    remembered().clear();
    walk_modules([](const loaded_module& loaded) {
        remembered().push_back(loaded.name());
        return false;
    });
}

result<code_place> place_of(const void* address) {
    const auto wanted = reinterpret_cast<std::uintptr_t>(address);
    std::optional<code_place> found;
    walk_modules([&](const loaded_module& candidate) {
        if (!candidate.contains(wanted, PF_R)) return false;
        found = code_place{candidate.name(), candidate.build_id(), wanted - candidate.base()};
        return true;
    });
    if (!found) return error(errc::unknown_target, "the target is in no module");
    if (!in_every_child(found->module)) {
        return error(errc::unknown_target,
                     "a child would not have loaded " + found->module + ": link the program to it");
    }
    if (!found->module.empty() && found->build_id.empty()) {
        return error(errc::unknown_target, found->module + " has no build-id: link it with one");
    }
    return *found;
}

result<const void*> function_at(const code_place& place) {
    COPROC_TRY(const std::uintptr_t address, address_of(place, PF_R | PF_X));
    return reinterpret_cast<const void*>(address);
}

result<const void*> constant_at(const code_place& place, std::size_t size) {
    COPROC_TRY(const std::uintptr_t address, address_of(place, PF_R));
    COPROC_TRY(address_of({place.module, place.build_id, place.offset + size - 1}, PF_R));
    return reinterpret_cast<const void*>(address);
}

}  // namespace coproc::detail

// NOLINTEND(performance-no-int-to-ptr)
