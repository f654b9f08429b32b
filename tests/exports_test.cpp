// What the shared library exports: neither more nor less than what its users' code calls.

#ifdef COPROC_SHARED_LIBRARY

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/command.hpp"

namespace {

using names = std::set<std::string>;

std::string read(const std::filesystem::path& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// The symbols of these types, demangled.
names symbols(const std::string& types, std::vector<std::string> nm_arguments) {
    nm_arguments.insert(nm_arguments.begin(), {"nm", "-C", "--defined-only"});
    const auto ended = coproc::testing::command(nm_arguments).finish();
    REQUIRE(ended.code == 0);
    names found;
    std::istringstream lines(ended.out);
    for (std::string line; std::getline(lines, line);) {
        const auto type = line.find(' ') + 1;  // after the address
        if (type > 0 && types.find(line[type]) != std::string::npos)
            found.insert(line.substr(type + 2));
    }
    return found;
}

names listed() {
    names found;
    std::istringstream lines(
        read(std::filesystem::path(COPROC_SOURCE_DIR) / "runtime/package/exports.map"));
    const std::regex entry("^ *\"(.*)\";$");
    std::smatch match;
    for (std::string line; std::getline(lines, line);)
        if (std::regex_match(line, match, entry)) found.insert(match[1]);
    return found;
}

names without(const names& all, const names& those) {
    names rest;
    std::set_difference(all.begin(), all.end(), those.begin(), those.end(),
                        std::inserter(rest, rest.end()));
    return rest;
}

std::string lines_of(const names& some) {
    std::string text;
    for (const auto& name : some) text += "      \"" + name + "\";\n";
    return text;
}

/// "coproc", "codec", "encode" of "coproc::codec<coproc::lock>::encode(coproc::encoder&, …)".
std::vector<std::string> path_of(std::string name) {
    name.erase(std::min(name.find('('), name.size()));
    const std::regex arguments("<[^<>]*>");
    for (std::string shorter; shorter != name; name = shorter)
        shorter = std::exchange(name, std::regex_replace(name, arguments, ""));
    const std::regex tag("\\[abi:\\w+\\]");
    name = std::regex_replace(name, tag, "");
    std::vector<std::string> path;
    const std::regex part("\\w+=?|~\\w+");
    for (std::sregex_iterator at(name.begin(), name.end(), part), end; at != end; ++at)
        path.push_back(at->str());
    return path;
}

/// Does the header declare the function, in a class that it defines or in a namespace?
bool declares(const std::string& header, const std::vector<std::string>& path) {
    if (path.size() < 2) return false;  // in an unnamed namespace
    const std::string& owner = path.at(path.size() - 2);
    const std::string& function = path.back();
    if (header.find(function + "(") == std::string::npos) return false;
    if (owner == "coproc" || owner == "detail" || owner == "frame_pool") {
        return std::regex_search(header,
                                 std::regex("(^|\n)[\\w\\[][^\n]*[^\\w.>:]" + function + "\\("));
    }
    return std::regex_search(header,
                             std::regex("(class|struct) (\\w+::)?" + owner + "\\b[^;(]*\\{")) &&
           std::regex_search(header, std::regex("[^\\w.>:(]" + function + "\\("));
}

names declared_in_headers(const names& functions) {
    const std::regex comment("//[^\n]*");
    std::vector<std::string> headers;
    const auto folder = std::filesystem::path(COPROC_SOURCE_DIR) / "include";
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
        if (entry.path().extension() == ".hpp")
            headers.push_back(std::regex_replace(read(entry.path()), comment, ""));
    names found;
    for (const auto& name : functions) {
        if (name.rfind("coproc::", 0) != 0) continue;
        const auto path = path_of(name);
        const auto here = [&](const std::string& header) { return declares(header, path); };
        if (std::any_of(headers.begin(), headers.end(), here)) found.insert(name);
    }
    return found;
}

}  // namespace

TEST_CASE("exports: the shared library has the symbols of its list and no others") {
    for (const std::string library : {COPROC_SHARED_LIBRARY, COPROC_OTHER_BUILD}) {
        const names exported = symbols("TDBRVWu", {"-D", library});
        INFO("in " << library << ", not in runtime/package/exports.map:\n"
                   << lines_of(without(exported, listed())) << "in the list, not in the library:\n"
                   << lines_of(without(listed(), exported)));
        CHECK(exported == listed());
    }
}

TEST_CASE("exports: what a header declares and a source defines is in the list") {
    const names functions = symbols("T", {COPROC_STATIC_LIBRARY});
    const names missing = without(declared_in_headers(functions), listed());
    INFO(
        "users would get undefined references; if they are to call it, add to "
        "runtime/package/exports.map:\n"
        << lines_of(missing));
    CHECK(missing == names{});
}

#endif
