// The device vocabulary that all kernels use: indices, barriers, warp operations, vector loads. Compiled by nvcc
// (kernel/cuda.cuh) each is CUDA's own; compiled by the host compiler (kernel/emulated.cuh) it is the emulator's, which checks
// its use.
#pragma once

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "skipv1/core/bfloat16.hpp"
#include "skipv1/core/write_mode.hpp"

#if defined(__CUDACC__)
#include "skipv1/kernel/cuda.cuh"
#else
#include "skipv1/kernel/emulated.cuh"
#endif

namespace skipv1::inline SKIPV1_FLAVOUR {

inline constexpr unsigned warp_size = 32;

/// The thread's lane in its warp, and the warp's index in the block.
SKIPV1_DEVICE unsigned lane() { return thread_number() % warp_size; }
SKIPV1_DEVICE unsigned warp() { return thread_number() / warp_size; }
/// The thread's index along x in the grid.
SKIPV1_DEVICE std::size_t global_thread() { return std::size_t{block().x} * block_size().x + thread().x; }
/// The number of threads along x in the grid: the step of a grid-stride loop.
SKIPV1_DEVICE std::size_t global_threads() { return std::size_t{grid_size().x} * block_size().x; }

/// x, opaque to the compiler: it recomputes what depends on x in each iteration instead of keeping it in registers.
SKIPV1_DEVICE unsigned opaque(unsigned x) {
#if defined(__CUDACC__)
  asm volatile("" : "+r"(x));
#endif
  return x;
}

SKIPV1_HOST_DEVICE WriteMode accumulate_if(bool condition) { return condition ? WriteMode::accumulate : WriteMode::overwrite; }

/// Infinity, for floating-point types.
template <class S>
SKIPV1_DEVICE S infinity() {
  return static_cast<S>(INFINITY);
}

/// The sum, and the maximum, of x over the warp, for every lane. The order of additions is fixed.
template <class T>
SKIPV1_DEVICE T warp_sum(T x) {
  for (unsigned step = warp_size / 2; step > 0; step /= 2) x += shuffle_xor(x, step);
  return x;
}
template <class T>
SKIPV1_DEVICE T warp_max(T x) {
  for (unsigned step = warp_size / 2; step > 0; step /= 2) {
    const T other = shuffle_xor(x, step);
    x = other > x ? other : x;
  }
  return x;
}

/// The sum, and the maximum, of x over the block, for every thread. All threads of the block call it; it consists of whole warps.
template <class T>
SKIPV1_DEVICE T block_sum(T x) {
  SKIPV1_SHARED(T, partial, warp_size);
  x = warp_sum(x);
  sync_threads();  // a thread may still read for the call before
  if (lane() == 0) partial[warp()] = x;
  sync_threads();
  return warp_sum(lane() < block_size().x * block_size().y * block_size().z / warp_size ? static_cast<T>(partial[lane()]) : T(0));
}
template <class T>
SKIPV1_DEVICE T block_max(T x) {
  SKIPV1_SHARED(T, partial, warp_size);
  x = warp_max(x);
  sync_threads();
  if (lane() == 0) partial[warp()] = x;
  sync_threads();
  return warp_max(lane() < block_size().x * block_size().y * block_size().z / warp_size ? static_cast<T>(partial[lane()]) : x);
}

/// N neighbouring elements, loaded or stored by one instruction of up to 16 bytes.
template <class T, std::size_t N>
struct alignas(sizeof(T) * N) Vector {
  static_assert(sizeof(T) * N <= 16 && (N & (N - 1)) == 0);
  T at[N];
  SKIPV1_DEVICE_MEMBER T& operator[](std::size_t i) { return at[i]; }
  SKIPV1_DEVICE_MEMBER const T& operator[](std::size_t i) const { return at[i]; }
};
/// Elements of type T in 16 bytes.
template <class T>
inline constexpr std::size_t per_16_bytes = 16 / sizeof(T);

/// Load and store N elements, aligned to their size, by one instruction.
template <std::size_t N, class T>
SKIPV1_DEVICE Vector<std::remove_const_t<T>, N> load_vector(T* from) {
  check_aligned(from, sizeof(T) * N);
  return *reinterpret_cast<const Vector<std::remove_const_t<T>, N>*>(from);
}
template <class T, std::size_t N>
SKIPV1_DEVICE void store_vector(T* to, const Vector<T, N>& v) {
  check_aligned(to, sizeof(T) * N);
  *reinterpret_cast<Vector<T, N>*>(to) = v;
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
