// What the emulator's blocks of one launch know of each other, where they take turns (kernel/tma.cuh).
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

namespace skipv1::emulator {

/// What blocks of a launch that wait for each other must know: whether one has failed, whether all that have begun wait, and
/// what of the others each has seen.
class Turns {
 public:
  using Seen = std::map<std::size_t, std::size_t>;  ///< of each block how often it had passed a turn

  /// A block that has seen `seen` passes a turn; who looks at it sees that, too.
  void pass(const void* turn, std::size_t block, Seen& seen) {
    const std::lock_guard lock(mutex_);
    ++seen[block];
    see(passed_[turn], seen);
  }
  void look(const void* turn, Seen& seen) {
    const std::lock_guard lock(mutex_);
    see(seen, passed_[turn]);
  }
  /// The block that sends to the same place without that this one has seen it, if any. What is sent is there from then on, or
  /// not.
  std::optional<std::size_t> send(const void* to, std::size_t block, Seen& seen, bool there) {
    const std::lock_guard lock(mutex_);
    const auto last = sent_.find(to);
    std::optional<std::size_t> other;
    if (last != sent_.end() && last->second.first != block && last->second.second >= seen[last->second.first])
      other = last->second.first;
    if (there) sent_[to] = {block, seen[block]};
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
  /// A block has let others go on, or goes on itself.
  void move() {
    const std::lock_guard lock(mutex_);
    ++moves_;
    in_vain_ = 0;
  }
  std::size_t moves() const {
    const std::lock_guard lock(mutex_);
    return moves_;
  }
  enum class Hope { some, failed, none };
  /// A block that can do nothing else has looked in vain since the `moves`, for the first time or again.
  Hope look_in_vain(std::size_t moves, bool first) {
    const std::lock_guard lock(mutex_);
    if (failed_) return Hope::failed;
    if (moves != moves_) return Hope::some;
    if (first) ++in_vain_;
    return in_vain_ == running_ ? Hope::none : Hope::some;
  }

 private:
  static void see(Seen& seen, const Seen& more) {
    for (const auto& [block, passes] : more) seen[block] = std::max(seen[block], passes);
  }

  mutable std::mutex mutex_;
  std::map<const void*, Seen> passed_;
  std::map<const void*, std::pair<std::size_t, std::size_t>> sent_;  ///< by which block last, and its passes then
  std::size_t running_ = 0, moves_ = 0, in_vain_ = 0;
  bool failed_ = false;
};
/// Thrown in a block that waits for one that has failed: no fault of its own.
struct GivenUp {};

}  // namespace skipv1::emulator
