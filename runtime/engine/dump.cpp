// What the tasks of a loop wait for, in words.
//
// Every operation that somebody awaits is in a cancel scope below its task's, and knows its waiter;
// that one knows who awaits it, and so on to the task's own coroutine. What waits for nothing but
// its turn is in the loop's queue of ready coroutines.

#include "engine/loop.hpp"

#include <string_view>
#include <unordered_map>

namespace coproc::detail {

namespace {

/// Without return type, parameters and template arguments, as far as they can be told: compilers
/// write names in their own ways.
std::string_view short_name(std::string_view name) {
    name = name.substr(0, name.find(" ["));
    if (name.ends_with(" const")) name.remove_suffix(std::string_view(" const").size());
    int depth = 0;
    if (name.ends_with(')')) {
        std::size_t at = name.size();
        do {
            --at;
            if (name[at] == ')') ++depth;
            if (name[at] == '(') --depth;
        } while (depth > 0 && at > 0);
        if (at > 0) name = name.substr(0, at);
    }
    depth = 0;
    for (std::size_t at = name.size(); at-- > 0;) {
        if (std::string_view(">)}").find(name[at]) != std::string_view::npos) ++depth;
        if (std::string_view("<({").find(name[at]) != std::string_view::npos) --depth;
        if (name[at] == ' ' && depth == 0) return name.substr(at + 1);
    }
    return name;
}

std::string_view file_name(std::string_view path) {
    return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

/// More of a stack is a recursion.
constexpr std::size_t most_coroutines = 100;

/// The innermost first.
void describe_stack(const promise_base* innermost, std::string& into) {
    std::size_t told = 0;
    for (const promise_base* one = innermost; one != nullptr; one = one->awaiter()) {
        const std::source_location& at = one->written_at();
        if (at.line() == 0 || ++told > most_coroutines) continue;
        into += "      ";
        into += short_name(at.function_name());
        into += " (";
        into += file_name(at.file_name());
        into += ':' + std::to_string(at.line()) + ")\n";
    }
    if (told <= most_coroutines) return;
    into += "      and " + std::to_string(told - most_coroutines) + " more coroutines\n";
}

void describe_waits(cancel_scope& scope, std::string& into) {
    scope.for_each_operation([&into](const pending& one) {
        into += "    waits for ";
        one.describe(into);
        into += '\n';
        describe_stack(one.waiter(), into);
    });
    scope.for_each_child([&into](cancel_scope& inner) { describe_waits(inner, into); });
}

using ready_coroutines = std::unordered_multimap<const cancel_scope*, const promise_base*>;

}  // namespace

void loop::describe_tasks(std::string& into) {
    ready_coroutines ready;
    for (const ready_node* node = first_; node != nullptr; node = node->next) {
        const auto& one = static_cast<const promise_base&>(*node);
        ready.emplace(&one.scope().root(), &one);
    }
    tasks_.for_each([&](root& task) {
        into += std::string("  ") + task.kind_name() + ' ' + std::to_string(task.number());
        if (task.scope().is_canceled()) into += ", canceled";
        into += '\n';
        const std::size_t before = into.size();
        describe_waits(task.scope(), into);
        const auto [first, last] = ready.equal_range(&task.scope());
        for (auto one = first; one != last; ++one) {
            into += "    ready\n";
            describe_stack(one->second, into);
        }
        if (into.size() == before) into += "    runs, or waits for what is not coproc's\n";
    });
}

}  // namespace coproc::detail
