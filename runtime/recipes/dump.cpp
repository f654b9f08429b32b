// runtime_ref::dump(): what a runtime does, and what its process has, in words.

#include <coproc/runtime.hpp>
#include <coproc/this_process.hpp>
#include <coproc/version.hpp>

#include "engine/loop.hpp"
#include "processes/child.hpp"
#include "processes/children.hpp"
#include "shared/shared_object.hpp"
#include "waits/signals.hpp"
#include "words/system.hpp"

#include <memory>
#include <utility>
#include <vector>

namespace coproc {

namespace {

void describe_children(const detail::loop& home, std::string& into) {
    for (const auto& one : detail::children::instance().of(home)) {
        if (!one->is_wanted()) continue;
        into += "  ";
        one->describe(into);
        into += '\n';
    }
}

/// The signals for which a loop dumps.
class dump_signals final : public detail::resident {
 public:
    explicit dump_signals(detail::loop& home) noexcept : home_(&home) {}

    result<void> add(int signal, dump_sink sink) {
        COPROC_TRY(auto watch, detail::signal_watch::create(*home_, {signal}));
        all_.push_back(std::make_unique<one>(*home_, std::move(watch), std::move(sink)));
        all_.back()->watch->call_on_arrival(&dump, all_.back().get());
        return success();
    }

 private:
    struct one {
        one(detail::loop& of, std::unique_ptr<detail::signal_watch> signal, dump_sink to)
            : home(&of), watch(std::move(signal)), sink(std::move(to)) {}
        detail::loop* home;
        std::unique_ptr<detail::signal_watch> watch;
        dump_sink sink;
    };

    static void dump(void* argument) noexcept {
        const auto& asked = *static_cast<const one*>(argument);
        while (!asked.watch->empty()) asked.watch->take();
        const std::string text = runtime_ref(*asked.home).dump();
        if (asked.sink) {
            asked.sink(text);
        } else {
            write_lines(text);
        }
    }

    /// Each at once, so that the last one is whole where there is no room for all.
    static void write_lines(const std::string& text) noexcept {
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = text.find('\n', at) + 1;
            system::write_to_stderr(text.substr(at, end - at));
            at = end;
        }
    }

    detail::loop* home_;
    std::vector<std::unique_ptr<one>> all_;
};

}  // namespace

std::string runtime_ref::dump() const {
    const this_process& me = current_process();
    std::string all = "coproc " COPROC_VERSION_STRING ", process " + me.name() + ", pid " +
                      std::to_string(me.pid()) + "\ntasks of this runtime:\n";
    loop_->describe_tasks(all);
    all += "children of this runtime:\n";
    describe_children(*loop_, all);
    all += "shared objects of this process:\n";
    detail::describe_attached(all);
    return all;
}

result<void> runtime_ref::dump_on(int signal, dump_sink sink) const {
    return loop_->resident_of<dump_signals>().add(signal, std::move(sink));
}

}  // namespace coproc
