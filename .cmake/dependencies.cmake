# What skipv1 stands on, gathered into the target skipv1::dependencies: the build and the installed package read this.
# Each dependency comes from the system where it has it, else from its release archive, pinned by hash.
option(SKIPV1_SYSTEM_PACKAGES "take dependencies from the system where it has them" ON)
option(SKIPV1_FETCH "download dependencies that are missing" ON)
option(SKIPV1_OPENMP "use all cores, by OpenMP" ON)
set(SKIPV1_BLAS AUTO CACHE STRING "matrix products: AUTO (a BLAS where there is one), ON (a BLAS) or PLAIN (loops of our own)")
set_property(CACHE SKIPV1_BLAS PROPERTY STRINGS AUTO ON PLAIN)

include(CheckCXXSourceCompiles)
include(FetchContent)

# Sets `result` to the folder that holds `header`: a system folder, or `folder` of the archive at `url`.
function(skipv1_find_headers result name header folder url sha256)
  set(found SKIPV1_${name}_INCLUDE_DIR)
  if(SKIPV1_SYSTEM_PACKAGES)
    find_path(${found} NAMES ${header} DOC "where ${header} is")
  else()
    unset(${found} CACHE)
  endif()
  if(NOT ${found})
    if(NOT SKIPV1_FETCH)
      message(FATAL_ERROR "skipv1 needs ${name}: no ${header} found (CMAKE_PREFIX_PATH or ${found} say where to look)")
    endif()
    message(STATUS "${name}: from ${url}")
    # There is nothing to build, so its own CMakeLists.txt is passed over: SOURCE_SUBDIR names no folder.
    FetchContent_Declare(${name} URL ${url} URL_HASH SHA256=${sha256} SOURCE_SUBDIR headers-only)
    FetchContent_MakeAvailable(${name})
    string(TOLOWER ${name} name)
    set(${found} ${${name}_SOURCE_DIR}/${folder})
    set_property(GLOBAL APPEND PROPERTY SKIPV1_FETCHED -D${found}=${${found}})
  endif()
  set(${result} ${${found}} PARENT_SCOPE)
endfunction()

# Matrix products: by a BLAS with a C interface, or by the library's own loops (SKIPV1_PLAIN_BLAS).
function(skipv1_find_blas)
  if(NOT SKIPV1_BLAS STREQUAL PLAIN)
    if(NOT BLA_VENDOR)  # OpenBLAS if there is one: its kernels are several times faster than the reference BLAS
      set(BLA_VENDOR OpenBLAS)
      find_package(BLAS QUIET)
      unset(BLA_VENDOR)
    endif()
    if(NOT BLAS_FOUND)
      find_package(BLAS QUIET)
      find_library(SKIPV1_CBLAS_LIBRARY cblas DOC "the C interface of a BLAS that keeps it in a library of its own")
    endif()
    if(BLAS_FOUND)
      set(CMAKE_REQUIRED_LIBRARIES $<$<BOOL:${SKIPV1_CBLAS_LIBRARY}>:${SKIPV1_CBLAS_LIBRARY}> BLAS::BLAS)
      check_cxx_source_compiles("extern \"C\" void cblas_sgemm(); int main() { cblas_sgemm(); }" SKIPV1_HAS_CBLAS)
      if(SKIPV1_HAS_CBLAS)
        target_link_libraries(skipv1::dependencies INTERFACE ${CMAKE_REQUIRED_LIBRARIES})
        set_property(GLOBAL PROPERTY SKIPV1_BLAS_LIBRARIES ${SKIPV1_CBLAS_LIBRARY} ${BLAS_LIBRARIES})
        return()
      endif()
    endif()
    if(NOT SKIPV1_BLAS STREQUAL AUTO)
      message(FATAL_ERROR "skipv1: no BLAS with a C interface found (BLA_VENDOR, CMAKE_PREFIX_PATH and SKIPV1_CBLAS_LIBRARY say "
        "where to look; SKIPV1_BLAS=PLAIN does without)")
    endif()
    message(STATUS "skipv1: no BLAS with a C interface, matrix products are plain loops, several times slower")
  endif()
  target_compile_definitions(skipv1::dependencies INTERFACE SKIPV1_PLAIN_BLAS)
