// Communication among the blocks of a cooperative launch, which replaces the ends of kernels: a barrier of the whole grid, loads
// and stores of what blocks pass to each other, and loads that tell L2 how long to keep the data. The emulator reports an
// exchange that no semaphore orders.
#pragma once

#include <atomic>
#include <bit>
#include <cstring>

#include "skipv1/kernel/semaphore.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

#if defined(__CUDACC__)

}  // namespace skipv1::inline SKIPV1_FLAVOUR

namespace skipv1::detail::inline SKIPV1_FLAVOUR {
template <std::size_t bytes>
struct Bits;
template <>
struct Bits<2> {
  SKIPV1_DEVICE static unsigned short load(const void* p) {
    unsigned short x;
    asm volatile("ld.global.cg.u16 %0, [%1];" : "=h"(x) : "l"(p));
    return x;
  }
};
template <>
struct Bits<4> {
  SKIPV1_DEVICE static unsigned load(const void* p) {
    unsigned x;
    asm volatile("ld.global.cg.u32 %0, [%1];" : "=r"(x) : "l"(p));
    return x;
  }
};
template <>
struct Bits<8> {
  SKIPV1_DEVICE static uint2 load(const void* p) {
    uint2 x;
    asm volatile("ld.global.cg.v2.u32 {%0, %1}, [%2];" : "=r"(x.x), "=r"(x.y) : "l"(p));
    return x;
  }
};
template <>
struct Bits<16> {
  SKIPV1_DEVICE static uint4 load(const void* p) {
    uint4 x;
    asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w) : "l"(p));
    return x;
  }
};
template <class To, class From>
SKIPV1_DEVICE To same_bits(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(To));
  return to;
}
}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// N neighbouring elements, aligned to their size, that another block of the launch may have stored: never from the first-level
/// cache, which knows nothing of other multiprocessors' stores.
template <std::size_t N, class T>
SKIPV1_DEVICE Vector<T, N> load_exchanged(const T* from) {
  return detail::same_bits<Vector<T, N>>(detail::Bits<sizeof(T) * N>::load(from));
}
template <class T>
SKIPV1_DEVICE T load_exchanged(const T* from) {
  return detail::same_bits<T>(detail::Bits<sizeof(T)>::load(from));
}
/// Two or four floats of the same; zeros if not `valid`. One instruction under a predicate: where it is a branch that leaves a
/// load out, nvcc makes warps wait at later branches for all loads that share its scoreboard, such as weights in flight.
template <std::size_t N>
SKIPV1_DEVICE Vector<float, N> load_exchanged(bool valid, const float* from) {
  Vector<float, N> x;
  if constexpr (N == 2)
    asm volatile(
        "{ .reg .pred valid; setp.ne.u32 valid, %2, 0;\n"
        "mov.f32 %0, 0f00000000; mov.f32 %1, 0f00000000;\n"
        "@valid ld.global.cg.v2.f32 {%0, %1}, [%3]; }"
        : "=&f"(x[0]), "=&f"(x[1])
        : "r"(static_cast<unsigned>(valid)), "l"(from));
  else
    asm volatile(
        "{ .reg .pred valid; setp.ne.u32 valid, %4, 0;\n"
        "mov.f32 %0, 0f00000000; mov.f32 %1, 0f00000000; mov.f32 %2, 0f00000000; mov.f32 %3, 0f00000000;\n"
        "@valid ld.global.cg.v4.f32 {%0, %1, %2, %3}, [%5]; }"
        : "=&f"(x[0]), "=&f"(x[1]), "=&f"(x[2]), "=&f"(x[3])
        : "r"(static_cast<unsigned>(valid)), "l"(from));
  return x;
}
/// Eight bfloat16 of the same; zeros if not `valid`.
template <std::size_t N>
SKIPV1_DEVICE Vector<bfloat16, N> load_exchanged(bool valid, const bfloat16* from) {
  static_assert(N == 8);
  Vector<std::uint32_t, 4> x;
  asm volatile(
      "{ .reg .pred valid; setp.ne.u32 valid, %4, 0;\n"
      "mov.u32 %0, 0; mov.u32 %1, 0; mov.u32 %2, 0; mov.u32 %3, 0;\n"
      "@valid ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%5]; }"
      : "=&r"(x[0]), "=&r"(x[1]), "=&r"(x[2]), "=&r"(x[3])
      : "r"(static_cast<unsigned>(valid)), "l"(from));
  return detail::same_bits<Vector<bfloat16, 8>>(x);
}
/// 16 bytes of the same, past the first-level cache, with an eviction policy (`evict_first`); zeros if not `valid`. One
/// instruction under a predicate, without a branch, so that several loads are in flight at once.
template <class T>
SKIPV1_DEVICE Vector<std::uint32_t, 4> load_exchanged_bits(bool valid, const T* from, std::uint64_t policy) {
  Vector<std::uint32_t, 4> x;
  asm volatile(
      "{ .reg .pred valid; setp.ne.u32 valid, %4, 0;\n"
      "mov.u32 %0, 0; mov.u32 %1, 0; mov.u32 %2, 0; mov.u32 %3, 0;\n"
      "@valid ld.global.L1::no_allocate.L2::cache_hint.v4.u32 {%0, %1, %2, %3}, [%5], %6; }"
      : "=&r"(x[0]), "=&r"(x[1]), "=&r"(x[2]), "=&r"(x[3])
      : "r"(static_cast<unsigned>(valid)), "l"(from), "l"(policy));
  return x;
}
/// The same, but `x` stays as it is if not `valid`.
template <class T>
SKIPV1_DEVICE void reload_exchanged_bits(Vector<std::uint32_t, 4>& x, bool valid, const T* from, std::uint64_t policy) {
  asm volatile(
      "{ .reg .pred valid; setp.ne.u32 valid, %4, 0;\n"
      "@valid ld.global.L1::no_allocate.L2::cache_hint.v4.u32 {%0, %1, %2, %3}, [%5], %6; }"
      : "+r"(x[0]), "+r"(x[1]), "+r"(x[2]), "+r"(x[3])
      : "r"(static_cast<unsigned>(valid)), "l"(from), "l"(policy));
}
template <class T>
SKIPV1_DEVICE void store_exchanged(T* to, T x) {
  *to = x;
}
template <class T, std::size_t N>
SKIPV1_DEVICE void store_exchanged(T* to, const Vector<T, N>& x) {
  store_vector(to, x);
}

