# Sourced by tests/run, tests/tour and .ci: goes to the top of the source tree, installs what is
# missing (Debian, Ubuntu), builds a preset. Prints next to nothing when there is nothing to do.

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf '%s\n' "$*"; }
fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# A tool may have come from elsewhere, a library counts only as a package.
present() {
    command -v "${1%-build}" >/dev/null ||
        dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# Whether the headers of Boost >= 1.75 are there. Older ones are in the way of newer packages.
boost_present() {
    local header version
    for header in /usr/local/include/boost/version.hpp /usr/include/boost/version.hpp; do
        [ -f "$header" ] || continue
        version=$(awk '$1 == "#define" && $2 == "BOOST_VERSION" { print $3 }' "$header")
        [ "$version" -lt 107500 ] || return 0
        fail "Boost >= 1.75 is needed, and $header is version $version. It belongs to" \
             "$(dpkg-query -S "$header" 2>/dev/null | cut -d: -f1 | grep . || say "no package")," \
             "which excludes libboost1.81-dev: remove it first"
    done
    return 1
}

# need PACKAGE...: installs those that are missing; `boost` stands for any Boost >= 1.75.
need() {
    local package missing=()
    command -v apt-get >/dev/null ||
        fail "there is no apt-get to install what is needed: $* (Debian's names; boost >= 1.75)"
    for package in "$@"; do
        if [ "$package" = boost ]; then
            boost_present || missing+=(boost)
        else
            present "$package" || missing+=("$package")
        fi
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    say "installing: ${missing[*]}"
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || fail "installing needs root or sudo"
    as_root apt-get update -qq || fail "apt-get update failed"
    for package in "${!missing[@]}"; do
        [ "${missing[package]}" = boost ] || continue
        # Debian 12's libboost-dev is 1.74; systems without a 1.81 have a libboost-dev after it.
        missing[package]=libboost1.81-dev
        apt-cache show libboost1.81-dev >/dev/null 2>&1 || missing[package]=libboost-dev
    done
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=120 \
        --no-remove --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "apt-get could not install ${missing[*]}"
}

# configure PRESET: quiet unless it fails.
configure() {
    local output
    output=$(cmake --preset "$1" 2>&1) || fail "cmake --preset $1"$'\n'"$output"
}

# build PRESET [TARGET]
build() {
    local quiet=()
    [ -t 1 ] || quiet=(-- --quiet)
    say "building: $1${2:+, $2}"
    cmake --build --preset "$1" --parallel "$(nproc)" ${2:+--target "$2"} "${quiet[@]}"
}

# say_notes PRESET: what tests that passed had to say (kills survived, requests answered),
# one line a test, which ctest itself does not show. Kills are summed up.
say_notes() {
    awk '
        function end_test() {
            if (kills) said = said "; " kills " kills survived"
            if (said) print "noted: " name substr(said, 2)
            said = kills = ""
        }
        function end_text() {
            if (match(text, /[0-9]+ (double )?kills survived$/)) kills += substr(text, RSTART)
            else if (text) said = said "; " text
            text = ""
        }
        /^[0-9]+\/[0-9]+ Test: / { end_test(); sub(/^[^:]*: /, ""); name = $0 ":" }
        /: warning:$/ { in_text = 1; next }
        in_text && /^$/ { in_text = 0; end_text() }
        in_text { sub(/^ +/, ""); text = text (text ? " " : "") $0 }
        END { end_test() }
    ' "build/$1/Testing/Temporary/LastTest.log"
}
