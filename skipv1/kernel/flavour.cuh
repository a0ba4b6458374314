// The .cuh files exist in two flavours, which one program may link: compiled by nvcc they work on `Cuda` tensors, compiled by the
// host compiler on `Emulated` ones. Each flavour has an inline namespace of its own, so that no symbol of one meets the other's.
#pragma once

#include "skipv1/core/view.hpp"

#if defined(__CUDACC__)
#define SKIPV1_FLAVOUR on_cuda
#else
#define SKIPV1_FLAVOUR on_emulator
#endif

namespace skipv1::inline SKIPV1_FLAVOUR {

/// The memory space of this flavour, and its name, as programs' option `--device` has it.
#if defined(__CUDACC__)
using Device = Cuda;
inline constexpr const char* device_name = "cuda";
#else
using Device = Emulated;
inline constexpr const char* device_name = "emulated";
#endif

}  // namespace skipv1::inline SKIPV1_FLAVOUR
