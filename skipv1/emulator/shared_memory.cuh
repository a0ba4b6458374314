// The emulator's shared memory: arrays with bounds, and shadow memory that holds the last writer and reader of each element.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ostream>
#include <utility>
#include <vector>

namespace skipv1::emulator {

/// A line of source.
struct Place {
  const char* file = nullptr;
  int line = 0;

  /// As a default argument: the line of the call.
  static constexpr Place here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
  friend bool operator==(const Place& a, const Place& b) {
    return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
  }
  friend std::ostream& operator<<(std::ostream& out, const Place& place) {
    const char* slash = std::strrchr(place.file, '/');
    return out << (slash ? slash + 1 : place.file) << ':' << place.line;
  }
};

/// The last write and the last read of an element: by which thread, and when on the block's clock (`SharedMemory::now`), which
/// advances at each barrier, `sync_warp`, arrival and completion.
struct Shadow {
  std::uint32_t written = 0, read = 0;
  std::uint16_t writer = 0, reader = 0;  ///< thread numbers, or the codes below

  friend bool operator==(const Shadow&, const Shadow&) = default;
  /// Assignment, field by field: of the whole the address sanitizer makes a call of `memcpy`, which took a third of its tests'
  /// time.
  void take(const Shadow& x) { written = x.written, read = x.read, writer = x.writer, reader = x.reader; }
};

/// An array in shared memory.
struct SharedArray {
  const char* name = "";
  std::byte* data = nullptr;
  std::size_t count = 0, element = 1;  ///< elements, and bytes of one
  Shadow* shadow = nullptr;            ///< that of element 0; one for every two bytes
  std::size_t offset = 0;              ///< in bytes, in the block's shared memory
};

/// The shared memory of the running block. An access happens after an earlier one
/// - of the same thread,
/// - before the last barrier of the block,
/// - of the same warp, before its last `sync_warp`,
/// - of a TMA load, or of a thread before it arrived, if the accessing thread has waited for that phase of the mbarrier.
/// Any other pair of accesses to one element, one of them a write, is a race.
class SharedMemory {
 public:
  static constexpr std::size_t capacity = 227 << 10;  ///< bytes per block on sm_90

  void begin_block(std::size_t dynamic_bytes, std::size_t threads) {
    if (memory_.empty()) {
      memory_.resize(capacity / sizeof(Unit));
      shadows_.resize(capacity / 2);
    }
    if (now_ > std::uint32_t{1} << 30) {  // long before the clock runs over
      std::fill(shadows_.begin(), shadows_.end(), Shadow{});
      now_ = 0;
    }
    block_start_ = barrier_ = ++now_;
    warp_barrier_.assign((threads + 31) / 32, now_);
    waited_.assign(threads, now_);
    seen_.assign(threads * warp_barrier_.size(), 0);
    seen_last_.assign(threads, 0);
    arrays_.clear();
    dynamic_bytes_ = dynamic_bytes;
    used_ = (dynamic_bytes + 15) / 16 * 16;
  }
  void block_synchronised() { barrier_ = ++now_; }
  void warp_synchronised(std::size_t warp) { warp_barrier_[warp] = ++now_; }
  std::uint32_t now() const { return now_; }
  bool before_barrier(std::uint32_t when) const { return when < barrier_; }
  bool before_warp_barrier(std::size_t warp, std::uint32_t when) const { return when < warp_barrier_[warp]; }
  std::size_t dynamic_bytes() const { return dynamic_bytes_; }
  bool fits() const { return used_ <= capacity; }

  /// The static array declared under `key`, the same for all threads of a block.
  SharedArray declare(const void* key, const char* name, std::size_t count, std::size_t element) {
    for (const auto& [known, array] : arrays_)
      if (known == key) return array;
    const SharedArray array = at(used_, name, count, element);
    used_ += (count * element + 15) / 16 * 16;
    arrays_.emplace_back(key, array);
    return array;
  }
  /// `count` elements from byte `offset` on.
  SharedArray at(std::size_t offset, const char* name, std::size_t count, std::size_t element) {
    return {name, reinterpret_cast<std::byte*>(memory_.data()) + offset, count, element, shadows_.data() + offset / 2, offset};
  }
  /// This block's array at the offset at which `other` lies in another block.
  SharedArray like(const SharedArray& other) { return at(other.offset, other.name, other.count, other.element); }

