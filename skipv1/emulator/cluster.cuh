// What the blocks of an emulated thread-block cluster share (kernel/cluster.cuh): the barrier's count, and pending stores to each
// other's shared memory. The receiving block applies them itself once the barrier has ended.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "skipv1/emulator/semaphores.cuh"
#include "skipv1/emulator/shared_memory.cuh"

namespace skipv1::emulator {

/// A pending store of two floats to elements `i` and `i + 1`; it is visible once phase `phase` of the barrier has ended.
struct ClusterStore {
  SharedArray array;  ///< the sender's; the receiver's lies at the same offset
  std::size_t i;
  std::array<float, 2> values;
  std::size_t phase, rank;  ///< rank: the sender's
  Place place;
};

class Cluster {
 public:
  explicit Cluster(std::size_t blocks) : on_their_way_(blocks) {
    for (std::size_t b = 0; b < blocks; ++b) semaphores.begin_block();  // all count as running before the first one waits
  }

  std::size_t blocks() const { return on_their_way_.size(); }
  void send(std::size_t to, const ClusterStore& store) {
    const std::lock_guard lock(mutex_);
    on_their_way_[to].push_back(store);
  }
  /// The stores to block `to` that are visible once `phase` has ended.
  std::vector<ClusterStore> receive(std::size_t to, std::size_t phase) {
    const std::lock_guard lock(mutex_);
    std::vector<ClusterStore> there, later;
    for (const ClusterStore& store : on_their_way_[to]) (store.phase == phase ? there : later).push_back(store);
    on_their_way_[to] = std::move(later);
    return there;
  }
  /// A store that no barrier followed, if there is one: its target may have returned.
  std::optional<ClusterStore> lost() const {
    for (const std::vector<ClusterStore>& stores : on_their_way_)
      if (!stores.empty()) return stores.front();
    return {};
  }

  Semaphores semaphores;
  std::atomic<std::uint32_t> arrived{0};  ///< blocks all of whose threads have arrived, summed over phases

 private:
  std::mutex mutex_;
  std::vector<std::vector<ClusterStore>> on_their_way_;
};

/// A block of a cluster: its rank, and where its threads are at the barrier.
struct ClusterMember {
  Cluster* cluster = nullptr;
  unsigned rank = 0;
  struct Thread {
    std::size_t arrived = 0, waited = 0;   ///< phases
    std::uint32_t arrived_at[2] = {0, 0};  ///< times by the block's clock, of even and of odd phases
  };
  std::vector<Thread> threads;
  std::size_t arrived = 0;           ///< threads, summed over phases
  std::size_t received = 0;          ///< phases whose stores have been applied
  std::uint32_t received_at = 0;     ///< when the last of them were, by the block's clock
  std::uint32_t all_at[2] = {0, 0};  ///< the last arrival of a phase
};

}  // namespace skipv1::emulator
