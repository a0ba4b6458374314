// Kernels on the CPU: the blocks of a launch run on all cores, the threads of a block as fibers of one core (worker.cuh).
#pragma once

#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "skipv1/core/parallel.hpp"
#include "skipv1/emulator/worker.cuh"

namespace skipv1 {
namespace emulator {

/// Runs clusters one after the other, with a host thread per block. Throws the fault of the lowest block that has one.
inline void run_clusters(const Kernel& kernel) {
  const Index3 grid = kernel.launch.grid;
  const std::size_t C = kernel.launch.cluster, count = grid.size() / C;
  std::deque<Cluster> clusters;
  for (std::size_t c = 0; c < count; ++c) clusters.emplace_back(C);
  std::vector<std::exception_ptr> errors(grid.size());
  const auto run = [&](std::size_t rank) {
    for (std::size_t c = 0; c < count; ++c) {
      const std::size_t b = c * C + rank;
      try {
        Worker::here().run(kernel, clusters[c].semaphores, {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y}, &clusters[c]);
      } catch (const Abandoned&) {
      } catch (...) {
        errors[b] = std::current_exception();
      }
      clusters[c].semaphores.end_block(errors[b] != nullptr);
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < C; ++rank) threads.emplace_back(run, rank);
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
  for (const Cluster& cluster : clusters)
    if (const auto store = cluster.lost())
      fail("kernel ", kernel.launch.name, ": block ", store->rank, " of a cluster stores (", store->place,
           ") into a block that may have returned: no barrier of the cluster follows");
}

/// Runs all blocks of a launch, on all cores if there is work enough, and throws the fault of the lowest block that has one. The
/// blocks of a cooperative launch have a host thread each, so that each can wait for any other.
inline void run_grid(const Kernel& kernel) {
  if (kernel.launch.cluster > 1) return run_clusters(kernel);
  const Index3 grid = kernel.launch.grid;
  const std::size_t blocks = grid.size();
  std::mutex mutex;
  std::size_t failed = blocks;  // the lowest block that failed so far
  std::exception_ptr error;
  Semaphores semaphores;
  const auto run = [&](std::size_t b) {
    {
      const std::lock_guard lock(mutex);
      if (failed < b && kernel.launch.resident == Resident::some) return;
    }
    bool fault = false;
    if (kernel.launch.resident == Resident::some) semaphores.begin_block();
    try {
      Worker::here().run(kernel, semaphores, {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y});
    } catch (const Abandoned&) {
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (b < failed) failed = b, error = std::current_exception();
      fault = true;
    }
    semaphores.end_block(fault);
  };
  if (kernel.launch.resident == Resident::all) {
    for (std::size_t b = 0; b < blocks; ++b) semaphores.begin_block();  // before one runs that could wait for the others in vain
    std::vector<std::thread> threads;
    for (std::size_t b = 0; b < blocks; ++b) threads.emplace_back(run, b);
    for (std::thread& thread : threads) thread.join();
  } else if (blocks * kernel.launch.block.size() < 2048 || watcher()) {
    for (std::size_t b = 0; b < blocks && !error; ++b) run(b);
  } else {
    parallel_for(blocks, run);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace emulator
}  // namespace skipv1
