// An emulated thread: its fiber, its state, and the asynchronous copies and products that it has issued.
#pragma once

#include <cstddef>
#include <vector>

#include "skipv1/emulator/asynchronous.cuh"
#include "skipv1/emulator/fiber.cuh"
#include "skipv1/core/grid.cuh"

namespace skipv1 {

namespace emulator {

/// A launch, and the call of its kernel by one thread.
struct Kernel {
  Launch launch;
  void (*call)(const void* closure);
  const void* closure;
};

/// What a thread waits for.
enum class State { ready, at_barrier, at_collective, at_mbarrier, at_semaphore, done };

struct Thread {
  Fiber fiber;
  Index3 index;
  State state = State::ready;
  Place place;  ///< where it waits
  std::vector<CpAsync> cp_asyncs;
  std::vector<std::size_t> cp_async_groups;  ///< ends, in `cp_asyncs`, of the groups committed
  std::vector<Wgmma> wgmmas;
  std::vector<std::size_t> wgmma_groups;  ///< ends, in `wgmmas`
  std::vector<BulkStore> stores;
};

}  // namespace emulator
}  // namespace skipv1
