# What lies at the top of the tree is what docs/design.md names, and hidden files: nothing that a tool has left there.
# cmake [-D root=FOLDER] -P layout.cmake
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/texts.cmake)

set(named CMakeLists.txt CMakePresets.json LICENSE README.md data docs skipv1 tests tutorials)
find_program(git git)
if(git AND EXISTS ${root}/.git)  # what is committed; builds and runs may lie beside it
  execute_process(COMMAND ${git} -C ${root} ls-tree --name-only HEAD OUTPUT_VARIABLE names OUTPUT_STRIP_TRAILING_WHITESPACE
    COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX REPLACE "\n" ";" names "${names}")
else()
  file(GLOB names RELATIVE ${root} ${root}/*)
endif()
foreach(name IN LISTS names)
  if(NOT name MATCHES "^\\.|^build$" AND NOT name IN_LIST named)
    message(SEND_ERROR "${name}: lies at the top of the tree, where only ${named} and hidden files do")
  endif()
endforeach()
