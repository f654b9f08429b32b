# Target `docs`: the reference, in docs/html of the build tree; not part of `all`.

find_program(COPROC_DOXYGEN doxygen)
mark_as_advanced(COPROC_DOXYGEN)
if(COPROC_DOXYGEN)
  set(doxyfile ${PROJECT_BINARY_DIR}/Doxyfile)
  configure_file(runtime/package/Doxyfile.in ${doxyfile} @ONLY)
  add_custom_target(docs COMMAND ${COPROC_DOXYGEN} ${doxyfile}
                    COMMENT "Reference: ${PROJECT_BINARY_DIR}/docs/html/index.html")
endif()
