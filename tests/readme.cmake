# Compiles each ```cpp block of README.md, so that what users copy works:
#   with `int main`   a program of its own
#   with `#include`   a file of its own
#   otherwise         the body of a coroutine

file(GLOB readme CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/README.md)
if(NOT readme)
  return()
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${readme})

set(prelude [[
#include <coproc/coproc.hpp>

#include <csignal>
#include <iostream>

using namespace std::chrono_literals;

coproc::task<void> fragment() {
]])

set(programs "")
set(fragments "")
file(READ ${readme} rest)
set(rest "\n${rest}")
set(line 0) # of README.md, for the compiler's messages
set(opening "\n```cpp\n")
string(LENGTH "${opening}" opening_length)
while(TRUE)
  string(FIND "${rest}" "${opening}" begin)
  if(begin EQUAL -1)
    break()
  endif()
  math(EXPR begin "${begin} + ${opening_length}")
  string(SUBSTRING "${rest}" 0 ${begin} skipped)
  string(SUBSTRING "${rest}" ${begin} -1 rest)
  string(REGEX REPLACE "[^\n]" "" newlines "${skipped}")
  string(LENGTH "${newlines}" count)
  math(EXPR line "${line} + ${count}")

  string(FIND "${rest}" "\n```" end)
  if(end EQUAL -1)
    message(FATAL_ERROR "README.md:${line}: this block of code has no end")
  endif()
  math(EXPR end "${end} + 1")
  string(SUBSTRING "${rest}" 0 ${end} code)

  set(code "#line ${line} \"${readme}\"\n${code}")
  set(source ${CMAKE_CURRENT_BINARY_DIR}/readme/line_${line}.cpp)
  if(code MATCHES "int main")
    list(APPEND programs ${source})
  else()
    list(APPEND fragments ${source})
    if(NOT code MATCHES "#include")
      set(code "${prelude}${code}    co_return;\n}\n")
    endif()
  endif()
  set(before "")
  if(EXISTS ${source})
    file(READ ${source} before)
  endif()
  if(NOT code STREQUAL before) # or each run would compile everything again
    file(WRITE ${source} "${code}")
  endif()

  # The text after the block still begins with its last line break, which `line` has not counted.
  math(EXPR end "${end} - 1")
  string(SUBSTRING "${rest}" 0 ${end} skipped)
  string(SUBSTRING "${rest}" ${end} -1 rest)
  string(REGEX REPLACE "[^\n]" "" newlines "${skipped}")
  string(LENGTH "${newlines}" count)
  math(EXPR line "${line} + ${count}")
endwhile()

# GCC takes what #line says is in another file for a header, and warns of its lambdas.
set(as_if_in_readme $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
foreach(source IN LISTS programs)
  cmake_path(GET source STEM name)
  add_executable(readme_${name} ${source})
  target_link_libraries(readme_${name} PRIVATE coproc::coproc)
  coproc_warnings(readme_${name})
  target_compile_options(readme_${name} PRIVATE ${as_if_in_readme})
endforeach()
if(fragments)
  add_library(coproc_readme OBJECT ${fragments})
  target_link_libraries(coproc_readme PRIVATE coproc::coproc)
  target_compile_options(coproc_readme PRIVATE ${as_if_in_readme})
endif()
