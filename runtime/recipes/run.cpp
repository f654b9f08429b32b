#include <coproc/run.hpp>

#include <coproc/detail/awaited.hpp>
#include <coproc/log.hpp>
#include <coproc/runtime.hpp>

#include "engine/loop.hpp"
#include "processes/bootstrap.hpp"
#include "processes/children.hpp"
#include "waits/signals.hpp"
#include "words/system.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace coproc::detail {

namespace {

constexpr std::chrono::seconds grace{5};

/// The app and what comes after it, as the signals see it.
struct life {
    int signal = 0;
    spawned<result<int>> app;
    spawned<void> end;
};

/// The first signal cancels what goes on, a second one takes its default action at once; the
/// children die with us.
task<void> obey_signals(signal_watch& signals, life& mine) {
    for (;;) {
        const result<void> arrival = co_await signals.wait();
        if (!arrival) co_return;
        while (!signals.empty()) {
            const int arrived = signals.take();
            if (mine.signal != 0) {
                ::signal(arrived, SIG_DFL);
                ::raise(arrived);
            }
            mine.signal = arrived;
            mine.app.cancel();
            mine.end.cancel();
        }
    }
}

void print(const std::string& what) { system::write_to_stderr(what + "\n"); }

result<int> wait_for_app(const result<int>& code) {
    if (!code && code.error() != errc::canceled) print("coproc::run: " + code.error().message());
    return code;
}

task<int> whole_life(task<result<int>> app, signal_watch& signals, life& mine) {
    const runtime_ref home = co_await current_runtime();
    mine.app = home.spawn(std::move(app));
    auto listener = home.spawn_service(obey_signals(signals, mine));
    result<int> code = errc::canceled;
    try {
        code = wait_for_app(co_await mine.app);
    } catch (const std::exception& thrown) {
        const bool canceled = is_cancellation(std::current_exception());
        if (!canceled) print(std::string("coproc::run: ") + thrown.what());
    } catch (...) {
        print("coproc::run: an exception that is no std::exception");
    }
    log(log_level::info, "process shutting down");
    const bool orderly = code && mine.signal == 0;
    mine.end = home.spawn_service(orderly ? end_children(grace) : stop_children(grace));
    (co_await mine.end).value();
    (co_await home.shutdown()).value();
    listener.cancel();
    (void)co_await listener;
    co_return code ? code.value() : 1;
}

result<int> run_with_signals(task<result<int>> app, life& mine) {
    COPROC_TRY(auto home, runtime::create());
    COPROC_TRY(const auto signals, signal_watch::create(home.home(), {SIGINT, SIGTERM}));
    return home.run_service(whole_life(std::move(app), *signals, mine));
}

}  // namespace

void leave_if_child() {
    const auto child = bootstrap();
    if (!child) return;
    if (child->quick_exit) leave_quickly(child->code);
    std::exit(child->code);
}

int run_app(task<result<int>> app) {
    life mine;
    const result<int> code = run_with_signals(std::move(app), mine);
    if (mine.signal != 0) {
        ::signal(mine.signal, SIG_DFL);
        ::raise(mine.signal);
    }
    if (code) return code.value();
    print("coproc::run: " + code.error().message());
    return 1;
}

}  // namespace coproc::detail

namespace coproc {

std::optional<int> run_if_child() {
    const auto child = detail::bootstrap();
    if (!child) return std::nullopt;
    if (child->quick_exit) detail::leave_quickly(child->code);
    return child->code;
}

}  // namespace coproc
