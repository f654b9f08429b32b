#define CATCH_CONFIG_RUNNER
#include "support/catch.hpp"

#include <coproc/run.hpp>

int main(int argc, char** argv) {
    if (auto code = coproc::run_if_child()) return *code;
    return Catch::Session().run(argc, argv);
}
