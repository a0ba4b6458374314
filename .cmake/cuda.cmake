# The CUDA half by nvcc, where SKIPV1_CUDA asks for it: `skipv1_cuda` says whether it is on.
set(skipv1_cuda ${SKIPV1_CUDA})
if(skipv1_cuda STREQUAL AUTO)
  set(skipv1_cuda OFF)
  find_program(NVIDIA_SMI nvidia-smi)
  if(NVIDIA_SMI)
    execute_process(COMMAND ${NVIDIA_SMI} -L RESULT_VARIABLE no_device OUTPUT_QUIET ERROR_QUIET)
    if(NOT no_device)
      check_language(CUDA)
      set(skipv1_cuda ${CMAKE_CUDA_COMPILER})
    endif()
  endif()
endif()
if(NOT skipv1_cuda)
  return()
endif()

if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80 90a)  # 90a: with the products of warpgroups
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

# What kernels are compiled with. C++20 is not asked for by CUDA_STANDARD, which CMake 3.25 refuses for CUDA 13.
add_library(skipv1_nvcc INTERFACE)
target_compile_options(skipv1_nvcc INTERFACE
  $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;--expt-relaxed-constexpr;-diag-suppress=554>
  $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<TARGET_EXISTS:OpenMP::OpenMP_CXX>>:-Xcompiler=${OpenMP_CXX_FLAGS}>)
target_compile_definitions(skipv1_nvcc INTERFACE SKIPV1_INSTANCES)
target_link_libraries(skipv1_nvcc INTERFACE CUDA::cublasLt)

# Sets `result` to sources for nvcc that include those given.
function(skipv1_cuda_units result)
  set(units)
  foreach(source IN LISTS ARGN)
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE name)
    set(unit ${PROJECT_BINARY_DIR}/cuda/${name}.cu)
    file(CONFIGURE OUTPUT ${unit} CONTENT "#include \"${source}\"\n")
    list(APPEND units ${unit})
  endforeach()
  set(${result} ${units} PARENT_SCOPE)
endfunction()
