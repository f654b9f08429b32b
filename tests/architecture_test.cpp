// Keeps the promises that no compiler checks: who may suspend, resume, call libuv, throw, print;
// which layer may include which; how long a file may be.

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"

namespace {

using strings = std::vector<std::string>;

// -- the rules, as data

struct rule {
    std::string_view promise;
    strings tokens;      // one that ends in '_' stands for all names that begin so
    strings allowed_in;  // files or folders/
};

const std::vector<rule> rules{
    {"one idiom suspends",
     {"await_suspend("},
     {"include/coproc/task.hpp", "include/coproc/generator.hpp",
      "include/coproc/detail/operation.hpp"}},
    {"only the loop resumes, and what is awaited is started inline",
     {".resume("},
     {"runtime/engine/loop.cpp", "include/coproc/detail/promise_base.hpp"}},
    {"libuv stays below",
     {"uv_", "<uv.h>"},
     {"runtime/engine/", "runtime/waits/", "include/coproc/runtime.hpp"}},
    {"failures are results: value() throws, nothing else does",
     {"throw"},
     {"runtime/words/error.cpp"}},
    {"a library does not print (a child that leaves quickly flushes)",
     {"std::cerr", "std::cout"},
     {"runtime/processes/bootstrap.cpp"}},
    {"no dead code", {"#if 0"}, {}},
};

const strings up_to_shared{"words", "engine", "waits", "compose", "wire", "shared"};

strings operator+(strings a, const strings& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

// A layer is a folder of runtime/ and the public headers that belong to it.
const std::map<std::string, strings> may_include{
    {"words", {"words"}},
    {"engine", {"words", "engine"}},
    {"waits", {"words", "engine", "waits"}},
    {"compose", {"words", "engine", "waits", "compose"}},
    {"wire", {"words", "wire"}},
    {"shared", up_to_shared},
    {"channels", up_to_shared + strings{"channels"}},
    {"sync", up_to_shared + strings{"sync"}},
    {"processes", up_to_shared + strings{"channels", "processes"}},
    {"recipes", up_to_shared + strings{"channels", "sync", "processes", "recipes"}},
};

const std::map<std::string, strings> public_headers{
    {"words",
     {"error", "result", "log", "bytes", "version", "detail/intrusive_list", "detail/unique_fd"}},
    {"engine",
     {"task", "runtime", "counters", "cancellation", "detail/operation", "detail/wait_list",
      "detail/frame_pool", "detail/cancel_scope", "detail/promise_base", "detail/detached",
      "detail/root"}},
    {"waits", {"sleep", "readiness", "offload", "signals"}},
    {"compose",
     {"scope", "when_all", "when_any", "timeout", "shield", "generator", "detail/awaited",
      "detail/branches"}},
    {"wire",
     {"codec", "cereal", "detail/aggregate", "detail/code_place", "detail/codec_alternatives",
      "detail/codec_maps", "detail/codec_products", "detail/codec_scalars",
      "detail/codec_sequences", "detail/member_count", "detail/transferable",
      "detail/check_temporary", "detail/in_place", "detail/message_bytes", "detail/use_message"}},
    {"channels",
     {"connection", "queue", "simple_queue", "joinable_queue", "detail/queue_access",
      "detail/queue_handle", "detail/queue_operations"}},
    {"sync",
     {"event", "lock", "recursive_lock", "semaphore", "condition", "barrier", "shared_memory",
      "shared_array", "shared_value"}},
    {"processes",
     {"process", "process_options", "redirection", "exit_status", "forkserver", "this_process",
      "detail/target", "detail/target_arguments"}},
    {"recipes", {"run", "call", "supervise", "pool", "command", "coproc", "detail/call_target"}},
};

constexpr int alarm_header = 200;
constexpr int alarm_source = 300;
constexpr int longest_file = 400;

// -- reading the tree

struct file {
    std::string path;  // from the top of the tree
    std::string text;  // without comments
    std::string code;  // without the contents of strings, too
    int lines = 0;
};

bool in_identifier(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// Blanks comments and, if asked to, the insides of string and character literals.
std::string strip(const std::string& text, bool literals) {
    std::string out = text;
    const auto blank = [&](std::size_t from, std::size_t to) {
        for (auto i = from; i < std::min(to, out.size()); ++i)
            if (out[i] != '\n') out[i] = ' ';
    };
    for (std::size_t i = 0; i < text.size();) {
        std::size_t end = i + 1;
        if (text.compare(i, 2, "//") == 0) {
            end = std::min(text.find('\n', i), text.size());
            blank(i, end);
        } else if (text.compare(i, 2, "/*") == 0) {
            end = std::min(text.find("*/", i), text.size() - 2) + 2;
            blank(i, end);
        } else if (text.compare(i, 3, "R\"(") == 0) {
            end = std::min(text.find(")\"", i), text.size() - 2) + 2;
            if (literals) blank(i, end);
        } else if (text[i] == '"' || (text[i] == '\'' && (i == 0 || !in_identifier(text[i - 1])))) {
            while (end < text.size() && text[end] != text[i] && text[end] != '\n')
                end += text[end] == '\\' ? 2 : 1;
            if (literals) blank(i + 1, end);
            ++end;
        }
        i = end;
    }
    return out;
}

const std::vector<file>& library() {
    static const std::vector<file> files = [] {
        const std::filesystem::path top = COPROC_SOURCE_DIR;
        std::vector<file> found;
        for (const auto* folder : {"include", "runtime"}) {
            for (const auto& entry : std::filesystem::recursive_directory_iterator(top / folder)) {
                const auto extension = entry.path().extension();
                if (extension != ".hpp" && extension != ".cpp") continue;
                std::ifstream in(entry.path());
                const std::string text(std::istreambuf_iterator<char>(in), {});
                found.push_back({entry.path().lexically_relative(top).generic_string(),
                                 strip(text, false), strip(text, true),
                                 static_cast<int>(std::count(text.begin(), text.end(), '\n'))});
            }
        }
        return found;
    }();
    return files;
}

std::string line_of(const file& f, std::size_t position) {
    const auto end = f.code.begin() + static_cast<std::ptrdiff_t>(position);
    return f.path + ":" + std::to_string(1 + std::count(f.code.begin(), end, '\n'));
}

// Where `token` stands in the code as a word of its own.
strings places(const file& f, const std::string& token) {
    strings found;
    for (auto i = f.code.find(token); i != std::string::npos; i = f.code.find(token, i + 1)) {
        const auto next = i + token.size();
        if (in_identifier(token.front()) && i > 0 && in_identifier(f.code[i - 1])) continue;
        if (token.back() != '_' && in_identifier(token.back()) && next < f.code.size() &&
            in_identifier(f.code[next]))
            continue;
        found.push_back(line_of(f, i) + ": " + token);
    }
    return found;
}

bool allowed(const rule& r, const std::string& path) {
    return std::any_of(r.allowed_in.begin(), r.allowed_in.end(), [&](const std::string& place) {
        return place.back() == '/' ? path.rfind(place, 0) == 0 : path == place;
    });
}

// The layer of a public header ("task", "detail/operation"), or "" if it is in no table.
std::string layer_of_header(const std::string& name) {
    for (const auto& [layer, headers] : public_headers)
        if (std::find(headers.begin(), headers.end(), name) != headers.end()) return layer;
    return "";
}

// "<coproc/task.hpp>" and "\"engine/loop.hpp\"" both belong to engine; "" is not ours.
std::string layer_of_include(const std::string& name) {
    const auto path = name.substr(1, name.size() - 2);
    if (path.rfind("coproc/", 0) == 0) return layer_of_header(path.substr(7, path.size() - 11));
    const auto folder = path.substr(0, path.find('/'));
    return name.front() == '"' && may_include.count(folder) != 0 ? folder : "";
}

std::string layer_of_file(const std::string& path) {
    const std::string headers = "include/coproc/";
    if (path.rfind(headers, 0) == 0)
        return layer_of_header(path.substr(headers.size(), path.size() - headers.size() - 4));
    const auto rest = path.substr(path.find('/') + 1);
    const auto folder = rest.substr(0, rest.find('/'));
    return may_include.count(folder) != 0 ? folder : "";
}

strings includes(const file& f) {
    strings found;
    std::istringstream in(f.text);
    for (std::string word; in >> word;)
        if (word == "#include" && in >> word) found.push_back(word);
    return found;
}

bool contains(const strings& all, const std::string& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

TEST_CASE("architecture: what only some files may do is done in those files only") {
    for (const auto& r : rules) {
        strings broken;
        for (const auto& f : library()) {
            if (allowed(r, f.path)) continue;
            for (const auto& token : r.tokens) broken = broken + places(f, token);
        }
        INFO("promise: " << r.promise);
        CHECK(broken == strings{});
    }
}

TEST_CASE("architecture: only value() throws, once") {
    for (const auto& f : library())
        if (f.path == "runtime/words/error.cpp") CHECK(places(f, "throw").size() == 1);
}

TEST_CASE("architecture: each file belongs to a layer") {
    strings unknown;
    for (const auto& f : library())
        if (layer_of_file(f.path).empty()) unknown.push_back(f.path);
    INFO("add these to the tables at the top of tests/architecture_test.cpp");
    CHECK(unknown == strings{});
}

TEST_CASE("architecture: a layer includes only what lies below it") {
    strings wrong;
    for (const auto& f : library()) {
        const auto layer = layer_of_file(f.path);
        if (layer.empty()) continue;
        for (const auto& name : includes(f)) {
            const auto other = layer_of_include(name);
            if (!other.empty() && !contains(may_include.at(layer), other))
                wrong.push_back(f.path + " (" + layer + ") includes " + name + " (" + other + ")");
        }
    }
    CHECK(wrong == strings{});
}

TEST_CASE("architecture: no file is too long to be read at once") {
    for (const auto& f : library()) {
        const bool header = f.path.substr(f.path.size() - 4) == ".hpp";
        if (f.lines > (header ? alarm_header : alarm_source))
            WARN(f.path << " has " << f.lines << " lines");
        CAPTURE(f.path);
        CHECK(f.lines <= longest_file);
    }
}
