#include "waits/signals.hpp"

#include "engine/loop.hpp"

namespace coproc::detail {

struct signal_watch::handle {
    uv_signal_t uv;
    signal_watch* owner;
};

result<std::unique_ptr<signal_watch>> signal_watch::create(loop& home,
                                                           std::initializer_list<int> signals) {
    std::unique_ptr<signal_watch> made(new signal_watch);
    for (const int number : signals) {
        auto* added = new handle{};
        added->owner = made.get();
        added->uv.data = added;
        if (const int status = uv_signal_init(home.uv(), &added->uv); status < 0) {
            delete added;
            return uv_error(status, "uv_signal_init");
        }
        made->handles_.push_back(added);
        uv_unref(reinterpret_cast<uv_handle_t*>(&added->uv));
        const auto on_signal = [](uv_signal_t* uv, int arrived) {
            signal_watch& self = *static_cast<handle*>(uv->data)->owner;
            self.pending_.push_back(arrived);
            self.arrived_.wake_all();
            if (self.on_arrival_ != nullptr) self.on_arrival_(self.argument_);
        };
        if (const int status = uv_signal_start(&added->uv, on_signal, number); status < 0) {
            return uv_error(status, "uv_signal_start");
        }
    }
    home.ring();
    return made;
}

signal_watch::~signal_watch() {
    for (handle* closing : handles_) {
        uv_close(reinterpret_cast<uv_handle_t*>(&closing->uv),
                 [](uv_handle_t* closed) { delete static_cast<handle*>(closed->data); });
    }
}

int signal_watch::take() noexcept {
    const int first = pending_.front();
    pending_.pop_front();
    return first;
}

}  // namespace coproc::detail
