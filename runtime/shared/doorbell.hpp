#pragma once
// A loop's bell: one socket by which other processes wake it, whatever it waits for. A ring says
// which of the loop's listeners it is for.

#include <coproc/detail/unique_fd.hpp>

#include "engine/loop.hpp"
#include "waits/fd_watch.hpp"

#include <cstdint>
#include <optional>
#include <unordered_map>

namespace coproc::detail {

class bell_listener {
 public:
    /// Called by the loop. There may be no reason at all: look.
    virtual void on_ring() noexcept = 0;
    /// The loop ends, and the bell with it.
    virtual void on_silence() noexcept = 0;

 protected:
    ~bell_listener() = default;
};

class doorbell final : public resident {
 public:
    explicit doorbell(loop& home) noexcept : home_(&home) {}
    doorbell(const doorbell&) = delete;
    doorbell& operator=(const doorbell&) = delete;
    ~doorbell() override;

    /// The loop's, hung up. Errors: std::errc::too_many_files_open.
    static result<doorbell*> of(loop& home);

    loop& home() const noexcept { return *home_; }
    std::uint64_t name() const noexcept { return name_; }
    /// The cookie that a ring for it says.
    std::uint64_t add(bell_listener& listener);
    void remove(std::uint64_t cookie) noexcept { listeners_.erase(cookie); }

 private:
    result<void> hang_up();
    void listen() noexcept;

    loop* home_;
    unique_fd bell_;
    std::uint64_t name_ = 0;
    std::uint64_t last_cookie_ = 0;
    std::unordered_map<std::uint64_t, bell_listener*> listeners_;
    std::optional<fd_watch> watch_;
};

}  // namespace coproc::detail
