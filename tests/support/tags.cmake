# Writes ctest properties for the test cases of PROGRAM with certain tags to OUTPUT.

if(CATCH_VERSION VERSION_LESS 3)
  set(list_names --list-test-names-only)
else()
  set(list_names --list-tests --verbosity quiet)
endif()

# Appends set_tests_properties(<each test with the tag> PROPERTIES ...) to `script`.
function(for_tests_with tag)
  execute_process(COMMAND ${PROGRAM} ${tag} ${list_names} OUTPUT_VARIABLE names)
  string(STRIP "${names}" names)
  if(NOT names STREQUAL "")
    string(REGEX REPLACE " *\n *" "]==] [==[" names "${names}")
    string(JOIN " " properties ${ARGN})
    set(script "${script}set_tests_properties([==[${names}]==] PROPERTIES ${properties})\n"
        PARENT_SCOPE)
  endif()
endfunction()

set(script "")
for_tests_with("[process]" LABELS process)
for_tests_with("[serial]" RUN_SERIAL TRUE)
for_tests_with("[long]" TIMEOUT 1800)
file(WRITE ${OUTPUT} "${script}")
