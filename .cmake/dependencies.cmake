# What skipv1 stands on, gathered into the target skipv1::dependencies: the build and the installed package read this.
# Each dependency comes from the system where it has it, else from its release archive, pinned by hash.
option(SKIPV1_SYSTEM_PACKAGES "take dependencies from the system where it has them" ON)
option(SKIPV1_FETCH "download dependencies that are missing" ON)
option(SKIPV1_OPENMP "use all cores, by OpenMP" ON)

include(FetchContent)

# Sets `result` to the folder that holds `header`: a system folder, or `folder` of the archive at `url`.
function(skipv1_find_headers result name header folder url sha256)
  set(found SKIPV1_${name}_INCLUDE_DIR)
  if(SKIPV1_SYSTEM_PACKAGES)
    find_path(${found} ${header} DOC "where ${header} is")
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

function(skipv1_add_dependencies)
  set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)  # seen wherever skipv1 is linked
  skipv1_find_headers(xtl xtl xtl/xtl_config.hpp include
    https://github.com/xtensor-stack/xtl/archive/0.7.2.tar.gz
    95c221bdc6eaba592878090916383e5b9390a076828552256693d5d97f78357c)
  skipv1_find_headers(xtensor xtensor xtensor/xtensor_config.hpp include
    https://github.com/xtensor-stack/xtensor/archive/0.24.3.tar.gz
    3acde856b9fb8cf4e2a7b66726da541275d40ab9b002e618ad985ab97f08ca4f)
  skipv1_find_headers(xtensor_blas xtensor-blas xflens/cxxblas/cxxblas.h include
    https://github.com/xtensor-stack/xtensor-blas/archive/refs/tags/0.20.0.tar.gz
    272f5d99bb7511a616bfe41b13a000e63de46420f0b32a25fa4fb935b462c7ff)
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
  target_include_directories(skipv1::dependencies INTERFACE ${xtl} ${xtensor} ${xtensor_blas} ${xsimd} ${json}
    ${stb})

  if(NOT BLA_VENDOR)  # OpenBLAS if there is one: its kernels are several times faster than the reference BLAS
    set(BLA_VENDOR OpenBLAS)
    find_package(BLAS QUIET)
    unset(BLA_VENDOR)
  endif()
  if(NOT BLAS_FOUND)
    find_package(BLAS REQUIRED)
    find_library(SKIPV1_CBLAS_LIBRARY cblas DOC "the C interface of a BLAS that keeps it in a library of its own")
  endif()
  target_link_libraries(skipv1::dependencies INTERFACE $<$<BOOL:${SKIPV1_CBLAS_LIBRARY}>:${SKIPV1_CBLAS_LIBRARY}>
    BLAS::BLAS)

  if(SKIPV1_OPENMP)
    find_package(OpenMP QUIET COMPONENTS CXX)
    if(OpenMP_CXX_FOUND)
      target_link_libraries(skipv1::dependencies INTERFACE OpenMP::OpenMP_CXX)
    else()
      message(STATUS "skipv1: no OpenMP, work runs on one core")
    endif()
  endif()
endfunction()

if(NOT TARGET skipv1::dependencies)
  skipv1_add_dependencies()
endif()
