# Every number of three digits or more in a tutorial's prose stands in a file that the tree has: a saved run of its folder, of docs/performance or docs/results, or a
# page of docs/results, whose tables are tested themselves. Listed below are those that are reckoned on the page.
# cmake -P prose.cmake
cmake_minimum_required(VERSION 3.25)
set(root ${CMAKE_CURRENT_LIST_DIR}/..)
include(${CMAKE_CURRENT_LIST_DIR}/docs/texts.cmake)
set(found 0)
set(reckoned_00-the-whole-idea 2.028 4.113 0.198)      # exponentials, by hand
set(reckoned_01-attention-and-its-cache 2.028 4.113 10.255)  # exponentials, by hand
set(reckoned_04-mesa-theorem 93.60 93.80)              # bounds around runs with other kernels of the BLAS
set(reckoned_05-mesa-learned 825000)                   # 55 models, five seeds, 3,000 steps
set(reckoned_09-grouped-latent-and-shared 3840)        # the paper's
set(reckoned_10-decoding-at-bandwidth 270336)          # 132 multiprocessors of 2,048 threads
set(reckoned_11-attention-step-by-step 2500)           # operations per cycle of mma.sync, rounded
set(reckoned_12-in-the-browser 18.75)                  # 3/16
list_texts(common "docs/performance;docs/results" "\\.(txt|md)$")
foreach(file IN LISTS common)
  read_text(text ${file})
  string(APPEND shared "${text}\n")
endforeach()
file(GLOB folders RELATIVE ${root} ${root}/tutorials/[0-9]*)
foreach(folder IN LISTS folders)
  cmake_path(GET folder FILENAME name)
  list_texts(own ${folder} "^[^/]*/[^/]*/[^/]*\\.(txt|json)$")
  set(sources "${shared}")
  foreach(file IN LISTS own)
    read_text(text ${file})
    string(APPEND sources "${text}\n")
  endforeach()
  string(REGEX REPLACE "([0-9]),([0-9][0-9][0-9])" "\\1\\2" sources "${sources}")
  read_text(text ${folder}/README.md)
  string(REGEX REPLACE "```[^`]*```" "" text "${text}")
  string(REGEX REPLACE "<!--[^>]*-->" "" text "${text}")
  string(REGEX REPLACE "›\\([^)]*\\)" "" text "${text}")
  string(REGEX REPLACE "([0-9]),([0-9][0-9][0-9])" "\\1\\2" text "${text}")
  string(REGEX REPLACE "([0-9]),([0-9][0-9][0-9])" "\\1\\2" text "${text}")
  string(REGEX MATCHALL "[A-Za-z0-9_.]*[0-9][A-Za-z0-9_.]*" numbers "${text}")
  foreach(number IN LISTS numbers)
    string(REGEX REPLACE "\\.$" "" number "${number}")
    string(REPLACE "." "" digits "${number}")
    string(REGEX REPLACE "^0+" "" digits "${digits}")
    if(NOT digits MATCHES "^[0-9][0-9][0-9]+$" OR number IN_LIST reckoned_${name})
      continue()
    endif()
    expect_quoted(sources number "${folder}/README.md: ${number} stands in no saved run")
  endforeach()
endforeach()
if(found LESS 400)
  complain("only ${found} numbers were found")
endif()
finish("${found} numbers of the tutorials' prose stand in saved runs")
