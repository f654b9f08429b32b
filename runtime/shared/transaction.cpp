#include "shared/transaction.hpp"

#include <cassert>

namespace coproc::detail {

namespace {

template <class T>
T& at(object_head& of, std::uint64_t offset) noexcept {
    return *reinterpret_cast<T*>(reinterpret_cast<std::byte*>(&of) + offset);
}

std::uint64_t offset_in(object_head& of, void* place) noexcept {
    return static_cast<std::uint64_t>(static_cast<std::byte*>(place) -
                                      reinterpret_cast<std::byte*>(&of));
}

}  // namespace

transaction::transaction(object_head& of, lock_experience& experience) noexcept {
    const locking locked = take_lock(of.mutex, experience);
    if (locked == locking::busy) return;
    of_ = &of;
    if (locked == locking::locked) return;
    if (is_committed()) {
        commit();
    } else {
        undo();
    }
    declare_whole(of.mutex);
}

transaction::~transaction() {
    if (of_ == nullptr) return;
    undo();
    release_lock(of_->mutex);
}

void transaction::set(std::uint64_t& word, std::uint64_t value) noexcept {
    const std::uint64_t count = of_->changes;
    assert(count < object_head::most_changes);
    object_head::change& entry = of_->journal[count];
    publish(entry.offset, offset_in(*of_, &word));
    publish(entry.old, word);
    publish(of_->changes, count + 1);
    publish(word, value);
}

void transaction::commit() noexcept {
    publish(of_->changes, 0);
    publish(of_->link, 0);
}

std::uint64_t transaction::link_to(shadowed_head& other) noexcept {
    const std::uint64_t number = of_->links + 1;
    publish(of_->links, number);
    publish(of_->link_place, offset_in(*of_, &other));
    publish(of_->link, number);
    return number;
}

bool transaction::is_committed() const noexcept {
    if (of_->link == 0) return false;
    auto& other = at<shadowed<shadowed_state>>(*of_, of_->link_place);
    return peek(other, &shadowed_state::linked) == of_->link;
}

void transaction::undo() noexcept {
    for (std::uint64_t count = of_->changes; count > 0; --count) {
        const object_head::change& entry = of_->journal[count - 1];
        publish(at<std::uint64_t>(*of_, entry.offset), entry.old);
    }
    commit();
}

}  // namespace coproc::detail