/// A numbered word: an element for other blocks and a sequence number in one store, so that whoever reads the number has the
/// element, without a barrier (as data and flag in NCCL's LL protocol).
SKIPV1_DEVICE void store_numbered(std::uint32_t* to, bfloat16 x, std::uint32_t number) {
  const std::uint32_t word = detail::same_bits<unsigned short>(x) | number << 16;
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(to), "r"(word) : "memory");
}
/// Two neighbours, `to` aligned to 8 bytes.
SKIPV1_DEVICE void store_numbered(std::uint32_t* to, bfloat16 first, bfloat16 second, std::uint32_t number) {
  const std::uint32_t one = detail::same_bits<unsigned short>(first) | number << 16,
                      other = detail::same_bits<unsigned short>(second) | number << 16;
  asm volatile("st.relaxed.gpu.global.v2.u32 [%0], {%1, %2};" ::"l"(to), "r"(one), "r"(other) : "memory");
}
/// Eight of them from each of N places, those that are `valid`, once all of the warp's have their number's lower half; 16-byte
/// aligned. The warp's lanes call it, and leave its loop, together: lanes that leave a loop one by one diverge, and may not
/// reconverge before the block's next barrier, so that whatever follows is executed once for each group of them.
template <std::size_t N>
SKIPV1_DEVICE void load_numbered(Vector<bfloat16, 8> (&to)[N], const bool (&valid)[N], const std::uint32_t* const (&from)[N],
                                 const std::uint32_t (&number)[N]) {
  std::uint32_t x[N][8], missing[N][2], more;
  SKIPV1_UNROLL
  for (unsigned k = 0; k < N; ++k) {
    for (std::uint32_t& word : x[k]) word = number[k] << 16;
    missing[k][0] = missing[k][1] = valid[k];
  }
  do {  // once more only what is not there yet: all blocks poll the same few lines of L2
    SKIPV1_UNROLL
    for (unsigned k = 0; k < N; ++k) {
      for (unsigned i = 0; i < 8; i += 4)
        asm volatile(
            "{ .reg .pred missing; setp.ne.u32 missing, %4, 0;\n"
            "@missing ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%5]; }"
            : "+r"(x[k][i]), "+r"(x[k][i + 1]), "+r"(x[k][i + 2]), "+r"(x[k][i + 3])
            : "r"(missing[k][i / 4]), "l"(from[k] + i)
            : "memory");
    }
    more = 0;
    SKIPV1_UNROLL
    for (unsigned k = 0; k < N; ++k) {
      for (unsigned i = 0; i < 8; i += 4) {
        std::uint32_t wrong = 0;
        for (unsigned j = i; j < i + 4; ++j) wrong |= x[k][j] ^ number[k] << 16;
        missing[k][i / 4] = wrong >> 16;
        more |= missing[k][i / 4];
      }
    }
  } while (any(more != 0));
  SKIPV1_UNROLL
  for (unsigned k = 0; k < N; ++k) {
    Vector<std::uint32_t, 4> pairs;
    SKIPV1_UNROLL
    for (unsigned i = 0; i < 4; ++i) pairs[i] = __byte_perm(x[k][2 * i], x[k][2 * i + 1], 0x5410);
    to[k] = detail::same_bits<Vector<bfloat16, 8>>(pairs);
  }
}

