// Thread-block clusters (sm_90): blocks that run at the same time on one GPC and store into each other's shared memory. A launch
// without clusters has clusters of one block, which do not use the barrier.
//
// The barrier is split: every thread of every block arrives, and later waits, before it arrives again. A store before the arrival
// is visible to every thread after its wait.
//
// A block may store into another's shared memory after a barrier, since the other may not have started before. A barrier follows
// the stores, since the other may return after it.
#pragma once

#include "skipv1/kernel/kernel.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

#if defined(__CUDACC__)

/// The block's rank in its cluster, and the number of the cluster's blocks.
SKIPV1_DEVICE unsigned cluster_rank() {
  unsigned rank = 0;
#if SKIPV1_SM90A
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
  return rank;
}
SKIPV1_DEVICE unsigned cluster_blocks() {
  unsigned blocks = 1;
#if SKIPV1_SM90A
  asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(blocks));
#endif
  return blocks;
}
/// `barrier.cluster.arrive` (release) and `.wait` (acquire), by all threads of a warp at once.
SKIPV1_DEVICE void cluster_arrive() {
#if SKIPV1_SM90A
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}
SKIPV1_DEVICE void cluster_wait() {
#if SKIPV1_SM90A
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}
/// Stores x to elements `2 i` and `2 i + 1` of `array` in block `rank` of the cluster.
SKIPV1_DEVICE void store_in_cluster(const Shared<float>& array, std::size_t i, unsigned rank, Vector<float, 2> x) {
#if SKIPV1_SM90A
  const auto own = static_cast<std::uint32_t>(__cvta_generic_to_shared(array.data + 2 * i));
  asm volatile(
      "{ .reg .b32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "st.shared::cluster.v2.f32 [there], {%2, %3}; }" ::"r"(own),
      "r"(rank), "f"(x[0]), "f"(x[1])
      : "memory");
#endif
}

#else

}  // namespace skipv1

namespace skipv1::emulator {

/// The running thread arrives at the cluster's barrier: its earlier accesses happen before those of all threads that wait.
inline void arrive_at_cluster(Place place) {
  Worker& worker = Worker::running();
  ClusterMember& member = worker.member();
  if (!member.cluster) worker.report("arrives at the barrier of a cluster (", place, "), but the launch has none");
  ClusterMember::Thread& own = member.threads[worker.thread_number()];
  if (own.waited < own.arrived) worker.report("arrives at the cluster's barrier (", place, ") before it has waited there");
  const std::size_t phase = own.arrived++;
  own.arrived_at[phase % 2] = member.all_at[phase % 2] = worker.shared().arrive();
  if (++member.arrived % member.threads.size() > 0) return;
  member.cluster->arrived.fetch_add(1, std::memory_order_release);
  worker.semaphores().note_progress();
}
/// Applies the stores to this block that are visible once `phase` of the barrier has ended.
inline void receive_stores(std::size_t phase) {
  Worker& worker = Worker::running();
  ClusterMember& member = worker.member();
  const std::uint32_t from = member.all_at[(phase + 1) % 2];  // of the previous phase
  member.received_at = worker.shared().begin_completion();
  member.received = phase + 1;
  for (const ClusterStore& store : member.cluster->receive(member.rank, phase)) {
    const SharedArray array = worker.shared().like(store.array);
    for (std::size_t i = store.i; i < store.i + store.values.size(); ++i)
      if (!worker.shared().receive_store(array.shadow[i * sizeof(float) / 2], from))
        worker.report("race: block ", store.rank, " of the cluster stores (", store.place, ") to element ", i,
                      " of shared array ", array.name, ", which is accessed without a barrier of the cluster between");
    std::memcpy(array.data + store.i * sizeof(float), store.values.data(), sizeof store.values);
  }
}

}  // namespace skipv1::emulator

namespace skipv1::inline SKIPV1_FLAVOUR {

inline unsigned cluster_rank() { return emulator::Worker::running().member().rank; }
inline unsigned cluster_blocks() { return emulator::Worker::running().kernel().launch.cluster; }
inline void cluster_arrive(emulator::Place place = emulator::Place::here()) { emulator::arrive_at_cluster(place); }
inline void cluster_wait(emulator::Place place = emulator::Place::here()) {
  emulator::Worker& worker = emulator::Worker::running();
  emulator::ClusterMember& member = worker.member();
  emulator::ClusterMember::Thread& own = member.threads[worker.thread_number()];
  if (own.waited == own.arrived) worker.report("waits at the cluster's barrier (", place, ") without having arrived");
  const std::size_t phase = own.waited++;
  const auto all = static_cast<std::uint32_t>((phase + 1) * cluster_blocks());
  const auto& arrived = member.cluster->arrived;
  const auto reached = [&] { return arrived.load(std::memory_order_acquire) >= all; };
  worker.wait_at_semaphore(&arrived, all, reached, place);
  if (member.received == phase) emulator::receive_stores(phase);
  const std::size_t t = worker.thread_number();
  worker.shared().acquire_loads(t, member.received_at);
  for (std::size_t other = 0; other < member.threads.size(); ++other)
    worker.shared().acquire(t, other, member.threads[other].arrived_at[phase % 2]);
}
inline void store_in_cluster(const Shared<float>& array, std::size_t i, unsigned rank, Vector<float, 2> x,
                             emulator::Place place = emulator::Place::here()) {
  emulator::Worker& worker = emulator::Worker::running();
  const emulator::ClusterMember& member = worker.member();
  const emulator::ClusterMember::Thread& own = member.threads[worker.thread_number()];
  emulator::check_bounds("stores", array.array, 2 * i, 2, place);
  check_aligned(array.array.data + 2 * i * sizeof(float), sizeof x);
  if (rank >= cluster_blocks()) worker.report("stores (", place, ") to block ", rank, " of a cluster of ", cluster_blocks());
  if (own.waited == 0 || own.waited < own.arrived)
    worker.report("stores (", place, ") to block ", rank,
                  " of the cluster, which may not have started or may have ended: the "
                  "cluster's barrier comes before, and another after");
  member.cluster->send(rank, {array.array, 2 * i, {x[0], x[1]}, own.arrived, member.rank, place});
}

#endif

}  // namespace skipv1::inline SKIPV1_FLAVOUR
