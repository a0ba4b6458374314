# xtensor, which core/xtensor.hpp needs and so our tests do; the target skipv1_xtensor.
skipv1_find_headers(xtl xtl xtl/xtl_config.hpp include
  https://github.com/xtensor-stack/xtl/archive/0.7.5.tar.gz
  3286fef5fee5d58f82f7b91375cd449c819848584bae9367893501114d923cbe)
skipv1_find_headers(xtensor xtensor "xtensor/core/xtensor_config.hpp;xtensor/xtensor_config.hpp" include  # 0.26 moved it
  https://github.com/xtensor-stack/xtensor/archive/refs/tags/0.25.0.tar.gz
  32d5d9fd23998c57e746c375a544edf544b74f0a18ad6bc3c38cbba968d5e6c7)
add_library(skipv1_xtensor INTERFACE)
target_include_directories(skipv1_xtensor SYSTEM INTERFACE ${xtl} ${xtensor})

# Clang 19 and later take xtensor's templates before 0.25 (Debian 12's) for ambiguous, unless told to match as earlier ones did.
function(skipv1_clang_and_xtensor folder)
  set(config ${folder}/xtensor/xtensor_config.hpp)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES Clang OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19 OR NOT EXISTS ${config})
    return()
  endif()
  file(STRINGS ${config} minor REGEX "XTENSOR_VERSION_MINOR +[0-9]+")
  string(REGEX REPLACE ".*MINOR +" "" minor "${minor}")
  if(minor LESS 25)
    target_compile_options(skipv1_xtensor INTERFACE
      $<$<COMPILE_LANGUAGE:CXX>:-fno-relaxed-template-template-args;-Wno-deprecated-no-relaxed-template-template-args>)
  endif()
endfunction()
skipv1_clang_and_xtensor(${xtensor})
