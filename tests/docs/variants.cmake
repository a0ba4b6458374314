# A variant's name stands in routing/variants.hpp, in importers and converters, which know others' models, and in programs, which
# name what they run: nowhere else in skipv1/ (docs/design.md, "One idea").
# cmake [-D root=FOLDER] -P variants.cmake
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/texts.cmake)

set(may_name "^skipv1/(routing/variants|io/hugging_face_[a-z]+|io/imports|io/llama2c|uptraining/convert)\\.hpp$|^skipv1/programs/")
# The same word as a name of something else.
set(otherwise "skipv1/routing/routing.hpp:resformer"  # an injection
  "skipv1/distributed/world.hpp:skipv1")              # this library

read_text(table skipv1/routing/variants.hpp)
string(REGEX MATCHALL "\\.name = \"[a-z0-9_]+\"" names "${table}")
list(REMOVE_ITEM names ".name = \"table\"")  # also the configuration's key
if(NOT names)
  complain("skipv1/routing/variants.hpp names no variant")
endif()
list_texts(files skipv1 "\\.(hpp|cuh|cpp|cu)$")
list(FILTER files EXCLUDE REGEX "${may_name}")
foreach(file IN LISTS files)
  read_text(text ${file})
  foreach(name IN LISTS names)
    string(REGEX REPLACE "\\.name = \"(.*)\"" "\\1" name "${name}")
    string(FIND "${text}" "\"${name}\"" at)
    if(NOT at EQUAL -1 AND NOT "${file}:${name}" IN_LIST otherwise)
      place_of(place ${file} "${text}" "\"${name}\"")
      complain("${place}: names the variant \"${name}\": a field of its descriptor, skipv1/routing/variants.hpp, says what it needs")
    endif()
  endforeach()
endforeach()
list(LENGTH names count)
finish("${count} variants are named by their table alone")
