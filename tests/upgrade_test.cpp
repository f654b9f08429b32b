// A shared library that is replaced while a program runs with it, as by an upgrade.

#ifdef COPROC_SHARED_LIBRARY

#include <coproc/error.hpp>
#include <coproc/version.hpp>

#include "processes/control.hpp"
#include "support/catch.hpp"
#include "support/command.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

namespace {

namespace control = coproc::detail::control;

/// Where the program finds its library, and another one that is to replace it.
class installation {
 public:
    installation() {
        std::string name = (std::filesystem::temp_directory_path() / "coproc-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        folder_ = name;
        std::filesystem::copy_file(COPROC_SHARED_LIBRARY, library());
    }
    installation(const installation&) = delete;
    installation& operator=(const installation&) = delete;
    ~installation() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    std::string library() const { return folder_ / COPROC_SHARED_LIBRARY_SONAME; }
    std::string other() const { return folder_ / "other"; }

    coproc::testing::ended_command run() const {
        coproc::testing::command::options how;
        how.environment = {"LD_LIBRARY_PATH=" + folder_.string()};
        return coproc::testing::command({COPROC_UPGRADED, library(), other()}, how).finish();
    }

 private:
    std::filesystem::path folder_;
};

std::string read(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// Writes another build of the library, in which the last digit of `number` is another one wherever
/// it stands; how often that is.
int write_other_build(const std::string& file, const std::string& number) {
    std::string content = read(COPROC_OTHER_BUILD);
    int found = 0;
    for (auto at = content.find(number); at != std::string::npos; at = content.find(number, at)) {
        at += number.size();
        content[at - 1] = number.back() == '9' ? '8' : static_cast<char>(number.back() + 1);
        ++found;
    }
    std::ofstream(file, std::ios::binary) << content;
    return found;
}

}  // namespace

TEST_CASE("upgrade: with another patch version in the library's place children start as before",
          "[process]") {
    const installation here;
    (void)write_other_build(here.other(), COPROC_VERSION_STRING);
    REQUIRE(read(here.other()) != read(here.library()));
    const auto ended = here.run();
    CHECK(ended.code == 0);
    CHECK(ended.err.empty());
    const std::string same = ": exitcode 3 \n";
    CHECK(ended.out == "before" + same + "of the old server" + same + "spawned" + same +
                           "of a new server" + same);
}

TEST_CASE("upgrade: a library with another protocol is refused with what to do about it",
          "[process]") {
    const installation here;
    REQUIRE(write_other_build(here.other(), control::protocol) > 0);
    const auto ended = here.run();
    const std::string why = coproc::error(coproc::errc::version_mismatch).message();
    CHECK(why.find("start it anew") != std::string::npos);
    CHECK(ended.code == 0);
    CHECK(ended.err.find("no fork server, processes are spawned: " + why) != std::string::npos);
    const std::string same = ": exitcode 3 \n";
    const std::string refused = ": exitcode 1 " + why + "\n";
    CHECK(ended.out == "before" + same + "of the old server" + same + "spawned" + refused +
                           "of a new server" + refused);
}

#endif
