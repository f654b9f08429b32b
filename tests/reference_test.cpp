// Keeps the tables of include/coproc/README.md complete: a row for everything that the headers
// have, nothing else in them, and each test that they name is there.

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"

namespace {

using names = std::set<std::string>;
const std::filesystem::path top = COPROC_SOURCE_DIR;

std::string read(const std::filesystem::path& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
}

names without(const names& all, const names& those) {
    names rest;
    std::set_difference(all.begin(), all.end(), those.begin(), those.end(),
                        std::inserter(rest, rest.end()));
    return rest;
}

// -- the tables

struct table_row {
    names about;     // what stands in `code` in the first column
    names shown_by;  // what the last column names
};

std::vector<std::string> cells_of(const std::string& line) {
    std::vector<std::string> cells;
    std::istringstream in(line.substr(2));
    for (std::string cell; std::getline(in, cell, '|');) cells.push_back(cell);
    return cells;
}

names all_matches(const std::string& text, const std::regex& pattern) {
    names found;
    for (std::sregex_iterator at(text.begin(), text.end(), pattern), end; at != end; ++at)
        found.insert((*at)[1]);
    return found;
}

/// The rows below this heading.
std::vector<table_row> table(const std::string& heading) {
    const std::regex code("`([^`]+)`");
    const std::regex test("([^; ][^;]*[^; ])");
    std::vector<table_row> rows;
    std::istringstream lines(read(top / "include/coproc/README.md"));
    bool here = false;
    for (std::string line; std::getline(lines, line);) {
        if (line.rfind("## ", 0) == 0) here = line == "## " + heading;
        if (!here || line.rfind("| ", 0) != 0) continue;
        const auto cells = cells_of(line);
        rows.push_back({all_matches(cells.front(), code), all_matches(cells.back(), test)});
    }
    REQUIRE(rows.size() > 1);
    rows.erase(rows.begin());  // its head
    return rows;
}

names about(const std::vector<table_row>& rows) {
    names all;
    for (const auto& row : rows) all.insert(row.about.begin(), row.about.end());
    return all;
}

const std::string deaths = "When a process dies";
const std::string cancellations = "What canceling an await does";

// -- what the headers have

std::string without_comments(const std::filesystem::path& header) {
    std::string text = std::regex_replace(read(header), std::regex("//[^\n]*"), "");
    text = std::regex_replace(text, std::regex("#[^\n]*"), "");
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
}

struct block {
    std::string kind;  // class, struct, namespace; empty: a body
    std::string name;
    bool is_public = true;
};

/// What begins with the last ';', '{' or '}' opens a block.
block opened_by(const std::string& head) {
    std::smatch match;
    static const std::regex type(
        "^(?:.*[ >])?(class|struct)(?: \\[\\[\\w+\\]\\])? ([\\w:]+)[^()]*$");
    static const std::regex space("namespace ([\\w:]+)\\s*$");
    if (std::regex_search(head, match, space)) return {"namespace", match[1], true};
    if (head.find("enum ") == std::string::npos && std::regex_search(head, match, type))
        return {match[1], match[2], match[1] == "struct"};
    return {"", "", false};
}

/// Functions of which the answer can be awaited, "connection::send", and classes that can.
class awaitables {
 public:
    explicit awaitables(const std::string& header) {
        std::string head;
        for (const char c : header) {
            if (c == '(' && blocks_are_public()) declared(head);
            if (c == '{') blocks_.push_back(opened_by(head));
            if (c == '}' && !blocks_.empty()) blocks_.pop_back();
            if (c == ':' && !blocks_.empty()) access(head);
            if (c == ';' || c == '{' || c == '}') {
                head.clear();
            } else {
                head += c;
            }
        }
    }

    names found;

 private:
    /// In the namespace coproc and its public classes, or in a queue, which inherits there.
    bool blocks_are_public() const {
        return !blocks_.empty() &&
               std::all_of(blocks_.begin(), blocks_.end(), [&](const block& one) {
                   const bool queue = blocks_.back().name == "typed_queue";
                   return !one.kind.empty() && one.is_public && (one.name != "detail" || queue);
               });
    }

    void access(const std::string& head) {
        static const std::regex specifier("(public|protected|private)$");
        std::smatch match;
        if (std::regex_search(head, match, specifier))
            blocks_.back().is_public = match[1] == "public";
    }

