// What the blocks of an emulated launch know of each other through semaphores (kernel/semaphore.cuh).
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

namespace skipv1::emulator {

/// The happens-before relation of a launch's blocks, and whether any of those that wait can still go on.
class Semaphores {
 public:
  using Seen = std::map<std::size_t, std::size_t>;  ///< per block, how many of its releases have been acquired: a vector clock

  /// A block that has seen `seen` releases a semaphore, or acquires it.
  void release(const void* semaphore, std::size_t block, Seen& seen) {
    const std::lock_guard lock(mutex_);
    ++seen[block];
    merge(released_[semaphore], seen);
  }
  void acquire(const void* semaphore, Seen& seen) {
    const std::lock_guard lock(mutex_);
    merge(seen, released_[semaphore]);
  }
  /// Notes a bulk store; returns the block whose store to the same address this one races with, if any.
  enum class Stage { issued, completed };
  std::optional<std::size_t> note_store(const void* to, std::size_t block, Seen& seen, Stage stage) {
    const std::lock_guard lock(mutex_);
    const auto last = stored_.find(to);
    std::optional<std::size_t> other;
    if (last != stored_.end() && last->second.first != block && last->second.second >= seen[last->second.first])
      other = last->second.first;
    if (stage == Stage::completed) stored_[to] = {block, seen[block]};
    return other;
  }
  void begin_block() {
    const std::lock_guard lock(mutex_);
    ++running_;
  }
  void end_block(bool failed) {
    const std::lock_guard lock(mutex_);
    --running_;
    failed_ = failed_ || failed;
  }
  /// A block has released a semaphore, or goes on after waiting for one.
  void note_progress() {
    const std::lock_guard lock(mutex_);
    ++progress_;
    in_vain_ = 0;
  }
  std::size_t progress() const {
    const std::lock_guard lock(mutex_);
    return progress_;
  }
  enum class Hope { some, failed, none };
  /// A block none of whose threads can go on has looked in vain since `progress`, for the first time or again.
  Hope look_in_vain(std::size_t progress, bool first) {
    const std::lock_guard lock(mutex_);
    if (failed_) return Hope::failed;
    if (progress != progress_) return Hope::some;
    if (first) ++in_vain_;
    return in_vain_ == running_ ? Hope::none : Hope::some;
  }

 private:
  static void merge(Seen& seen, const Seen& more) {
    for (const auto& [block, releases] : more) seen[block] = std::max(seen[block], releases);
  }

  mutable std::mutex mutex_;
  std::map<const void*, Seen> released_;
  std::map<const void*, std::pair<std::size_t, std::size_t>> stored_;  ///< by which block last, and its releases then
  std::size_t running_ = 0, progress_ = 0, in_vain_ = 0;
  bool failed_ = false;
};
/// Thrown in a block that waits for a block that has failed: no fault of its own.
struct Abandoned {};

}  // namespace skipv1::emulator