endfunction()

# Writes skipv1.pc for pkg-config into `folder`, with the flags that were found here, and skipv1-compiled.pc. Both find what was
# installed by where they lie: `cmake --install --prefix` says only then where that is.
function(skipv1_pkg_config folder)
  file(RELATIVE_PATH prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
  get_target_property(folders skipv1::dependencies INTERFACE_INCLUDE_DIRECTORIES)
  list(REMOVE_DUPLICATES folders)
  list(REMOVE_ITEM folders /usr/include)
  list(TRANSFORM folders PREPEND -isystem)
  get_property(libraries GLOBAL PROPERTY SKIPV1_BLAS_LIBRARIES)
  list(FILTER libraries EXCLUDE REGEX NOTFOUND)
  set(flags -std=c++20 ${OpenMP_CXX_FLAGS} ${folders})
  if(NOT libraries)
    list(APPEND flags -DSKIPV1_PLAIN_BLAS)
  endif()
  list(JOIN flags " " flags)
  list(JOIN libraries " " libraries)
  file(CONFIGURE OUTPUT ${folder}/skipv1.pc @ONLY CONTENT [[
prefix=${pcfiledir}/@prefix@
Name: @PROJECT_NAME@
Description: @PROJECT_DESCRIPTION@
Version: @PROJECT_VERSION@
Cflags: -I${prefix}/@CMAKE_INSTALL_INCLUDEDIR@ @flags@
Libs: @libraries@ @OpenMP_CXX_FLAGS@
]])
  file(CONFIGURE OUTPUT ${folder}/skipv1-compiled.pc @ONLY CONTENT [[
Name: @PROJECT_NAME@-compiled
Description: the decoder and its trainer, compiled
Version: @PROJECT_VERSION@
Requires: skipv1
Cflags: -DSKIPV1_INSTANCES
Libs: -L${pcfiledir}/.. -lskipv1_compiled
]])
endfunction()

function(skipv1_add_dependencies)
  set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)  # seen wherever skipv1 is linked
  skipv1_find_headers(xsimd xsimd xsimd/xsimd.hpp include
    https://github.com/xtensor-stack/xsimd/archive/8.1.0.tar.gz
    d52551360d37709675237d2a0418e28f70995b5b7cdad7c674626bcfbbf48328)
  skipv1_find_headers(json nlohmann_json nlohmann/json.hpp include
    https://github.com/nlohmann/json/releases/download/v3.11.3/include.zip
    a22461d13119ac5c78f205d3df1db13403e58ce1bb1794edc9313677313f4a9d)
  skipv1_find_headers(stb stb "stb/stb_image_write.h;stb_image_write.h" .
    https://github.com/nothings/stb/archive/8b5f1f37b5b75829fc72d38e7b5d4bcbf8a26d55.zip
    93a16ee3e866e719feec459f6f132cce932c5ec751eb38e3ec1975f911353d2e)
  # An imported target: its headers are system headers to whoever includes them.
  add_library(skipv1::dependencies INTERFACE IMPORTED GLOBAL)
  target_include_directories(skipv1::dependencies INTERFACE ${xsimd} ${json} ${stb})

  skipv1_find_blas()

  if(SKIPV1_OPENMP)
    find_package(OpenMP QUIET COMPONENTS CXX)
    if(OpenMP_CXX_FOUND)
      target_link_libraries(skipv1::dependencies INTERFACE OpenMP::OpenMP_CXX)
    else()
      message(STATUS "skipv1: no OpenMP, work runs on one core")
    endif()
  endif()
endfunction()

get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(NOT CMAKE_BUILD_TYPE AND NOT multi_config AND NOT CMAKE_CXX_FLAGS MATCHES "-O")
  message(WARNING "skipv1: CMAKE_BUILD_TYPE is not set, so nothing is optimised: training takes 14 times as long as with Release")
endif()
if(NOT TARGET skipv1::dependencies)
  skipv1_add_dependencies()
endif()
