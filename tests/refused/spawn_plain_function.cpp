// expect: scope::spawn needs a callable that returns a task
#include <coproc/scope.hpp>

void spawn_into(coproc::scope& s) {
    s.spawn([] { return 1; });
}
