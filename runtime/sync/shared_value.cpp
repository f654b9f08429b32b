// How a shared value lies in memory: some slots, one of which has the value, and a version that
// says which.
//
// Invariants, and what holds if the process dies after each store:
// 1. The value of version v is in slot v % slots. Versions only grow, by one, and only under the
//    lock, with one store. That store is the commit and needs no journal: before it the value is
//    the old one, after it the new one. (A journaled version could go back to v and come again
//    with other bytes, which no reader would notice.)
// 2. A writer fills slot (v + 1) % slots while the version is v. What a dead one has left there is
//    the value of no version, and is written over by the next writer.
// 3. So the slot of v is whole, and remains so while the version is less than v + slots - 1. A
//    reader that finds a later one after it has copied the slot copies again. It has time for
//    slots - 2 writers to come in between, each of whom copies as much as it does.
// 4. All words are stored with release and loaded with acquire: who has loaded a word of a writer
//    sees at least the version under which that writer began.

#include <coproc/runtime.hpp>
#include <coproc/shared_value.hpp>

#include "shared/shared_object.hpp"
#include "words/sharing_linux.hpp"

#include <algorithm>
#include <cstring>

namespace coproc::detail {

namespace {

constexpr std::uint64_t slots = 4;

struct value_layout : shared_head {
    std::uint64_t type;
    std::uint64_t size;  ///< in bytes
    std::uint64_t version;
    // The slots follow.
};

using word = std::uint64_t;

constexpr std::size_t words_for(std::size_t size) noexcept {
    return (size + sizeof(word) - 1) / sizeof(word);
}
constexpr std::size_t size_of_slots(std::size_t size) noexcept {
    return slots * words_for(size) * sizeof(word);
}

void store_words(word* to, std::span<const std::byte> from) noexcept {
    for (; !from.empty(); ++to) {
        word next = 0;
        const std::size_t count = std::min(from.size(), sizeof next);
        std::memcpy(&next, from.data(), count);
        publish(*to, next);
        from = from.subspan(count);
    }
}

void load_words(const word* from, std::span<std::byte> to) noexcept {
    for (; !to.empty(); ++from) {
        const word next = peek(*from);
        const std::size_t count = std::min(to.size(), sizeof next);
        std::memcpy(to.data(), &next, count);
        to = to.subspan(count);
    }
}

}  // namespace

class value_object final : public shared_object {
 public:
    value_object(region memory, std::shared_ptr<const unique_fd> ringer)
        : shared_object(std::move(memory), std::move(ringer)) {}

    static result<value_ref> create(std::uint64_t type, std::span<const std::byte> initial) {
        if (initial.size() > PTRDIFF_MAX / (2 * slots)) return std::errc::not_enough_memory;
        const std::size_t size = sizeof(value_layout) + size_of_slots(initial.size());
        COPROC_TRY(auto memory, region::create(region_kind::value, size));
        COPROC_TRY(
            system::secure_memory(memory.fd(), sizeof(value_layout), size - sizeof(value_layout)));
        auto& made = memory.as<value_layout>();
        COPROC_TRY(make_lock(made));
        made.type = type;
        made.size = initial.size();
        store_words(slot_in(memory, 0), initial);
        memory.finish();
        return attach<value_object>(std::move(memory));
    }
    static result<value_ref> open(unique_fd file, std::uint64_t type, std::size_t size) {
        COPROC_TRY(auto memory, region::open<value_layout>(std::move(file), region_kind::value));
        if (memory.size() < sizeof(value_layout)) {
            return error(errc::bad_message, "a shared value without a value");
        }
        const auto& found = memory.as<value_layout>();
        if (found.type != type || found.size != size) return errc::type_mismatch;
        if (memory.size() != sizeof(value_layout) + size_of_slots(size)) {
            return error(errc::bad_message, "a shared value without a value");
        }
        return attach<value_object>(std::move(memory));
    }

    void describe(std::string& into) const override {
        describe_name(into, "shared value");
        into += ": written " + std::to_string(peek(words().version)) + " times";
    }
    std::uint64_t read(std::span<std::byte> into) const noexcept {
        while (true) {
            const std::uint64_t version = peek(words().version);
            load_words(slot_in(memory(), version), into);
            if (peek(words().version) - version < slots - 1) return version;
        }
    }
    result<progress> write(std::span<const std::byte> value) {
        const transaction writing(words(), experience());
        if (!writing) return progress::busy;
        replace(value);
        return progress::done;
    }
    /// not_yet, and never, if the value is not of that version.
    result<progress> write_after(std::uint64_t version, std::span<const std::byte> value) {
        if (peek(words().version) != version) return progress::not_yet;
        const transaction writing(words(), experience());
        if (!writing) return progress::busy;
        if (words().version != version) return progress::not_yet;
        replace(value);
        return progress::done;
    }

    using shared_object::when_unlocked;

 private:
    static word* slot_in(const region& memory, std::uint64_t version) noexcept {
        auto* const first = reinterpret_cast<word*>(memory.data() + sizeof(value_layout));
        return first + version % slots * words_for(memory.as<value_layout>().size);
    }
    value_layout& words() const noexcept { return memory().as<value_layout>(); }

    /// Under the lock.
    void replace(std::span<const std::byte> value) const noexcept {
        const std::uint64_t next = words().version + 1;
        store_words(slot_in(memory(), next), value);
        publish(words().version, next);
    }

    bool forget(transaction&, participant, ending) noexcept override { return true; }
    bool kick() noexcept override { return false; }
};

result<value_ref> make_shared_value(std::uint64_t type, std::span<const std::byte> initial) {
    return value_object::create(type, initial);
}

void encode_shared_value(encoder& into, const value_ref& from) {
    encode_object(into, from, "a shared value");
}

result<value_ref> decode_shared_value(decoder& from, std::uint64_t type, std::size_t size) {
    COPROC_TRY(auto file, from.take_fd());
    return value_object::open(std::move(file), type, size);
}

std::uint64_t read_value(const value_object& from, std::span<std::byte> into) noexcept {
    return from.read(into);
}

task<result<void>> write_value(value_ref to, std::span<const std::byte> value) {
    attempt_with writing([&] { return to->write(value); }, [] { return true; });
    COPROC_CO_TRY(co_await value_object::when_unlocked(writing));
    co_return success();
}

result<void> try_write_value(value_object& to, std::span<const std::byte> value) {
    COPROC_TRY(const progress made, to.write(value));
    if (made != progress::done) return errc::would_block;
    return success();
}

task<result<bool>> replace_value(value_ref to, std::uint64_t version,
                                 std::span<const std::byte> value) {
    attempt_with writing([&] { return to->write_after(version, value); }, [] { return true; });
    COPROC_CO_TRY(const progress made, co_await value_object::when_unlocked(writing));
    if (made == progress::done) co_return true;
    // Others are quicker: the loop is not to wait for them.
    COPROC_CO_TRY(co_await yield());
    co_return false;
}

}  // namespace coproc::detail
