# Sourced by .ci/run and .ci/full.

. "$(dirname "${BASH_SOURCE[0]}")/../tests/support/setup.sh"

# step TITLE COMMAND...: a heading, the command, the time it took. The first failure ends the run.
step() {
    local title=$1 begin=$SECONDS
    shift
    printf '\n===== %s =====\n' "$title"
    "$@" || fail "FAILED: $title, after $((SECONDS - begin)) s"
    printf -- '----- %s: %d s, %d s in all\n' "$title" $((SECONDS - begin)) "$SECONDS"
}

build_and_test() {
    configure "$1" && build "$1" && ctest --preset "$1" --parallel "$(nproc)" "${@:2}" &&
        say_notes "$1"
}

# ThreadSanitizer looks at one process, and aborts on clone(VFORK).
thread_sanitizer() {
    configure tsan && build tsan coproc_tests &&
        TSAN_OPTIONS=halt_on_error=1 timeout 600 build/tsan/tests/coproc_tests '~[process]'
}

# fuzz SECONDS: from no input at all; what has broken it is written to build/fuzz/crash-….
fuzz() {
    configure fuzz && build fuzz decode_fuzz &&
        build/fuzz/tests/fuzz/decode_fuzz -max_total_time="$1" -max_len=4096 -print_final_stats=1 \
            -verbosity=0 -artifact_prefix=build/fuzz/
}

# soak SECONDS: a server and a pool under fire, with the release build.
soak() {
    configure release && build release && COPROC_SOAK="$1" build/release/tests/coproc_tests '[soak]'
}

check_format() {
    find include runtime tests benchmarks -name '*.[ch]pp' -print0 |
        xargs -0 clang-format-19 --dry-run -Werror
}

# The number of ctest tests in some presets.
count_tests() {
    local preset total=0
    for preset; do
        total=$((total + $(ctest --preset "$preset" -N | sed -n 's/^Total Tests: *//p')))
    done
    say "$total"
}

# What git says has changed since the upstream branch, or in the last twenty commits.
changed_files() {
    local base
    base=$(git merge-base HEAD origin/main 2>/dev/null) || base=
    if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then
        base=$(git rev-parse --verify --quiet HEAD~20) || return 1
    fi
    git diff --name-only --diff-filter=d "$base"
    git ls-files --others --exclude-standard
}

# clang-tidy reads sources; a public header is read through the file that compiles it alone, a
# private one through the source beside it.
check_tidy() {
    configure clang
    local file files=() sources=()
    [ "${1-}" = all ] || mapfile -t files < <(changed_files)
    [ ${#files[@]} -gt 0 ] || mapfile -t files < <(find include/coproc runtime -name '*.[ch]pp')
    for file in "${files[@]}"; do
        case $file in
            include/coproc/detail/*) file=build/clang/tests/headers/coproc/coproc.hpp.cpp ;;
            include/coproc/*.hpp) file=build/clang/tests/headers/${file#include/}.cpp ;;
            runtime/*.hpp) file=${file%.hpp}.cpp ;;
            runtime/*.cpp) ;;
            *) continue ;;
        esac
        [ ! -f "$file" ] || sources+=("$file")
    done
    printf '%s\n' "${sources[@]}" | sort -u |
        xargs -r -P "$(nproc)" -n 1 clang-tidy-19 -p build/clang --quiet
}
