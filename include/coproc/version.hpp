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
/// own.
#define COPROC_VERSION \
    (10000 * COPROC_VERSION_MAJOR + 100 * COPROC_VERSION_MINOR + COPROC_VERSION_PATCH)

#define COPROC_VERSION_QUOTE_NOW(number) #number
#define COPROC_VERSION_QUOTE(number) COPROC_VERSION_QUOTE_NOW(number)
/// "0.1.0"
#define COPROC_VERSION_STRING                  \
    COPROC_VERSION_QUOTE(COPROC_VERSION_MAJOR) \
    "." COPROC_VERSION_QUOTE(COPROC_VERSION_MINOR) "." COPROC_VERSION_QUOTE(COPROC_VERSION_PATCH)