    void declared(const std::string& head) {
        static const std::regex function(
            "(?:\\btask<.*>|\\bgenerator<.*>|\\w+_op(?:<.*>)?|\\w+_awaiter|\\bauto)\\s+(\\w+)"
            "$");
        static const std::regex awaiter("(operator co_await|\\bawait_resume)$");
        const bool in_class = blocks_.back().kind != "namespace";
        std::string owner = in_class ? blocks_.back().name : "";
        if (owner == "typed_queue") owner = "queue";
        std::smatch match;
        if (std::regex_search(head, awaiter)) {
            if (in_class && !is_operation(owner)) found.insert(owner);
        } else if (std::regex_search(head, match, function)) {
            const bool is_auto = head.find("auto ") != std::string::npos;
            if (is_auto && match[1] != "with_scope") return;
            if (is_operation(owner)) return;
            found.insert((owner.empty() ? "" : owner + "::") + match[1].str());
        }
    }

    /// What a function returns has no row of its own.
    static bool is_operation(const std::string& name) {
        return std::regex_search(name, std::regex("_(op|awaiter)$"));
    }

    std::vector<block> blocks_;
};

names awaitables_of_headers() {
    names found;
    for (const auto& entry : std::filesystem::directory_iterator(top / "include/coproc")) {
        if (entry.path().extension() == ".hpp")
            found.merge(awaitables(without_comments(entry.path())).found);
    }
    found.merge(awaitables(without_comments(top / "include/coproc/detail/queue_handle.hpp")).found);
    return found;
}

/// The classes that travel as handles, and what is held of them.
names objects_of_headers() {
    const std::regex handle("struct codec<(?:coproc::)?(\\w+)(?:<T>)?> ");
    const std::regex held("class (\\w+::(?:guard|permit)|lease) \\{");
    names found;
    for (const auto& entry : std::filesystem::directory_iterator(top / "include/coproc")) {
        if (entry.path().extension() != ".hpp") continue;
        const auto text = without_comments(entry.path());
        found.merge(all_matches(text, handle));
        found.merge(all_matches(text, held));
    }
    found.erase("T");  // any class by its cereal functions
    return found;
}

// -- what the tests are called

/// With whole words: "queue::get" is not the begin of "queue::get_some".
bool begins_with(const std::string& name, const std::string& words) {
    if (name.rfind(words, 0) != 0) return false;
    const char next = name.size() > words.size() ? name[words.size()] : ' ';
    return next != '_' && std::isalnum(static_cast<unsigned char>(next)) == 0;
}

names test_names() {
    const std::regex test("TEST_CASE\\(\\s*\"([^\"]*)\"");
    const std::regex row("contract_row<\\w+> \\w+\\(\\s*\"([^\"]*)\"");
    names found;
    for (const auto& entry : std::filesystem::directory_iterator(top / "tests")) {
        if (entry.path().extension() != ".cpp") continue;
        const auto text = read(entry.path());
        found.merge(all_matches(text, test));
        for (const auto& name : all_matches(text, row)) found.insert("contract: " + name);
    }
    return found;
}

}  // namespace

TEST_CASE("reference: each await has a row that says what canceling it does") {
    const names have = about(table(cancellations));
    const names want = awaitables_of_headers();
    CHECK(want.size() > 40);
    CHECK(without(want, have) == names{});
    CHECK(without(have, want) == names{});
}

TEST_CASE("reference: each shared object has a row that says what a death does") {
    const names have = about(table(deaths));
    names want = objects_of_headers();
    for (const auto* process : {"process", "parent", "call", "supervise"}) want.insert(process);
    CHECK(want.size() > 18);
    CHECK(without(want, have) == names{});
    CHECK(without(have, want) == names{});
}

TEST_CASE("reference: a test is cited by whole words") {
    CHECK(begins_with("contract: queue::get", "contract: queue::get"));
    CHECK(begins_with("contract: queue::put of a large message", "contract: queue::put"));
    CHECK(begins_with("queue: gets that time out", "queue: gets"));
    CHECK_FALSE(begins_with("contract: queue::get_some", "contract: queue::get"));
    CHECK_FALSE(begins_with("contract: connection::recv2", "contract: connection::recv"));
    CHECK_FALSE(begins_with("queue: gets that time out", "queue: get"));
}

TEST_CASE("reference: the tests that show it are there") {
    const names tests = test_names();
    names missing;
    for (const auto& heading : {deaths, cancellations}) {
        for (const auto& row : table(heading)) {
            for (const auto& cited : row.shown_by) {
                const auto begins = [&](const std::string& name) {
                    return begins_with(name, cited);
                };
                if (cited != "–" && std::none_of(tests.begin(), tests.end(), begins))
                    missing.insert(cited);
            }
        }
    }
    CHECK(missing == names{});
}
