#pragma once
// Fork servers that have ended in a row, without an answer between: three, and for a while there is
// none. What ends them may pass, as a lack of memory does, or never.

#include <coproc/sleep.hpp>

#include <algorithm>

namespace coproc::detail {

class losses {
 public:
    /// One more. True if it is the one with which the servers are given up.
    bool add(clock::time_point now) noexcept {
        if (++count_ < most) return false;
        pause_ = count_ == most ? shortest_pause : std::min(2 * pause_, longest_pause);
        end_of_pause_ = now + pause_;
        return count_ == most;
    }
    /// A server has answered.
    void forget() noexcept { count_ = 0; }
    /// No time for another try.
    bool is_pause(clock::time_point now) const noexcept {
        return count_ >= most && now < end_of_pause_;
    }

 private:
    /// A kill, and its repetition, may be chance.
    static constexpr int most = 3;
    /// A try in vain costs a start some milliseconds, as a spawn does, and what is preloaded: one a
    /// second is as good as nothing, and where that takes a second itself, one a minute.
    static constexpr clock::duration shortest_pause = std::chrono::seconds(1);
    static constexpr clock::duration longest_pause = std::chrono::minutes(1);

    int count_ = 0;
    clock::duration pause_ = shortest_pause;
    clock::time_point end_of_pause_;
};

}  // namespace coproc::detail
