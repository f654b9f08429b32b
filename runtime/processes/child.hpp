#pragma once
// One child process as its parent sees it: initial, started, stopped, closed. How it gets there is
// in child_start.cpp, the rest in child.cpp.
//
// An exit's way: the kernel makes the pidfd readable -> the loop calls look() -> it reads the
// child's last report, reaps, and opens ended() -> the loop resumes everybody who joins.
// Invariants: reaped once, by look(); signals go through the pidfd, never to a pid that may have
// been given away; a started child is held by `children` until its end has been handled.

#include <coproc/detail/target.hpp>
#include <coproc/exit_status.hpp>
#include <coproc/process_options.hpp>

#include "channels/message_socket.hpp"
#include "processes/forkserver.hpp"
#include "processes/kept_options.hpp"
#include "processes/lifeline_linux.hpp"
#include "shared/participant.hpp"
#include "waits/fd_watch.hpp"
#include "words/system.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace coproc::detail {

class child : public std::enable_shared_from_this<child> {
 public:
    enum class state { initial, starting, started, stopped, closed };

    child(const process_options& options, std::unique_ptr<start_request> request);
    /// For one that is being born, and that nobody wants any more.
    explicit child(std::string unwanted);

    const std::string& name() const noexcept { return name_; }
    bool is_daemon() const noexcept { return options_.daemon; }
    bool is_wanted() const noexcept { return !is_unwanted_; }
    /// Not in a plain fork of the parent, which has a copy of this object, and no children.
    bool is_child_of(::pid_t who) const noexcept { return parent_pid_ == 0 || parent_pid_ == who; }
    /// Which process it is, in words.
    void describe(std::string& into) const;
    const process_limits& limits() const noexcept { return options_.limits; }
    int pid() const noexcept { return pid_; }
    int pidfd() const noexcept { return pidfd_.get(); }
    loop* home() const noexcept { return home_; }

    /// The state now: looks whether the child has ended, also before the loop has been told.
    state current();
    /// Empty while it runs; errc::status_lost if nobody knows.
    const std::optional<result<exit_status>>& end() const noexcept { return end_; }

    static task<result<void>> start(std::shared_ptr<child> self);
    static task<result<exit_status>> join(std::shared_ptr<child> self);
    static task<result<exit_status>> stop(std::shared_ptr<child> self,
                                          std::chrono::nanoseconds grace);
    /// SIGTERM, and SIGKILL after `grace`: how daemons end.
    static task<void> terminate(std::shared_ptr<child> self, std::chrono::nanoseconds grace);
    /// Waits for the end; also of one whose start has not completed, or for the failure of that.
    static task<result<void>> wait_end(std::shared_ptr<child> self);
    /// errc::not_started before; nothing happens after the end.
    result<void> signal(int number);
    /// The process object is gone: kill_on_drop.
    void drop() noexcept;
    /// Its loop ends: nobody watches it until somebody joins it on another.
    void leave_loop() noexcept;
    result<void> close();

 private:
    result<void> check_startable() const;
    result<encoder> make_bootstrap(std::vector<unique_fd>& opened);
    void become_initial() noexcept;
    static task<result<void>> begin(std::shared_ptr<child> self, loop& home);
    static task<result<launched>> bear(std::shared_ptr<child> self, loop& home,
                                       std::optional<changes>& changed);
    result<unique_fd> open_control();
    result<void> adopt(loop& home, launched born);
    static task<void> put_away(std::string name, forkserver& server, forkserver::birth_ref birth,
                               forkserver::duty);
    static task<result<void>> undo_start(std::shared_ptr<child> self, error why);
    task<result<void>> ask_to_end();
    void look() noexcept;
    void listen() noexcept;
    bool read_messages(int most);
    void hear(const message_header& header);
    result<exit_status> conclude(const result<system::end_of_process>& reaped) const;
    void forget_process() noexcept;
    bool leads_group() const noexcept { return options_.group || options_.session; }
    bool end_group_of_ended() noexcept;
    result<void> send(int number) noexcept;
    result<void> watch_exit(loop& home);

    std::string name_;
    std::string path_;
    kept_options given_;
    const process_options& options_ = given_.get();
    std::unique_ptr<start_request> request_;
    state state_ = state::initial;
    bool is_coroutine_;
    bool dropped_ = false;
    const bool is_unwanted_ = false;
    bool is_counted_ = false;  // as started by the loop that is home_
    bool killed_ = false;      // by us

    std::atomic<int> pid_ = 0;  // children::active() looks from any thread
    std::atomic<int> parent_pid_ = 0;
    std::atomic<loop*> home_ = nullptr;
    unique_fd pidfd_;
    forkserver::birth_ref birth_;  // while the fork server has been asked
    std::unique_ptr<fd_watch> exit_watch_;
    std::shared_ptr<message_socket> control_;  // also held by whoever sends on it
    std::shared_ptr<lifeline> lifeline_;
    participant participant_ = 0;
    std::vector<std::shared_ptr<const void>> kept_;  // attached until its end has been handled
    std::optional<exit_status> reported_;            // by itself
    std::optional<result<exit_status>> end_;
    wait_list ended_{waited_for(*this)};
};

}  // namespace coproc::detail
