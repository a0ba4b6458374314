// What the blocks of an emulated launch know of each other through semaphores (kernel/semaphore.cuh).
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace skipv1::emulator {

/// The happens-before relation of a launch's blocks, and whether any of those that wait can still go on.
class Semaphores {
 public:
  using Seen = std::map<std::size_t, std::size_t>;  ///< per block, how many of its releases have been acquired: a vector clock

  /// A block that has seen `seen` releases a semaphore, which adds one to it, or acquires it by waiting for `ticket`: then it has
  /// seen the releases up to that value. Later ones it may have met by luck, which another run would not have.
  void release(std::uint32_t* semaphore, std::size_t block, Seen& seen) {
    const std::lock_guard lock(mutex_);
    ++seen[block];
    const std::uint32_t before = std::atomic_ref<std::uint32_t>(*semaphore).fetch_add(1, std::memory_order_release);
    std::map<std::uint32_t, Seen>& history = released_[semaphore];
    Seen all = history.empty() ? Seen() : history.rbegin()->second;
    merge(all, seen);
    history[before + 1] = std::move(all);
  }
  void acquire(const void* semaphore, std::uint32_t ticket, Seen& seen) {
    const std::lock_guard lock(mutex_);
    const std::map<std::uint32_t, Seen>& history = released_[semaphore];
    const auto later = history.upper_bound(ticket);
    if (later != history.begin()) merge(seen, std::prev(later)->second);
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
  /// Notes an access to global memory that blocks pass to each other (kernel/exchange.cuh), by a block that has seen `seen`; it
  /// counts for other blocks once it is published, before the block's release number `releases` (from 0). Returns the block with
  /// which it races, if any: one that wrote, or read what this access overwrites, and has not been acquired since.
  enum class Exchange { read, write };
  struct Elements {
    std::uintptr_t at;
    std::size_t count, size;  ///< size: of one, in bytes
  };
  std::optional<std::size_t> note_exchange(Exchange access, const Elements& elements, std::size_t block, const Seen& seen) {
    const std::lock_guard lock(mutex_);
    const auto unordered = [&](const Event& event) {
      if (event.block == block) return false;
      const auto known = seen.find(event.block);
      return known == seen.end() || known->second <= event.releases;
    };
    for (std::size_t i = 0; i < elements.count; ++i) {
      Exchanged& element = exchanged_[elements.at + i * elements.size];
      if (element.written && unordered(*element.written)) return element.written->block;
      if (access == Exchange::read) {
        own(element.reads, block).releases = pending;
        continue;
      }
      for (const Event& read : element.reads)
        if (unordered(read)) return read.block;
      element.reads.clear();
      element.written = Event{block, pending};
    }
    return {};
  }
  void publish(Exchange access, const Elements& elements, std::size_t block, std::size_t releases) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < elements.count; ++i) {
      Exchanged& element = exchanged_[elements.at + i * elements.size];
      if (access == Exchange::read)
        own(element.reads, block).releases = releases;
      else if (element.written && element.written->block == block)
        element.written->releases = releases;
    }
  }
  void begin_block() {
    const std::lock_guard lock(mutex_);
    ++running_;
  }
  void end_block(bool failed) {
    const std::lock_guard lock(mutex_);
    --running_;
    failed_ = failed_ || failed;
    changed_.notify_all();
  }
  /// A block has released a semaphore, or goes on after waiting for one.
  void note_progress() {
    const std::lock_guard lock(mutex_);
    ++progress_;
    in_vain_ = 0;
    changed_.notify_all();
  }
  std::size_t progress() const {
    const std::lock_guard lock(mutex_);
    return progress_;
  }
  enum class Hope { some, failed, none };
  /// A block none of whose threads can go on has looked in vain since `progress`. Its host thread sleeps until there is something
  /// new to look at, and leaves the core to blocks that work. A block that can go on does so, though another has failed: of
  /// several faults the launch reports the lowest block's.
  Hope look_in_vain(std::size_t progress) {
    std::unique_lock lock(mutex_);
    if (progress == progress_) ++in_vain_;
    changed_.wait(lock, [&] { return failed_ || progress != progress_ || in_vain_ == running_; });
    if (progress != progress_) return Hope::some;
    return failed_ ? Hope::failed : Hope::none;
  }

 private:
  static constexpr std::size_t pending = std::numeric_limits<std::size_t>::max();
  struct Event {
    std::size_t block, releases;
  };
  struct Exchanged {
    std::optional<Event> written;
    std::vector<Event> reads;  ///< since then, the last of each block
  };
  static Event& own(std::vector<Event>& events, std::size_t block) {
    for (Event& event : events)
      if (event.block == block) return event;
    return events.emplace_back(Event{block, pending});
  }
  static void merge(Seen& seen, const Seen& more) {
    for (const auto& [block, releases] : more) seen[block] = std::max(seen[block], releases);
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<const void*, std::map<std::uint32_t, Seen>> released_;      ///< by the value that a release gave it
  std::map<const void*, std::pair<std::size_t, std::size_t>> stored_;  ///< by which block last, and its releases then
  std::unordered_map<std::uintptr_t, Exchanged> exchanged_;
  std::size_t running_ = 0, progress_ = 0, in_vain_ = 0;
  bool failed_ = false;
};
/// Thrown in a block that waits for a block that has failed: no fault of its own.
struct Abandoned {};

}  // namespace skipv1::emulator
