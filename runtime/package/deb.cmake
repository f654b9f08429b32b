# Debian packages, libcoproc0.1 and libcoproc-dev:
#   cmake --preset package -D CPACK_DEBIAN_PACKAGE_MAINTAINER="Name <address>"
#   cmake --build --preset package --target package
# Of a tree for another prefix than /usr there are none: the library would not be where it belongs.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME coproc)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "coroutines that await child processes, queues and locks")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(soversion ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(runtime_package libcoproc${soversion})
set(development_package libcoproc-dev)
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "coproc maintainers <root@localhost>"
    CACHE STRING "Who makes the Debian packages")
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME ${runtime_package})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION
"child processes, queues and locks for coroutines: shared library
coproc lets C++20 coroutines run functions in child processes, and await their
exits, messages, pipes, queues, locks and events on one libuv loop.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME ${development_package})
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
# The static library needs what the shared one has linked.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "${runtime_package} (= ${PROJECT_VERSION}), libboost1.81-dev | libboost-dev (>= 1.75), \
libspdlog-dev, libuv1-dev (>= 1.44), pkg-config")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
"child processes, queues and locks for coroutines: development files
coproc lets C++20 coroutines run functions in child processes, and await their
exits, messages, pipes, queues, locks and events on one libuv loop. These are
its headers, the static library, and what CMake and pkg-config read.")

set(generated ${PROJECT_BINARY_DIR}/package)
file(WRITE ${generated}/triggers "activate-noawait ldconfig\n")
file(CHMOD ${generated}/triggers PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${generated}/triggers)

# What Debian wants to find in every package.
file(READ LICENSE license)
file(WRITE ${generated}/copyright "Copyright: the authors of coproc\n\n${license}")
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE ${generated}/changelog "coproc (${PROJECT_VERSION}) unstable; urgency=medium

  * Version ${PROJECT_VERSION}.

 -- ${CPACK_DEBIAN_PACKAGE_MAINTAINER}  ${now}
")
execute_process(COMMAND gzip -9nf ${generated}/changelog COMMAND_ERROR_IS_FATAL ANY)
foreach(component IN ITEMS runtime development)
  install(FILES ${generated}/copyright ${generated}/changelog.gz
          DESTINATION share/doc/${${component}_package}
          COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()

include(CPack)
