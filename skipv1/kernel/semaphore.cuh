// Semaphores: counters in global memory by which the blocks of a launch order their work.
#pragma once

#include "skipv1/kernel/kernel.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

#if defined(__CUDACC__)

/// The counter's value before this call, which adds one to it (relaxed): the next tile of a persistent block.
SKIPV1_DEVICE std::uint32_t take_ticket(std::uint32_t* counter) { return atomicAdd(counter, 1u); }
/// Adds one to the semaphore, a release at gpu scope: a thread that acquires the new value sees this thread's earlier writes.
SKIPV1_DEVICE void semaphore_release(std::uint32_t* semaphore) {
#if SKIPV1_SM90A
  asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(semaphore) : "memory");
#endif
}
/// Spins until the semaphore reaches `ticket`, an acquire at gpu scope. The releasing block must already be resident.
SKIPV1_DEVICE void semaphore_wait(const std::uint32_t* semaphore, std::uint32_t ticket) {
#if SKIPV1_SM90A
  std::uint32_t now;
  do {
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(semaphore) : "memory");
  } while (now < ticket);
#endif
}

#else

inline std::uint32_t take_ticket(std::uint32_t* counter) {
  std::this_thread::yield();  // else one block would take all tickets of a small test
  return std::atomic_ref<std::uint32_t>(*counter).fetch_add(1, std::memory_order_relaxed);
}
inline void semaphore_release(std::uint32_t* semaphore, emulator::Place place = emulator::Place::here()) {
  emulator::Worker::running().release(semaphore, place);
  emulator::Worker::running().semaphores().note_progress();
}
inline void semaphore_wait(const std::uint32_t* semaphore, std::uint32_t ticket,
                           emulator::Place place = emulator::Place::here()) {
  const std::atomic_ref<std::uint32_t> now(*const_cast<std::uint32_t*>(semaphore));
  emulator::Worker::running().wait_at_semaphore(
      semaphore, ticket, [&] { return now.load(std::memory_order_acquire) >= ticket; }, place);
}

#endif

}  // namespace skipv1::inline SKIPV1_FLAVOUR