  enum class Fault { none, unwritten, race_with_writer, race_with_reader };
  /// Thread `t` reads. Returns the fault, if any.
  Fault read(Shadow& s, std::size_t t) {
    if (s.written < block_start_) return Fault::unwritten;
    if (!ordered(s.writer & ~atomic, s.written, t)) return Fault::race_with_writer;
    note_reader(s, t);
    return Fault::none;
  }
  /// Thread `t` writes. Returns the fault, if any.
  Fault write(Shadow& s, std::size_t t) {
    if (s.written >= barrier_ && !ordered(s.writer & ~atomic, s.written, t)) return Fault::race_with_writer;
    if (!readers_ordered(s, t)) return Fault::race_with_reader;
    s.written = now_;
    s.writer = static_cast<std::uint16_t>(t);
    return Fault::none;
  }
  /// Thread `t` updates the element atomically; atomics do not race with each other.
  Fault update(Shadow& s, std::size_t t) {
    if (s.written < block_start_) return Fault::unwritten;
    if (!(s.writer & atomic) && !ordered(s.writer, s.written, t)) return Fault::race_with_writer;
    if (!readers_ordered(s, t)) return Fault::race_with_reader;
    s.written = now_;
    s.writer = static_cast<std::uint16_t>(t | atomic);
    return Fault::none;
  }
  /// Loads complete from now on. An element of a load that thread `t` issued, noted as its write then, is written: returns
  /// whether no thread accessed it in between.
  std::uint32_t begin_completion() { return ++now_; }
  bool complete_load(Shadow& s, std::size_t t) {
    const bool untouched = s.writer == t && s.read <= s.written;
    s.written = now_;
    s.writer = tma;
    return untouched;
  }
  /// Records that another block of the cluster stored an element between the barriers that ended at `from` and now. Returns
  /// whether nothing else accessed the element in between.
  bool receive_store(Shadow& s, std::uint32_t from) {
    const bool untouched = s.written <= from && s.read <= from;
    s.written = now_;
    s.writer = tma;
    return untouched;
  }
  /// Thread `t` has waited for loads that completed at `when`.
  void acquire_loads(std::size_t t, std::uint32_t when) { waited_[t] = std::max(waited_[t], when); }
  /// A thread arrives at an mbarrier; its warp's earlier accesses count with it. Thread `t` has waited for `arrived`, at `when`.
  std::uint32_t arrive() { return now_++; }
  void acquire(std::size_t t, std::size_t arrived, std::uint32_t when) {
    std::uint32_t& seen = seen_[t * warp_barrier_.size() + arrived / 32];
    seen = std::max(seen, when);
    seen_last_[t] = std::max(seen_last_[t], when);
  }
  static bool by_tma(const Shadow& s) { return s.writer == tma; }
  /// The other thread of a race; a reader may be one of several.
  static std::size_t writer(const Shadow& s) { return s.writer & ~std::size_t{atomic}; }
  static bool one_reader(const Shadow& s) { return s.reader < warp_of_readers; }
  static std::size_t reader(const Shadow& s) { return s.reader; }

 private:
  static constexpr std::uint16_t atomic = 0x8000, warp_of_readers = 0x4000, many_readers = 0x7fff,
                                 tma = 0x2000;  ///< threads are below 1024
  struct alignas(16) Unit {
    std::byte bytes[16];
  };

  bool ordered(std::size_t other, std::uint32_t when, std::size_t t) const {
    return other == t || when < barrier_ || ((other / 32 == t / 32 || other == tma) && when < warp_barrier_[t / 32]) ||
           (other == tma ? when <= waited_[t] : when <= seen_[t * warp_barrier_.size() + other / 32]);
  }
  void note_reader(Shadow& s, std::size_t t) const {
    if (readers_ordered(s, t)) {  // a thread ordered after this reader is ordered after those
      s.reader = static_cast<std::uint16_t>(t);
    } else if (s.reader != t && s.reader != (warp_of_readers | t / 32)) {
      const bool same_warp = s.reader < warp_of_readers && s.reader / 32 == t / 32;
      s.reader = same_warp ? static_cast<std::uint16_t>(warp_of_readers | t / 32) : many_readers;
    }
    s.read = now_;
  }
  bool readers_ordered(const Shadow& s, std::size_t t) const {
    if (s.read < barrier_) return true;
    if (s.reader < warp_of_readers) return ordered(s.reader, s.read, t);
    // Of many only the last read of all is known; a thread ordered after it is ordered after all.
    if (s.reader == many_readers) return s.read <= seen_last_[t];
    const std::size_t warp = s.reader & ~std::size_t{warp_of_readers};
    return (warp == t / 32 && s.read < warp_barrier_[warp]) || s.read <= seen_[t * warp_barrier_.size() + warp];
  }

  std::vector<Unit> memory_;
  std::vector<Shadow> shadows_;
  std::uint32_t now_ = 0, block_start_ = 0, barrier_ = 0;
  std::vector<std::uint32_t> warp_barrier_, waited_, seen_, seen_last_;  ///< the last: a thread's of all warps
  std::vector<std::pair<const void*, SharedArray>> arrays_;
  std::size_t used_ = 0, dynamic_bytes_ = 0;
};

}  // namespace skipv1::emulator