/// 16 bytes that nobody writes during the launch, read once, from `row + at + offset` into `x`, which stays as it is if not
/// `valid`: `row` may be null then. The load is issued where it stands in the source: ahead of a barrier, say. `offset` is part
/// of the instruction, and loads that differ in it alone share one address.
template <unsigned offset, class T>
SKIPV1_DEVICE void load_once(Vector<std::uint32_t, 4>& x, bool valid, const T* row, std::uint32_t at, std::uint64_t policy) {
  asm volatile(
      "{ .reg .pred valid; setp.ne.u32 valid, %4, 0;\n"
      "@valid ld.global.nc.L1::no_allocate.L2::cache_hint.v4.u32 {%0, %1, %2, %3}, [%5 + %7], %6; }"
      : "+r"(x[0]), "+r"(x[1]), "+r"(x[2]), "+r"(x[3])
      : "r"(static_cast<unsigned>(valid)), "l"(row + at), "l"(policy), "n"(offset * sizeof(T)));
}
/// `prefetch.global.L2`: brings the line of an address to the second-level cache.
SKIPV1_DEVICE void prefetch_l2(const void* p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }
/// The same of `bytes` from p on, both multiples of 16, by one instruction.
SKIPV1_DEVICE void prefetch_l2(const void* p, std::uint32_t bytes) {
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(p), "r"(bytes));
}
/// The multiprocessor's clock.
SKIPV1_DEVICE std::uint64_t cycles() { return static_cast<std::uint64_t>(clock64()); }

#else

}  // namespace skipv1

namespace skipv1::emulator {
/// New device memory is filled with ones (device/memory.cuh), a NaN that no arithmetic gives.
inline bool unwritten(const void* p, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i)
    if (static_cast<const std::byte*>(p)[i] != std::byte{0xff}) return false;
  return true;
}
template <class T>
void note_load(const T* from, std::size_t count, Place place) {
  Worker& worker = Worker::running();
  worker.note_exchange(Semaphores::Exchange::read, from, count, sizeof(T), place);
  if (std::is_integral_v<T>) return;
  for (std::size_t i = 0; i < count; ++i)
    if (unwritten(from + i, sizeof(T))) worker.report("reads global memory (", place, ") that nobody has written");
}
}  // namespace skipv1::emulator

