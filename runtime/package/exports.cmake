# Makes the linker's version script of exports.map.
#
# Linkers write demangled names in ways of their own, "> >" or ">>", "byte []" or "byte[]", and take
# what is quoted literally. So what is no name becomes a wildcard, spaces also of no length at all.
# Whether that exports more than is listed, tests/exports_test.cpp sees.

set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS runtime/package/exports.map)
file(READ runtime/package/exports.map script)
string(REGEX MATCHALL "\"coproc::[^\"]+\"" entries "${script}")
foreach(entry IN LISTS entries)
  string(REGEX REPLACE "^\"(.*)\"$" "\\1" pattern "${entry}")
  string(REPLACE " " "*" pattern "${pattern}")
  string(REPLACE "::" " " pattern "${pattern}")
  string(REGEX REPLACE "[^A-Za-z0-9_* ]" "?" pattern "${pattern}")
  string(REPLACE " " "::" pattern "${pattern}")
  string(REPLACE "${entry}" "${pattern}" script "${script}")
endforeach()
set(coproc_version_script ${PROJECT_BINARY_DIR}/exports.map)
file(CONFIGURE OUTPUT ${coproc_version_script} CONTENT "${script}" @ONLY)
