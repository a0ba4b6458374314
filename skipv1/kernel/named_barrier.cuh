// Named barriers: `bar.sync id, count`. Warps may reach one at different places of the code, as producers and consumers do.
#pragma once

#include "skipv1/kernel/kernel.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

#if defined(__CUDACC__)

/// `bar.sync` at barrier `id`, 1 … 15 (0 is that of `sync_threads`), for `threads` threads, whole warps.
template <unsigned id, unsigned threads>
SKIPV1_DEVICE void named_barrier_sync() {
  static_assert(id >= 1 && id <= 15 && threads % warp_size == 0);
  asm volatile("bar.sync %0, %1;" ::"n"(id), "n"(threads) : "memory");
}

#else

template <unsigned id, unsigned threads>
void named_barrier_sync() {
  static_assert(id >= 1 && id <= 15 && threads % warp_size == 0);
  if (block_size().size() != threads)
    emulator::Worker::running().report("named barrier ", id, " of ", threads, " threads in a block of ", block_size().size(),
                                       ": the emulator needs all of them");
  sync_threads();
}

#endif

}  // namespace skipv1::inline SKIPV1_FLAVOUR
