// The device vocabulary of kernel.cuh compiled by the host compiler, for the emulator. Shared memory is checked on every access:
// bounds, elements that no thread has written, races. Global memory is plain memory: its accesses are not checked.
#pragma once

#include <atomic>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>

#include "skipv1/emulator/early_start.cuh"
#include "skipv1/emulator/emulator.cuh"
#include "skipv1/kernel/flavour.cuh"

#define SKIPV1_SM90A 1
#define SKIPV1_KERNEL void
#define SKIPV1_BOUNDS(threads, blocks)
#define SKIPV1_DEVICE inline
#define SKIPV1_DEVICE_MEMBER
#define SKIPV1_HOST_DEVICE inline
#define SKIPV1_UNROLL
#define SKIPV1_NO_UNROLL
#define SKIPV1_SHARED(T, name, count)   \
  static constexpr char name##_key = 0; \
  const ::skipv1::Shared<T> name = ::skipv1::emulator::declare_shared<T>(&name##_key, #name, count)

namespace skipv1::inline SKIPV1_FLAVOUR {

inline Index3 thread() { return emulator::Worker::running().thread(); }
inline Index3 block() { return emulator::Worker::running().block(); }
inline Index3 block_size() { return emulator::Worker::running().kernel().launch.block; }
inline Index3 grid_size() { return emulator::Worker::running().kernel().launch.grid; }

inline unsigned thread_number() { return static_cast<unsigned>(emulator::Worker::running().thread_number()); }

inline void sync_threads(emulator::Place place = emulator::Place::here()) { emulator::Worker::running().barrier(place); }
inline void wait_for_kernel_before() { emulator::HeldKernel::only().run(); }
inline void let_next_kernel_start() {}
inline void sync_warp(emulator::Place place = emulator::Place::here()) {
  emulator::Worker::running().collective(
      "sync_warp", nullptr,
      [](void* const*, std::size_t) {
        emulator::Worker& worker = emulator::Worker::running();
        worker.shared().warp_synchronised(worker.thread_number() / 32);
      },
      place);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR

namespace skipv1::emulator {

/// A shuffle's argument per lane: its value, the lane it reads, and the result.
template <class T>
struct Exchange {
  T value;
  std::size_t source;
  T result;
};
template <class T>
T exchange(const char* what, T value, std::size_t source, Place place) {
  Exchange<T> mine{value, source, value};
  const auto resolve = [](void* const* lanes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto& lane = *static_cast<Exchange<T>*>(lanes[i]);
      if (lane.source >= count) Worker::running().report("a shuffle reads lane ", lane.source, " of a warp of ", count);
      lane.result = static_cast<Exchange<T>*>(lanes[lane.source])->value;
    }
  };
  Worker& worker = Worker::running();
  worker.collective(what, &mine, resolve, place);
  if constexpr (std::is_arithmetic_v<T>)
    if (worker.watched())
      worker.tell({.kind = Step::Kind::exchanges,
                   .place = place,
                   .what = what,
                   .from = source,
                   .gives = static_cast<double>(value),
                   .takes = static_cast<double>(mine.result)});
  return mine.result;
}
inline std::size_t this_lane() { return Worker::running().thread_number() % 32; }

}  // namespace skipv1::emulator

namespace skipv1::inline SKIPV1_FLAVOUR {

template <class T>
T shuffle(T x, unsigned lane, emulator::Place place = emulator::Place::here()) {
  return emulator::exchange("shuffle", x, lane % 32, place);
}
template <class T>
T shuffle_xor(T x, unsigned mask, emulator::Place place = emulator::Place::here()) {
  return emulator::exchange("shuffle_xor", x, emulator::this_lane() ^ mask, place);
}
template <class T>
T shuffle_down(T x, unsigned delta, emulator::Place place = emulator::Place::here()) {
  const std::size_t source = emulator::this_lane() + delta;
  return emulator::exchange("shuffle_down", x, source < 32 ? source : emulator::this_lane(), place);
}
inline unsigned ballot(bool x, emulator::Place place = emulator::Place::here()) {
  emulator::Exchange<unsigned> mine{x, 0, 0};
  const auto resolve = [](void* const* lanes, std::size_t count) {
    unsigned votes = 0;
    const auto at = [&](std::size_t i) -> auto& { return *static_cast<emulator::Exchange<unsigned>*>(lanes[i]); };
    for (std::size_t i = 0; i < count; ++i) votes |= at(i).value << i;
    for (std::size_t i = 0; i < count; ++i) at(i).result = votes;
  };
  emulator::Worker::running().collective("vote", &mine, resolve, place);
  return mine.result;
}
inline unsigned lowest_bit(unsigned bits) { return static_cast<unsigned>(std::countr_zero(bits)); }
inline unsigned bit_count(unsigned bits) { return static_cast<unsigned>(std::popcount(bits)); }
inline bool any(bool x, emulator::Place place = emulator::Place::here()) { return ballot(x, place) != 0; }
inline bool all(bool x, emulator::Place place = emulator::Place::here()) { return ballot(!x, place) == 0; }

}  // namespace skipv1::inline SKIPV1_FLAVOUR

namespace skipv1::emulator {

/// An index, and the line of source that indexes.
struct ElementIndex {
  std::size_t i;
  Place place;
  template <std::integral I>
  ElementIndex(I index, Place at = Place::here()) : i(static_cast<std::size_t>(index)), place(at) {}  // NOLINT: implicit
};

[[noreturn, gnu::cold, gnu::noinline]] inline void report_fault(const char* what, const SharedArray& array, std::size_t i,
                                                                SharedMemory::Fault fault, Place place) {
  Worker& worker = Worker::running();
  const Shadow& shadow = array.shadow[i * array.element / 2];
  if (fault == SharedMemory::Fault::unwritten) {
    worker.report(what, " element ", i, " of shared array ", array.name, " (", place,
                  "), which no thread of the block has written");
  }
  if (fault == SharedMemory::Fault::race_with_writer && SharedMemory::by_tma(shadow)) {
    worker.report("race: ", what, " element ", i, " of shared array ", array.name, " (", place,
                  "), which TMA has written, without waiting at the mbarrier");
  }
  if (fault == SharedMemory::Fault::race_with_writer) {
    worker.report("race: ", what, " element ", i, " of shared array ", array.name, " (", place, "), which thread ",
                  worker.index_of(SharedMemory::writer(shadow)), " writes without a barrier between");
  }
  if (SharedMemory::one_reader(shadow)) {
    worker.report("race: ", what, " element ", i, " of shared array ", array.name, " (", place, "), which thread ",
                  worker.index_of(SharedMemory::reader(shadow)), " reads without a barrier between");
  }
  worker.report("race: ", what, " element ", i, " of shared array ", array.name, " (", place,
                "), which several threads read without a barrier between");
}
inline void check_bounds(const char* what, const SharedArray& array, std::size_t i, std::size_t n, Place place) {
  if (i < array.count && n <= array.count - i) return;
  Worker::running().report(what, " element ", static_cast<std::ptrdiff_t>(n > 1 && i < array.count ? array.count : i),
                           " of shared array ", array.name, " (", place, "), which has ", array.count);
}
/// Notes an access of the running thread to elements `i … i + n - 1` by `access(memory, shadow, thread)`. Throws if it is out of
/// bounds, a race, or reads an element that no thread of the block has written.
template <class Access>
void note(const char* what, const SharedArray& array, std::size_t i, std::size_t n, Place place, const Access& access) {
  check_bounds(what, array, i, n, place);
  Worker& worker = Worker::running();
  Shadow* shadow = array.shadow + i * array.element / 2;
  Shadow before, after;  // of the element in front, which neighbours often share: then one look serves for all of them
  for (std::size_t k = 0; k < n; ++k, shadow += array.element / 2) {
    if (k > 0 && *shadow == before) {
      shadow->take(after);
      continue;
    }
    before.take(*shadow);
    const auto fault = access(worker.shared(), *shadow, worker.thread_number());
    if (fault != SharedMemory::Fault::none) report_fault(what, array, i + k, fault, place);
    after.take(*shadow);
  }
}
inline void note_read(const SharedArray& array, std::size_t i, std::size_t n, Place place) {
  note("reads", array, i, n, place, [](auto& memory, auto& shadow, auto thread) { return memory.read(shadow, thread); });
}
inline void note_write(const SharedArray& array, std::size_t i, std::size_t n, Place place) {
  note("writes", array, i, n, place, [](auto& memory, auto& shadow, auto thread) { return memory.write(shadow, thread); });
}

/// An element of a shared array whose reads and writes are checked.
template <class T>
class Reference {
 public:
  Reference(const SharedArray& array, ElementIndex index) : array_(array), index_(index) {}
  operator T() const {  // NOLINT: implicit
    note_read(array_, index_.i, 1, index_.place);
    return *element();
  }
  template <class U>
  requires(!std::is_same_v<U, T> && !std::is_arithmetic_v<T>) explicit operator U() const {
    return static_cast<U>(static_cast<T>(*this));
  }
  const Reference& operator=(T x) const {
    note_write(array_, index_.i, 1, index_.place);
    *element() = x;
    return *this;
  }
  const Reference& operator=(const Reference& other) const { return *this = static_cast<T>(other); }
  Reference(const Reference&) = default;
  const Reference& operator+=(T x) const { return *this = static_cast<T>(*this) + x; }
  const Reference& operator-=(T x) const { return *this = static_cast<T>(*this) - x; }
  const Reference& operator*=(T x) const { return *this = static_cast<T>(*this) * x; }

 private:
  T* element() const { return reinterpret_cast<T*>(array_.data) + index_.i; }
  const SharedArray& array_;
  ElementIndex index_;
};

}  // namespace skipv1::emulator

namespace skipv1::inline SKIPV1_FLAVOUR {

template <class T>
struct Shared {
  emulator::SharedArray array;
  emulator::Reference<T> operator[](emulator::ElementIndex i) const { return {array, i}; }
};

}  // namespace skipv1::inline SKIPV1_FLAVOUR

namespace skipv1::emulator {

template <class T>
Shared<T> declare_shared(const void* key, const char* name, std::size_t count) {
  static_assert(sizeof(T) >= 2, "the emulator's shadow knows elements of at least 2 bytes");
  Worker& worker = Worker::running();
  const SharedArray array = worker.shared().declare(key, name, count, sizeof(T));
  if (!worker.shared().fits())
    worker.report("shared array ", name, " exceeds the ", SharedMemory::capacity, " bytes of shared memory");
  return {array};
}

}  // namespace skipv1::emulator

namespace skipv1::inline SKIPV1_FLAVOUR {

template <class T>
Shared<T> dynamic_shared(std::size_t offset, std::size_t count) {
  static_assert(sizeof(T) >= 2, "the emulator's shadow knows elements of at least 2 bytes");
  emulator::Worker& worker = emulator::Worker::running();
  if (offset % sizeof(T) != 0 || offset + count * sizeof(T) > worker.shared().dynamic_bytes()) {
    worker.report(count, " elements of ", sizeof(T), " bytes at byte ", offset, " do not fit the ",
                  worker.shared().dynamic_bytes(), " bytes of shared memory of the launch");
  }
  return {worker.shared().at(offset, "(dynamic)", count, sizeof(T))};
}

template <class T>
void atomic_add(T* to, T x) {
  std::atomic_ref<T>(*to).fetch_add(x, std::memory_order_relaxed);
}
template <class T>
void atomic_add(const Shared<T>& to, std::size_t i, T x, emulator::Place place = emulator::Place::here()) {
  emulator::check_bounds("adds to", to.array, i, 1, place);
  emulator::Worker& worker = emulator::Worker::running();
  const auto fault = worker.shared().update(to.array.shadow[i * sizeof(T) / 2], worker.thread_number());
  if (fault != emulator::SharedMemory::Fault::none) emulator::report_fault("adds to", to.array, i, fault, place);
  reinterpret_cast<T*>(to.array.data)[i] += x;
}
template <class T>
T read_only(const T* p) {
  return *p;
}
inline void check_aligned(const void* p, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(p) % bytes == 0) return;
  emulator::Worker::running().report("a load or store of ", bytes, " bytes at an address that is no multiple of that");
}

template <class T>
T fast_exp2(T x) {
  return std::exp2(x);
}
template <class T>
T fast_rsqrt(T x) {
  return T(1) / std::sqrt(x);
}
inline std::uint64_t evict_first() { return 0; }

}  // namespace skipv1::inline SKIPV1_FLAVOUR