namespace skipv1::inline SKIPV1_FLAVOUR {

template <std::size_t N, class T>
Vector<T, N> load_exchanged(const T* from, emulator::Place place = emulator::Place::here()) {
  emulator::note_load(from, N, place);
  return load_vector<N>(from);
}
template <class T>
T load_exchanged(const T* from, emulator::Place place = emulator::Place::here()) {
  emulator::note_load(from, 1, place);
  return *from;
}
template <std::size_t N, class T>
Vector<T, N> load_exchanged(bool valid, const T* from, emulator::Place place = emulator::Place::here()) {
  return valid ? load_exchanged<N>(from, place) : Vector<T, N>{};
}
template <class T>
Vector<std::uint32_t, 4> load_exchanged_bits(bool valid, const T* from, std::uint64_t,
                                             emulator::Place place = emulator::Place::here()) {
  Vector<std::uint32_t, 4> x{};
  if (!valid) return x;
  check_aligned(from, 16);
  emulator::note_load(from, 16 / sizeof(T), place);
  std::memcpy(&x, from, sizeof x);
  return x;
}
template <class T>
void reload_exchanged_bits(Vector<std::uint32_t, 4>& x, bool valid, const T* from, std::uint64_t policy,
                           emulator::Place place = emulator::Place::here()) {
  if (valid) x = load_exchanged_bits(true, from, policy, place);
}
template <class T>
void store_exchanged(T* to, T x, emulator::Place place = emulator::Place::here()) {
  emulator::Worker::running().note_exchange(emulator::Semaphores::Exchange::write, to, 1, sizeof(T), place);
  *to = x;
}
template <class T, std::size_t N>
void store_exchanged(T* to, const Vector<T, N>& x, emulator::Place place = emulator::Place::here()) {
  emulator::Worker::running().note_exchange(emulator::Semaphores::Exchange::write, to, N, sizeof(T), place);
  store_vector(to, x);
}
inline void store_numbered(std::uint32_t* to, bfloat16 x, std::uint32_t number) {
  const std::uint32_t word = std::bit_cast<std::uint16_t>(x) | number << 16;
  std::atomic_ref<std::uint32_t>(*to).store(word, std::memory_order_release);
  emulator::Worker::running().semaphores().note_progress();
}
inline void store_numbered(std::uint32_t* to, bfloat16 first, bfloat16 second, std::uint32_t number) {
  check_aligned(to, 8);
  store_numbered(to, first, number), store_numbered(to + 1, second, number);
}
template <std::size_t N>
void load_numbered(Vector<bfloat16, 8> (&to)[N], const bool (&valid)[N], const std::uint32_t* const (&from)[N],
                   const std::uint32_t (&number)[N], emulator::Place place = emulator::Place::here()) {
  for (unsigned k = 0; k < N; ++k) {
    to[k] = {};
    if (!valid[k]) continue;
    check_aligned(from[k], 16);
    for (unsigned i = 0; i < 8; ++i) {
      const std::atomic_ref<std::uint32_t> now(*const_cast<std::uint32_t*>(from[k] + i));
      emulator::Worker::running().wait_at_semaphore(
          from[k] + i, number[k], [&] { return (now.load(std::memory_order_acquire) ^ number[k] << 16) >> 16 == 0; }, place);
      to[k][i] = std::bit_cast<bfloat16>(static_cast<std::uint16_t>(now.load()));
    }
  }
  sync_warp(place);
}
template <unsigned offset, class T>
void load_once(Vector<std::uint32_t, 4>& x, bool valid, const T* row, std::uint32_t at, std::uint64_t) {
  if (!valid) return;
  check_aligned(row + at + offset, 16);
  std::memcpy(&x, row + at + offset, sizeof x);
}
inline void prefetch_l2(const void*) {}
inline void prefetch_l2(const void* p, std::uint32_t bytes) {
  check_aligned(p, 16);
  if (bytes % 16 != 0) emulator::Worker::running().report("prefetches " + std::to_string(bytes) + " bytes: not a multiple of 16");
}
inline std::uint64_t cycles() { return 0; }

#endif

/// A barrier of all blocks of a cooperative launch, over a counter that is zero when the launch begins. Every thread calls it.
class GridBarrier {
 public:
  SKIPV1_DEVICE_MEMBER explicit GridBarrier(std::uint32_t* counter) : counter_(counter) {}

  /// Other blocks see the block's earlier stores after their `wait`.
  SKIPV1_DEVICE_MEMBER void arrive() {
    sync_threads();
    if (thread_number() == 0) semaphore_release(counter_);
    passed_ += grid_size().x;
  }
  SKIPV1_DEVICE_MEMBER void wait() const {
    if (thread_number() == 0) semaphore_wait(counter_, passed_);
    sync_threads();
  }
  /// As `arrive`, where all the block's stores since a barrier of its threads are its first warp's.
  SKIPV1_DEVICE_MEMBER void arrive_by_first_warp() {
    if (thread_number() < warp_size) {
      sync_warp();
      if (thread_number() == 0) semaphore_release(counter_);
    }
    passed_ += grid_size().x;
  }

 private:
  std::uint32_t* counter_;
  std::uint32_t passed_ = 0;
};

}  // namespace skipv1::inline SKIPV1_FLAVOUR
