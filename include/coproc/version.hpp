#pragma once
// Which coproc this is, for the preprocessor:
//
//   #if COPROC_VERSION >= 200
//
// The build takes its version from here.

#define COPROC_VERSION_MAJOR 0
#define COPROC_VERSION_MINOR 1
#define COPROC_VERSION_PATCH 0

/// 10000 * major + 100 * minor + patch. Before 1.0 each minor version has a binary interface of its
/// own. The shared library of one patch version takes the place of another's, also under a program
/// that runs, whose next children may then be of another patch version than it is itself; where the
/// two do not understand each other, such a child ends with errc::version_mismatch.
#define COPROC_VERSION \
    (10000 * COPROC_VERSION_MAJOR + 100 * COPROC_VERSION_MINOR + COPROC_VERSION_PATCH)

#define COPROC_VERSION_QUOTE_NOW(number) #number
#define COPROC_VERSION_QUOTE(number) COPROC_VERSION_QUOTE_NOW(number)
/// "0.1.0"
#define COPROC_VERSION_STRING                  \
    COPROC_VERSION_QUOTE(COPROC_VERSION_MAJOR) \
    "." COPROC_VERSION_QUOTE(COPROC_VERSION_MINOR) "." COPROC_VERSION_QUOTE(COPROC_VERSION_PATCH)
