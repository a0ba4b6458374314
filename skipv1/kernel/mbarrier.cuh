// mbarriers (sm_90): barriers in shared memory that count arriving threads and the bytes of TMA's loads.
#pragma once

#include "skipv1/kernel/kernel.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// The mbarriers of a block. Each goes through phases 0, 1, 2 …: a phase ends once as many threads have arrived as
/// `mbarrier_init` was given and all bytes that it was told to expect have been written.
using Mbarriers = Shared<std::uint64_t>;

#if defined(__CUDACC__)

SKIPV1_DEVICE std::uint32_t mbarrier_address(const Mbarriers& mbarriers, unsigned i) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(mbarriers.data + i));
}
/// `mbarrier.init` of mbarriers `first … first + count - 1`, by one thread; a barrier of the block follows.
SKIPV1_DEVICE void mbarrier_init(const Mbarriers& mbarriers, unsigned first, unsigned count, unsigned threads = 1) {
#if SKIPV1_SM90A
  for (unsigned i = first; i < first + count; ++i)
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(mbarrier_address(mbarriers, i)), "r"(threads) : "memory");
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}
/// `mbarrier.arrive`, a release at cta scope: a thread that waits for the phase sees this thread's writes, and may overwrite what
/// this thread has read.
SKIPV1_DEVICE void mbarrier_arrive(const Mbarriers& mbarriers, unsigned i) {
#if SKIPV1_SM90A
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(mbarrier_address(mbarriers, i)) : "memory");
#endif
}
/// `mbarrier.arrive.expect_tx`: arrives, and announces `bytes`, whose loads are issued next.
SKIPV1_DEVICE void mbarrier_arrive_expect_tx(const Mbarriers& mbarriers, unsigned i, std::uint32_t bytes) {
#if SKIPV1_SM90A
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(mbarrier_address(mbarriers, i)), "r"(bytes)
               : "memory");
#endif
}
/// `mbarrier.try_wait.parity`, an acquire at cta scope, until phase `phase`, counted from 0, has ended. The next phase must not
/// have ended: the instruction sees the phase's parity alone.
SKIPV1_DEVICE void mbarrier_wait(const Mbarriers& mbarriers, unsigned i, unsigned phase) {
#if SKIPV1_SM90A
  asm volatile(
      "{ .reg .pred ended;\n"
      "again: mbarrier.try_wait.parity.shared::cta.b64 ended, [%0], %1;\n"
      "@!ended bra again; }" ::"r"(mbarrier_address(mbarriers, i)),
      "r"(phase % 2)
      : "memory");
#endif
}

#else

}  // namespace skipv1

namespace skipv1::emulator {

/// The state of mbarrier i.
inline Mbarrier& mbarrier(const Mbarriers& mbarriers, unsigned i, Place place) {
  note_read(mbarriers.array, i, 1, place);
  const std::byte* at = mbarriers.array.data + i * sizeof(std::uint64_t);
  for (Mbarrier& known : Worker::running().mbarriers())
    if (known.at == at) return known;
  Worker::running().report("mbarrier ", i, " (", place, ") was not initialised");
}
/// Writes what a load brings, and reports a thread that touched the target since the load was issued.
inline void complete(const BulkLoad& load) {
  Worker& worker = Worker::running();
  for (std::size_t i = load.begin; i < load.begin + load.count; ++i)
    if (!worker.shared().complete_load(load.array.shadow[i * load.array.element / 2], load.thread))
      worker.report("race: element ", i, " of shared array ", load.array.name, " was accessed before the load issued at ",
                    load.place, " had completed");
  std::byte* to = load.array.data + load.begin * load.array.element;
  if (!load.panel) return void(std::memcpy(to, load.from, load.count * load.array.element));
  for (std::size_t row = 0; row < load.count / 64; ++row) {
    for (std::size_t column = 0; column < 64; column += 8) {
      const std::size_t valid = row < load.rows && column < load.columns ? std::min<std::size_t>(load.columns - column, 8) : 0;
      std::byte* chunk = to + (row * 64 + (column ^ row % 8 * 8)) * 2;
      std::memset(chunk, 0, 16);
      if (valid > 0) std::memcpy(chunk, load.from + (row * load.stride + column) * 2, valid * 2);
    }
  }
}

}  // namespace skipv1::emulator

namespace skipv1::inline SKIPV1_FLAVOUR {

inline void mbarrier_init(const Mbarriers& mbarriers, unsigned first, unsigned count, unsigned threads = 1,
                          emulator::Place place = emulator::Place::here()) {
  emulator::note_write(mbarriers.array, first, count, place);
  for (unsigned i = first; i < first + count; ++i) {
    emulator::Mbarrier mbarrier;
    mbarrier.at = mbarriers.array.data + i * sizeof(std::uint64_t);
    mbarrier.threads = threads;
    emulator::Worker::running().mbarriers().push_back(std::move(mbarrier));
  }
}
inline void mbarrier_arrive(const Mbarriers& mbarriers, unsigned i, emulator::Place place = emulator::Place::here()) {
  emulator::Worker& worker = emulator::Worker::running();
  emulator::Mbarrier& mbarrier = emulator::mbarrier(mbarriers, i, place);
  if (mbarrier.arrived.size() == mbarrier.threads)
    worker.report("arrives (", place, ") while phase ", mbarrier.phase, " of mbarrier ", i,
                  " has not ended, or no thread has waited for it");
  mbarrier.arrived.push_back({worker.thread_number(), worker.shared().arrive()});
  if (!mbarrier.complete()) return;
  if (mbarrier.loads.empty()) mbarrier.end_phase(worker.shared().begin_completion());
  worker.wake();
}
inline void mbarrier_arrive_expect_tx(const Mbarriers& mbarriers, unsigned i, std::uint32_t bytes,
                                      emulator::Place place = emulator::Place::here()) {
  emulator::mbarrier(mbarriers, i, place).expected += bytes;
  mbarrier_arrive(mbarriers, i, place);
}
// A phase's loads happen when the first thread waits for it.
inline void mbarrier_wait(const Mbarriers& mbarriers, unsigned i, unsigned phase,
                          emulator::Place place = emulator::Place::here()) {
  emulator::Worker& worker = emulator::Worker::running();
  for (;;) {
    emulator::Mbarrier& mbarrier = emulator::mbarrier(mbarriers, i, place);
    if (phase != mbarrier.phase) {
      if (phase + 1 == mbarrier.phase) {
        worker.shared().acquire_loads(worker.thread_number(), mbarrier.ended_at);
        for (const auto& [thread, when] : mbarrier.arrived_before) worker.shared().acquire(worker.thread_number(), thread, when);
        return;
      }
      worker.report("waits for phase ", phase, " of mbarrier ", i, " (", place, ") while phase ", mbarrier.phase,
                    " goes on: a wait comes after the end of the phase before, and before the end of the next");
    }
    if (!mbarrier.complete()) {
      worker.wait_at_mbarrier(place);
      continue;
    }
    const std::uint32_t now = worker.shared().begin_completion();
    for (const emulator::BulkLoad& load : mbarrier.loads) emulator::complete(load);
    mbarrier.end_phase(now);
  }
}

#endif

}  // namespace skipv1::inline SKIPV1_FLAVOUR
