#include <coproc/offload.hpp>

#include "engine/loop.hpp"
#include "words/system.hpp"

namespace coproc::detail {

struct offloaded::request {
    uv_work_t work;
    offloaded* owner;
};

result<void> offloaded::start(loop& home) {
    if (const int refused = system::injected_fault("uv_queue_work"))
        return uv_error(-refused, "uv_queue_work");
    auto made = std::make_unique<request>();
    made->work.data = made.get();
    made->owner = this;
    const auto in_thread = [](uv_work_t* work) {
        static_cast<request*>(work->data)->owner->work();
    };
    const auto in_loop = [](uv_work_t* work, int status) {
        const std::unique_ptr<request> done(static_cast<request*>(work->data));
        done->owner->request_ = nullptr;
        done->owner->finish(status == UV_ECANCELED ? result<void>(errc::canceled) : success());
    };
    if (const int status = uv_queue_work(home.uv(), &made->work, in_thread, in_loop); status < 0) {
        return uv_error(status, "uv_queue_work");
    }
    request_ = made.release();
    return success();
}

/// The callback comes in any case: at once if the work had not begun, else after it.
void offloaded::cancel() { uv_cancel(reinterpret_cast<uv_req_t*>(&request_->work)); }

void offloaded::describe(std::string& into) const { into += "its work in the thread pool"; }

}  // namespace coproc::detail
