// The number of blocks that the device holds at once: the grid of a persistent kernel.
#pragma once

#include "skipv1/kernel/launch.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// The most bytes of shared memory per block.
inline std::size_t shared_memory_of_block() {
#if defined(__CUDACC__)
  int device = 0, bytes = 0;
  check_cuda(cudaGetDevice(&device), "asking for the device");
  check_cuda(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "asking for the shared memory");
  return static_cast<std::size_t>(bytes);
#else
  return emulator::SharedMemory::capacity;
#endif
}

/// Resident blocks of `threads` threads and `bytes` of dynamic shared memory, over all multiprocessors; 6 in the emulator.
template <class... Parameters>
std::size_t resident_blocks([[maybe_unused]] void (*kernel)(Parameters...), [[maybe_unused]] std::size_t threads,
                            [[maybe_unused]] std::size_t bytes) {
#if defined(__CUDACC__)
  int device = 0, processors = 0, blocks = 0;
  check_cuda(cudaGetDevice(&device), "asking for the device");
  check_cuda(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "asking for the multiprocessors");
  allow_shared_memory(reinterpret_cast<const void*>(kernel), bytes, "of resident blocks");
  check_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, static_cast<int>(threads), bytes),
             "asking for the blocks of a multiprocessor");
  return static_cast<std::size_t>(processors) * static_cast<std::size_t>(blocks);
#else
  return 6;
#endif
}

/// How many clusters of `blocks` such blocks the whole device holds at once: 0 below compute capability 9.0. In the emulator as
/// many as 12 blocks make.
template <class... Parameters>
std::size_t resident_clusters([[maybe_unused]] void (*kernel)(Parameters...), [[maybe_unused]] std::size_t threads,
                              [[maybe_unused]] std::size_t bytes, unsigned blocks) {
#if defined(__CUDACC__)
  int device = 0, major = 0, clusters = 0;
  check_cuda(cudaGetDevice(&device), "asking for the device");
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "asking for the compute capability");
  if (major < 9) return 0;
  allow_shared_memory(reinterpret_cast<const void*>(kernel), bytes, "of resident clusters");
  LaunchConfiguration where({"", blocks, threads, bytes, Resident::some, blocks});
  check_cuda(cudaOccupancyMaxActiveClusters(&clusters, kernel, &where.config), "asking for the clusters of the device");
  return static_cast<std::size_t>(clusters);
#else
  return 12 / blocks;
#endif
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
