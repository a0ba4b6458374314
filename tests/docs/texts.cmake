# What the checks of this folder share: the tree's texts, line numbers, complaints. `root` is the tree, ours unless given.
if(NOT DEFINED root)
  set(root ${CMAKE_CURRENT_LIST_DIR}/../..)
endif()
cmake_path(ABSOLUTE_PATH root NORMALIZE)
set(complaints 0)

# The paths, from `root` on, of all files under `folders` (or files named there) that match `pattern`.
function(list_texts to folders pattern)
  set(found)
  foreach(folder IN LISTS folders)
    if(IS_DIRECTORY ${root}/${folder})
      file(GLOB_RECURSE some RELATIVE ${root} ${root}/${folder}/*)
      list(APPEND found ${some})
    elseif(EXISTS ${root}/${folder})
      list(APPEND found ${folder})
    endif()
  endforeach()
  list(FILTER found INCLUDE REGEX "${pattern}")
  list(SORT found)
  set(${to} "${found}" PARENT_SCOPE)
endfunction()

# `text` as a list may hold it. What CMake's lists take for their own is replaced: square brackets by ‹ and ›, a semicolon by ¦.
function(guard_text to text)
  string(REPLACE "[" "‹" text "${text}")
  string(REPLACE "]" "›" text "${text}")
  string(REPLACE ";" "¦" text "${text}")
  set(${to} "${text}" PARENT_SCOPE)
endfunction()

# A file's text, so guarded.
function(read_text to file)
  file(READ ${root}/${file} text)
  guard_text(text "${text}")
  set(${to} "${text}" PARENT_SCOPE)
endfunction()

# Complains, as `whole_line` says, unless the text of the variable `needle` stands in that of the variable `text`; counts it in `found`.
macro(expect_quoted text needle whole_line)
  string(FIND "${${text}}" "${${needle}}" at)
  if(at EQUAL -1)
    complain("${whole_line}")
  endif()
  math(EXPR found "${found} + 1")
endmacro()

# Where `needle` first stands in the file's `text`: "file:line", or "file" where it runs over the end of a line.
function(place_of to file text needle)
  string(FIND "${text}" "${needle}" at)
  if(at EQUAL -1)
    set(${to} ${file} PARENT_SCOPE)
    return()
  endif()
  string(SUBSTRING "${text}" 0 ${at} before)
  string(REGEX REPLACE "[^\n]" "" before "${before}")
  string(LENGTH "${before}" lines)
  math(EXPR lines "${lines} + 1")
  set(${to} ${file}:${lines} PARENT_SCOPE)
endfunction()

# `text` in one line: what begins a line of a comment or a list is dropped, so that a phrase may run over the end of a line.
function(unwrap to text)
  string(REGEX REPLACE "[ \t\r]*\n[ \t]*(///?<?|#|\\*|>)?[ \t]*" " " joined "${text}")
  set(${to} "${joined}" PARENT_SCOPE)
endfunction()

# Prints a line, and makes `finish` fail.
macro(complain text)
  math(EXPR complaints "${complaints} + 1")
  set(line "${text}")
  string(REPLACE "‹" "[" line "${line}")
  string(REPLACE "›" "]" line "${line}")
  string(REPLACE "¦" ";" line "${line}")
  message(NOTICE "${line}")
endmacro()

macro(finish summary)
  if(complaints)
    message(FATAL_ERROR "${complaints} complaints")
  endif()
  message(STATUS "${summary}")
endmacro()
