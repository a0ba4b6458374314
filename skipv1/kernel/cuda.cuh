// The device vocabulary of kernel.cuh compiled by nvcc.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "skipv1/core/bfloat16.hpp"
#include "skipv1/core/grid.cuh"
#include "skipv1/kernel/flavour.cuh"

/// Whether this is compiled for sm_90a, which has wgmma, TMA and setmaxnreg.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define SKIPV1_SM90A 1
#else
#define SKIPV1_SM90A 0
#endif
#define SKIPV1_KERNEL __global__ void
/// `__launch_bounds__`: the most threads per block, and the least blocks per multiprocessor, which limit the registers.
#define SKIPV1_BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#define SKIPV1_DEVICE __device__ __forceinline__
#define SKIPV1_DEVICE_MEMBER __device__ __forceinline__
#define SKIPV1_HOST_DEVICE __host__ __device__ __forceinline__
#define SKIPV1_UNROLL _Pragma("unroll")
#define SKIPV1_NO_UNROLL _Pragma("unroll 1")
/// A static shared array of `count` elements: `SKIPV1_SHARED(float, tile, 256);`
#define SKIPV1_SHARED(T, name, count)                                     \
  __shared__ alignas(16) unsigned char name##_bytes[sizeof(T) * (count)]; \
  const ::skipv1::Shared<T> name { reinterpret_cast<T*>(name##_bytes), count }

namespace skipv1::inline SKIPV1_FLAVOUR {

SKIPV1_DEVICE uint3 thread() { return threadIdx; }
SKIPV1_DEVICE uint3 block() { return blockIdx; }
SKIPV1_DEVICE dim3 block_size() { return blockDim; }
SKIPV1_DEVICE dim3 grid_size() { return gridDim; }

/// The thread's linear index in its block.
SKIPV1_DEVICE unsigned thread_number() { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }

SKIPV1_DEVICE void sync_threads() { __syncthreads(); }
SKIPV1_DEVICE void sync_warp() { __syncwarp(); }

/// For kernels that start early (`Start::early`), from sm_90 on: waits until the kernel before has ended and its writes are seen.
SKIPV1_DEVICE void wait_for_kernel_before() {
#if SKIPV1_SM90A
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/// Once all blocks have called this or ended, the next kernel may start, if it starts early.
SKIPV1_DEVICE void let_next_kernel_start() {
#if SKIPV1_SM90A
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

template <class T>
SKIPV1_DEVICE T shuffle(T x, unsigned lane) {
  return __shfl_sync(0xffffffffu, x, static_cast<int>(lane));
}
template <class T>
SKIPV1_DEVICE T shuffle_xor(T x, unsigned mask) {
  return __shfl_xor_sync(0xffffffffu, x, static_cast<int>(mask));
}
template <class T>
SKIPV1_DEVICE T shuffle_down(T x, unsigned delta) {
  return __shfl_down_sync(0xffffffffu, x, delta);
}
SKIPV1_DEVICE bool any(bool x) { return __any_sync(0xffffffffu, x) != 0; }
SKIPV1_DEVICE bool all(bool x) { return __all_sync(0xffffffffu, x) != 0; }
SKIPV1_DEVICE unsigned ballot(bool x) { return __ballot_sync(0xffffffffu, x); }

/// The index of the lowest bit that is set (`__ffs`); at least one is.
SKIPV1_DEVICE unsigned lowest_bit(unsigned bits) { return static_cast<unsigned>(__ffs(static_cast<int>(bits)) - 1); }

/// How many bits are set (`__popc`).
SKIPV1_DEVICE unsigned bit_count(unsigned bits) { return static_cast<unsigned>(__popc(static_cast<int>(bits))); }

/// An array in shared memory.
template <class T>
struct Shared {
  T* data;
  std::size_t count;
  SKIPV1_DEVICE_MEMBER T& operator[](std::size_t i) const { return data[i]; }
};
/// `count` elements from byte `offset` of the launch's dynamic shared memory on.
template <class T>
SKIPV1_DEVICE Shared<T> dynamic_shared(std::size_t offset, std::size_t count) {
  extern __shared__ __align__(1024) uint4 skipv1_dynamic_shared[];  // the 128-byte swizzle of wgmma and TMA needs it
  return {reinterpret_cast<T*>(reinterpret_cast<unsigned char*>(skipv1_dynamic_shared) + offset), count};
}

template <class T>
SKIPV1_DEVICE void atomic_add(T* to, T x) {
  atomicAdd(to, x);
}
template <class T>
SKIPV1_DEVICE void atomic_add(const Shared<T>& to, std::size_t i, T x) {
  atomicAdd(to.data + i, x);
}
template <class T>
SKIPV1_DEVICE T read_only(const T* p) {
  return __ldg(p);
}
SKIPV1_DEVICE void check_aligned(const void*, std::size_t) {}

/// `2^x` and `1 / sqrt(x)`, in float approximated to 2 ulp (`ex2.approx`, `rsqrtf`).
SKIPV1_DEVICE float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
SKIPV1_DEVICE double fast_exp2(double x) { return ::exp2(x); }
SKIPV1_DEVICE float fast_rsqrt(float x) { return ::rsqrtf(x); }
SKIPV1_DEVICE double fast_rsqrt(double x) { return ::rsqrt(x); }

/// `createpolicy`: the policy of loads of what is read once, which the second-level cache evicts before other lines.
SKIPV1_DEVICE std::uint64_t evict_first() {
  std::uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
