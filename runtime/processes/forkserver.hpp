#pragma once
// The application's side of the fork server (server_linux.hpp): one for each loop that starts
// children by it, made with the first and again whenever it is gone.
//
// A child's way: request to the server -> it clones -> its answer brings the pidfd. If the server
// ends before it has answered, the child, if there is one, says so itself on its control socket; if
// that ends instead, there is none. So each birth is settled once the server has answered or is
// gone, and nobody is born twice, or lost.
// (A child that is killed before its first word, when the server has been killed before its answer,
// stays a zombie for as long as this process lives.)

#include <coproc/task.hpp>

#include "channels/message_socket.hpp"
#include "engine/loop.hpp"
#include "processes/launch_linux.hpp"
#include "processes/lifeline_linux.hpp"
#include "processes/surroundings_linux.hpp"

#include <list>
#include <memory>
#include <optional>

namespace coproc::detail {

class forkserver final : public resident {
 public:
    explicit forkserver(loop& home) noexcept : home_(&home) {}
    ~forkserver() override;

    /// False once it has turned out that there is none to be had here.
    bool is_usable() const noexcept { return is_usable_; }

    /// Makes a server, if there is none whose children would have our privileges, and tells the
    /// child at the other end of `control` what has changed since. False: not now.
    result<bool> prepare(message_socket& control);

    /// A child that has been asked for.
    struct birth {
        forkserver* family;
        std::uint64_t number;
        std::shared_ptr<message_socket> control;
        /// The child's end, until its pidfd comes: there is a number free for that one then, also
        /// where file descriptors are short.
        unique_fd theirs;
        /// Woken with an error if nobody knows yet; opened when somebody does.
        wait_list settled;
        /// Empty: the server is gone, and the child was not born.
        result<std::optional<launched>> outcome = std::nullopt;
    };
    using birth_ref = std::shared_ptr<birth>;

    /// Asks for a child that has `theirs` as its control socket, the other end of `control`.
    static task<result<birth_ref>> ask(forkserver& self, std::shared_ptr<message_socket> control,
                                       unique_fd theirs);

    /// Ends the server, if there is one; the next start makes another.
    void lose();

 private:
    result<void> make();
    void give_up(const std::string& why);
    void on_end();
    void listen();
    void hear(const message_header& header);
    void settle(birth& born, result<std::optional<launched>> outcome);
    void look_for(birth& lost);
    void on_message_of(birth& lost);

    loop* home_;
    bool is_usable_ = true;
    int losses_ = 0;  ///< of servers, since one has last made a child
    ::pid_t made_by_ = 0;
    std::shared_ptr<lifeline> lifeline_;
    privileges privileges_;
    surroundings surroundings_;
    unique_fd pidfd_;
    std::unique_ptr<message_socket> socket_;
    std::uint64_t births_so_far_ = 0;
    std::list<birth_ref> births_;
    wait_list room_;
};

}  // namespace coproc::detail
