# cmake --install: both kinds of the library, headers, and what find_package and pkg-config read.
# Component `runtime` is what programs need, `development` what compiling them needs.

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/coproc)

install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development
        FILES_MATCHING PATTERN *.hpp)
install(TARGETS ${coproc_shared} EXPORT coproc-shared
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
                COMPONENT runtime NAMELINK_COMPONENT development)
install(TARGETS ${coproc_static} EXPORT coproc-static
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
foreach(kind IN ITEMS static shared)
  install(EXPORT coproc-${kind} NAMESPACE coproc:: FILE coproc-${kind}-targets.cmake
          DESTINATION ${package_dir} COMPONENT development)
endforeach()

configure_package_config_file(runtime/package/coproc-config.cmake.in
                              ${PROJECT_BINARY_DIR}/coproc-config.cmake
                              INSTALL_DESTINATION ${package_dir}
                              PATH_VARS CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/coproc-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/coproc-config.cmake
              ${PROJECT_BINARY_DIR}/coproc-config-version.cmake
        DESTINATION ${package_dir} COMPONENT development)

# The prefix is known only when it is installed: it may be given with --prefix, or be CPack's. The
# folders are mostly relative to it.
set(libdir "\${prefix}")
cmake_path(APPEND libdir ${CMAKE_INSTALL_LIBDIR})
set(includedir "\${prefix}")
cmake_path(APPEND includedir ${CMAKE_INSTALL_INCLUDEDIR})
install(CODE "
  set(libdir [[${libdir}]])
  set(includedir [[${includedir}]])
  set(version ${PROJECT_VERSION})
  set(description \"${PROJECT_DESCRIPTION}\")
  configure_file(\"${PROJECT_SOURCE_DIR}/runtime/package/coproc.pc.in\"
                 \"${PROJECT_BINARY_DIR}/coproc.pc\" @ONLY)"
  COMPONENT development)
install(FILES ${PROJECT_BINARY_DIR}/coproc.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
