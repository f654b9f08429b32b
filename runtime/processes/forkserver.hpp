#pragma once
// The application's side of the fork server (server_linux.hpp): one for each loop that starts
// children by it, made with the first and again whenever it is gone.
//
// A child's way: request to the server -> it clones -> its answer brings the pidfd. Meanwhile the
// application looks what has changed since it made the server; a child that could not take that on
// is put away before it has been told anything. If the server ends before it has answered, the
// child, if there is one, is asked for it on its control socket, where it waits for its bootstrap;
// if that is at its end, there is no child, or one that has been killed as well: the birth register
// knows, and it is buried. So each birth is settled once the server has answered or is gone, and
// nobody is born twice, or lost.

#include <coproc/sleep.hpp>
#include <coproc/task.hpp>

#include "channels/message_socket.hpp"
#include "engine/loop.hpp"
#include "processes/birth_register.hpp"
#include "processes/launch_linux.hpp"
#include "processes/lifeline_linux.hpp"
#include "processes/losses.hpp"
#include "processes/surroundings_linux.hpp"

#include <unistd.h>

#include <list>
#include <memory>
#include <optional>
#include <utility>

namespace coproc::detail {

class forkserver final : public resident {
 public:
    explicit forkserver(loop& home) noexcept : home_(&home) {}
    ~forkserver() override;
    task<void> end() override;

    /// False once it has turned out that there is none to be had here; also after several that
    /// have ended, for a while.
    bool is_usable() const noexcept { return is_possible_ && !losses_.is_pause(clock::now()); }

    /// A child that has been asked for.
    struct birth final : private alarm {
        explicit birth(forkserver& asked) noexcept : alarm(&on_time), family(&asked) {}

        forkserver* family;
        std::uint64_t server = 0;  ///< which one has been asked
        std::uint64_t number = 0;
        std::shared_ptr<birth_register> written_down;  ///< that server's
        std::shared_ptr<message_socket> control;
        /// The child's end, until its pidfd comes: there is a number free for that one then, also
        /// where file descriptors are short.
        unique_fd theirs;
        /// What the child has to be told before its bootstrap.
        std::optional<changes> changed;
        /// Can it become as we are now? Unclear: nor would it be of another server's child.
        enum class fitness { fit, unfit, unclear } fitness = fitness::fit;
        /// Woken with an error if nobody knows yet; opened when somebody does.
        wait_list settled{"the fork server's answer"};
        /// Empty: the server is gone, and the child was not born.
        result<std::optional<launched>> outcome = std::nullopt;

     private:
        friend class forkserver;
        static void on_time(alarm& late) noexcept;
    };
    using birth_ref = std::shared_ptr<birth>;

    /// Asks for a child that has `theirs` as its control socket, the other end of `control`; makes
    /// a server first, if there is none. nullptr: not now.
    static task<result<birth_ref>> ask(forkserver& self, std::shared_ptr<message_socket> control,
                                       unique_fd theirs);

    /// Held by who puts away a child that nobody wants any more: the loop's end waits for that.
    class duty {
     public:
        explicit duty(forkserver& of) noexcept : of_(&of) { ++of.duties_; }
        duty(duty&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
        duty& operator=(duty&&) = delete;
        ~duty() {
            if (of_ != nullptr && --of_->duties_ == 0) of_->all_done_.wake_all();
        }

     private:
        forkserver* of_;
    };

    /// Nobody waits any more, and the server has not answered for long: that server ends, if it
    /// has not, and the next start makes another.
    void give_up_waiting(const birth_ref& unanswered);

 private:
    /// A server that is ending, or a child that nobody has heard of, until it can be reaped: that
    /// may take a while for one with much memory, or that we may not kill.
    struct grave {
        grave(forkserver& all, unique_fd ended) noexcept
            : family(&all), pidfd(std::move(ended)), ending(pidfd.get()) {}
        void fill() noexcept;

        forkserver* family;
        ::pid_t parent = ::getpid();
        unique_fd pidfd;
        fd_watch ending;
        std::list<grave>::iterator place;
    };

    result<birth_ref> ask_now(std::shared_ptr<message_socket> control, unique_fd theirs);
    void compare(birth& asked);
    result<void> make(standing now);
    unique_fd end_server() noexcept;
    void dig_grave(unique_fd pidfd);
    void lose();
    void give_up(const std::string& why);
    void on_death();
    void on_end();
    void listen();
    void hear(const message_header& header);
    void settle(birth& born, result<std::optional<launched>> outcome);
    void look_for(birth& lost);
    void on_message_of(birth& lost);
    void bury(const birth& lost);

    loop* home_;
    bool is_possible_ = true;
    bool is_outdated_ = false;  ///< the server: its children could not become as we are
    losses losses_;
    ::pid_t made_by_ = 0;
    std::shared_ptr<lifeline> lifeline_;
    standing made_under_;
    std::shared_ptr<birth_register> written_down_;
    unique_fd pidfd_;
    std::unique_ptr<fd_watch> ending_;
    std::unique_ptr<message_socket> socket_;
    std::uint64_t servers_so_far_ = 0;
    std::uint64_t births_so_far_ = 0;
    std::list<birth_ref> births_;
    wait_list room_{"room on the fork server's socket"};
    int duties_ = 0;
    wait_list all_done_{"children that nobody wants to be put away"};
    std::list<grave> graves_;
};

}  // namespace coproc::detail
