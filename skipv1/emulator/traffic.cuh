// A launch's traffic of global memory, counted in the emulator: the accesses by `load_global` and `store_global`
// (kernel/global.cuh), `cp_async` (kernel/mma.cuh) and TMA (kernel/tma.cuh). Accesses by plain pointers are not counted.
//
// A GPU serves a warp's access in sectors of 32 bytes. The emulator's threads are fibers, which do not run in lockstep. So it
// takes the n-th access of every lane at one line of source for one access of the warp, which is right where lanes skip only last
// ones.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "skipv1/emulator/shared_memory.cuh"

namespace skipv1::emulator {

/// Accesses of warps, the sectors that they touch, and the bytes of these that some lane uses.
struct Traffic {
  std::size_t accesses = 0, sectors = 0, bytes = 0;

  Traffic& operator+=(const Traffic& x) {
    accesses += x.accesses, sectors += x.sectors, bytes += x.bytes;
    return *this;
  }
};
/// Loads and stores of all blocks of the launches counted.
struct GlobalTraffic {
  Traffic loads, stores;
};

enum class Access { load, store };

/// The accesses of one block.
class BlockTraffic {
 public:
  static constexpr std::size_t sector = 32;  ///< bytes

  void begin(std::size_t threads) {
    threads_ = threads;
    sites_.clear();
    rest_ = {};
  }
  /// Lane `thread % 32` of its warp accesses `bytes` bytes from `p` on; none where it is masked.
  void note(Access access, const void* p, std::size_t bytes, std::size_t thread, Place place) {
    Site& at = site(access, place);
    std::vector<WarpAccess>& warp = at.warps[thread / 32];
    const std::size_t n = at.count[thread]++;
    if (warp.size() <= n) warp.resize(n + 1);
    for (auto at_byte = reinterpret_cast<std::uintptr_t>(p), end = at_byte + bytes; at_byte < end;) {
      const std::uintptr_t in_sector = at_byte % sector, count = std::min<std::uintptr_t>(sector - in_sector, end - at_byte);
      add(warp[n], at_byte / sector, static_cast<std::uint32_t>(((std::uint64_t{1} << count) - 1) << in_sector));
      at_byte += count;
    }
  }
  /// A whole tile by one instruction, such as TMA's.
  void note_bulk(Access access, std::size_t bytes) {
    (access == Access::load ? rest_.loads : rest_.stores) += {1, (bytes + sector - 1) / sector, bytes};
  }
  GlobalTraffic total() const {
    GlobalTraffic sum = rest_;
    for (const Site& at : sites_) {
      Traffic& own = at.access == Access::load ? sum.loads : sum.stores;
      for (const auto& warp : at.warps)
        for (const WarpAccess& access : warp)
          if (!access.empty()) own += {1, access.size(), bytes_of(access)};
    }
    return sum;
  }

 private:
  /// A sector, and which of its bytes lanes use.
  struct Touched {
    std::uintptr_t sector;
    std::uint32_t bytes;
  };
  using WarpAccess = std::vector<Touched>;
  static void add(WarpAccess& access, std::uintptr_t at, std::uint32_t bytes) {
    for (std::size_t i = access.size(); i > 0; --i)  // neighbours come last
      if (access[i - 1].sector == at) return void(access[i - 1].bytes |= bytes);
    access.push_back({at, bytes});
  }
  static std::size_t bytes_of(const WarpAccess& access) {
    std::size_t sum = 0;
    for (const Touched& x : access) sum += static_cast<std::size_t>(std::popcount(x.bytes));
    return sum;
  }
  struct Site {
    Access access;
    Place place;
    std::vector<std::size_t> count;  ///< accesses of each thread so far
    std::vector<std::vector<WarpAccess>> warps;
  };
  Site& site(Access access, Place place) {
    for (Site& known : sites_)
      if (known.access == access && known.place == place) return known;
    sites_.push_back(
        {access, place, std::vector<std::size_t>(threads_), std::vector<std::vector<WarpAccess>>((threads_ + 31) / 32)});
    return sites_.back();
  }

  std::size_t threads_ = 0;
  std::vector<Site> sites_;
  GlobalTraffic rest_;
};

/// Where blocks add up what they have counted; null: nothing is counted.
inline GlobalTraffic*& counted_traffic() {
  static GlobalTraffic* total = nullptr;
  return total;
}
inline void add_traffic(const GlobalTraffic& block) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  counted_traffic()->loads += block.loads;
  counted_traffic()->stores += block.stores;
}
/// The traffic of global memory of the launches of `work()`. One thread at a time counts.
template <class Work>
GlobalTraffic count_traffic(const Work& work) {
  GlobalTraffic total;
  struct Counting {
    explicit Counting(GlobalTraffic& to) { counted_traffic() = &to; }
    ~Counting() { counted_traffic() = nullptr; }
  } const counting(total);
  work();
  return total;
}

}  // namespace skipv1::emulator
