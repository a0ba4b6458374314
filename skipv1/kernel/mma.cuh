// Tensor cores and asynchronous copies of sm_80: `mma.sync`, `ldmatrix`, `cp.async`; and `stmatrix` of sm_90.
// Fragments are PTX's: a lane with `g = lane / 4` and `c = 2 (lane % 4)` holds, two bfloat16 per register, the lower index first:
//   A (16, 16): a[0] (g, c …), a[1] (g + 8, c …), a[2] (g, c + 8 …), a[3] (g + 8, c + 8 …)
//   B (16, 8):  b[0] (c …, g), b[1] (c + 8 …, g)
//   D (16, 8), float: d[0] (g, c), d[1] (g, c + 1), d[2] (g + 8, c), d[3] (g + 8, c + 1)
#pragma once

#include <bit>
#include <cstring>

#include "skipv1/kernel/kernel.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// Whether `ldmatrix` transposes each matrix.
enum class Trans { no, yes };

#if defined(__CUDACC__)

/// Two floats rounded to bfloat16 in one register (`cvt.rn.bf16x2`); `low` has the lower index.
SKIPV1_DEVICE std::uint32_t pack_bfloat16(float low, float high) {
  std::uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}

/// `D += A B` by one warp (`mma.sync.m16n8k16`), accumulated in float.
SKIPV1_DEVICE void mma(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Loads M = 1, 2 or 4 matrices (8, 8). Lane i passes the index in `from` of row `i % 8` of matrix `i / 8`, 8 elements aligned to
/// 16 bytes. `to[m]` receives elements (g, c) and (g, c + 1) of matrix m; with `Trans::yes`, PTX's `.trans`, (c, g) and (c + 1,
/// g).
template <std::size_t M, Trans trans = Trans::no>
SKIPV1_DEVICE void ldmatrix(std::uint32_t (&to)[M], const Shared<bfloat16>& from, std::size_t i) {
  constexpr bool transposed = trans == Trans::yes;
  const auto p = static_cast<unsigned>(__cvta_generic_to_shared(from.data + i));
  if constexpr (M == 1 && !transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(to[0]) : "r"(p) : "memory");
  } else if constexpr (M == 1) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(to[0]) : "r"(p) : "memory");
  } else if constexpr (M == 2 && !transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];" : "=r"(to[0]), "=r"(to[1]) : "r"(p) : "memory");
  } else if constexpr (M == 2) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];" : "=r"(to[0]), "=r"(to[1]) : "r"(p) : "memory");
  } else if constexpr (!transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(p)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(p)
                 : "memory");
  }
}

/// Stores 4 matrices (8, 8), the reverse of `ldmatrix<4>` (sm_90). Lane i passes the index of row `i % 8` of matrix `i / 8`.
SKIPV1_DEVICE void stmatrix(const Shared<bfloat16>& to, std::size_t i, const std::uint32_t (&from)[4]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  const auto p = static_cast<unsigned>(__cvta_generic_to_shared(to.data + i));
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(p), "r"(from[0]), "r"(from[1]),
               "r"(from[2]), "r"(from[3])
               : "memory");
#endif
}

/// Issues a copy of 16 bytes from global to shared memory, to elements `i …` of `to`. Without `valid` it writes zeros and does
/// not read `from`. Both addresses are aligned to 16 bytes.
template <class T>
SKIPV1_DEVICE void cp_async(const Shared<T>& to, std::size_t i, const T* from, bool valid = true) {
  const auto p = static_cast<unsigned>(__cvta_generic_to_shared(to.data + i));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(p), "l"(from), "r"(valid ? 16 : 0) : "memory");
}
/// The same with an eviction policy (`evict_first`).
template <class T>
SKIPV1_DEVICE void cp_async(const Shared<T>& to, std::size_t i, const T* from, bool valid, std::uint64_t policy) {
  const auto p = static_cast<unsigned>(__cvta_generic_to_shared(to.data + i));
  asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2, %3;" ::"r"(p), "l"(from), "r"(valid ? 16 : 0),
               "l"(policy)
               : "memory");
}
/// Commits the copies that this thread has issued since its last commit as a group.
SKIPV1_DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until all but the last `pending` groups of this thread have completed. A barrier makes them visible to other threads.
template <int pending>
SKIPV1_DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

#else

inline std::uint32_t pack_bfloat16(float low, float high) {
  const auto bits = [](float x) { return std::uint32_t{std::bit_cast<std::uint16_t>(static_cast<bfloat16>(x))}; };
  return bits(low) | bits(high) << 16;
}

}  // namespace skipv1

namespace skipv1::emulator {

struct Mma {
  float* d;
  const std::uint32_t *a, *b;
};
inline float half_of(std::uint32_t pair, std::size_t i) { return std::bit_cast<float>(i == 0 ? pair << 16 : pair & 0xffff0000u); }
inline void multiply_fragments(void* const* lanes, std::size_t count) {
  if (count != 32) Worker::running().report("mma by a warp of ", count, " threads: it takes 32");
  float a[16][16], b[16][8];
  const auto of = [&](std::size_t i) -> const Mma& { return *static_cast<const Mma*>(lanes[i]); };
  for (std::size_t i = 0; i < 32; ++i) {
    const std::size_t g = i / 4, c = i % 4 * 2;
    for (std::size_t j = 0; j < 2; ++j) {
      a[g][c + j] = half_of(of(i).a[0], j);
      a[g + 8][c + j] = half_of(of(i).a[1], j);
      a[g][c + 8 + j] = half_of(of(i).a[2], j);
      a[g + 8][c + 8 + j] = half_of(of(i).a[3], j);
      b[c + j][g] = half_of(of(i).b[0], j);
      b[c + 8 + j][g] = half_of(of(i).b[1], j);
    }
  }
  for (std::size_t row = 0; row < 16; ++row) {
    float sum[8] = {};
    for (std::size_t k = 0; k < 16; ++k)
      for (std::size_t column = 0; column < 8; ++column) sum[column] += a[row][k] * b[k][column];
    for (std::size_t column = 0; column < 8; ++column) of(row % 8 * 4 + column / 2).d[row / 8 * 2 + column % 2] += sum[column];
  }
}

struct Ldmatrix {
  std::uint32_t* to;
  const std::byte* row;
};
template <std::size_t M, Trans trans>
void load_fragments(void* const* lanes, std::size_t count) {
  if (count != 32) Worker::running().report("ldmatrix by a warp of ", count, " threads: it takes 32");
  const auto of = [&](std::size_t i) -> const Ldmatrix& { return *static_cast<const Ldmatrix*>(lanes[i]); };
  for (std::size_t m = 0; m < M; ++m) {
    std::uint16_t x[8][8];
    for (std::size_t row = 0; row < 8; ++row) std::memcpy(x[row], of(m * 8 + row).row, 16);
    for (std::size_t i = 0; i < 32; ++i) {
      const std::size_t g = i / 4, c = i % 4 * 2;
      const std::uint32_t low = trans == Trans::yes ? x[c][g] : x[g][c], high = trans == Trans::yes ? x[c + 1][g] : x[g][c + 1];
      of(i).to[m] = low | high << 16;
    }
  }
}

struct Stmatrix {
  std::byte* row;
  const std::uint32_t* from;
};
inline void store_fragments(void* const* lanes, std::size_t count) {
  if (count != 32) Worker::running().report("stmatrix by a warp of ", count, " threads: it takes 32");
  const auto of = [&](std::size_t i) -> const Stmatrix& { return *static_cast<const Stmatrix*>(lanes[i]); };
  for (std::size_t i = 0; i < 32; ++i)
    for (std::size_t c = 0; c < 4; ++c) std::memcpy(of(i).row + 4 * c, of(i % 8 * 4 + c).from + i / 8, 4);
}

}  // namespace skipv1::emulator

namespace skipv1::inline SKIPV1_FLAVOUR {

inline void mma(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                emulator::Place place = emulator::Place::here()) {
  emulator::Mma mine{d, a, b};
  emulator::Worker::running().collective("mma", &mine, emulator::multiply_fragments, place);
}

template <std::size_t M, Trans trans = Trans::no>
void ldmatrix(std::uint32_t (&to)[M], const Shared<bfloat16>& from, std::size_t i,
              emulator::Place place = emulator::Place::here()) {
  static_assert(M == 1 || M == 2 || M == 4);
  emulator::Ldmatrix mine{to, from.array.data + i * 2};
  if (emulator::this_lane() < 8 * M) {
    emulator::note_read(from.array, i, 8, place);
    check_aligned(mine.row, 16);
  }
  emulator::Worker::running().collective("ldmatrix", &mine, emulator::load_fragments<M, trans>, place);
}

inline void stmatrix(const Shared<bfloat16>& to, std::size_t i, const std::uint32_t (&from)[4],
                     emulator::Place place = emulator::Place::here()) {
  emulator::Stmatrix mine{to.array.data + i * 2, from};
  emulator::note_write(to.array, i, 8, place);
  check_aligned(mine.row, 16);
  emulator::Worker::running().collective("stmatrix", &mine, emulator::store_fragments, place);
}

// The copy happens in `cp_async_wait`. Until then the target holds NaN, and other threads that touch it race with the copy.
template <class T>
void cp_async(const Shared<T>& to, std::size_t i, const T* from, bool valid = true,
              emulator::Place place = emulator::Place::here()) {
  constexpr std::size_t n = per_16_bytes<T>;
  emulator::note_write(to.array, i, n, place);
  std::byte* target = to.array.data + i * sizeof(T);
  check_aligned(target, 16);
  check_aligned(from, 16);
  std::memset(target, 0xff, 16);
  emulator::Worker::running().note_global(emulator::Access::load, from, valid ? 16 : 0, place);
  emulator::Worker::running().self().cp_asyncs.push_back(
      {to.array, i, n, valid ? reinterpret_cast<const std::byte*>(from) : nullptr, place});
}
template <class T>
void cp_async(const Shared<T>& to, std::size_t i, const T* from, bool valid, std::uint64_t,
              emulator::Place place = emulator::Place::here()) {
  cp_async(to, i, from, valid, place);
}
inline void cp_async_commit() {
  emulator::Thread& thread = emulator::Worker::running().self();
  thread.cp_async_groups.push_back(thread.cp_asyncs.size());
}
template <int pending>
void cp_async_wait() {
  emulator::Thread& thread = emulator::Worker::running().self();
  if (thread.cp_async_groups.size() <= pending) return;
  const std::size_t groups = thread.cp_async_groups.size() - pending, end = thread.cp_async_groups[groups - 1];
  for (std::size_t c = 0; c < end; ++c) {
    const emulator::CpAsync& copy = thread.cp_asyncs[c];
    emulator::note_write(copy.array, copy.begin, copy.count, copy.place);
    std::byte* target = copy.array.data + copy.begin * copy.array.element;
    copy.from ? void(std::memcpy(target, copy.from, 16)) : void(std::memset(target, 0, 16));
  }
  thread.cp_asyncs.erase(thread.cp_asyncs.begin(), thread.cp_asyncs.begin() + static_cast<std::ptrdiff_t>(end));
  thread.cp_async_groups.erase(thread.cp_async_groups.begin(),
                               thread.cp_async_groups.begin() + static_cast<std::ptrdiff_t>(groups));
  for (std::size_t& group : thread.cp_async_groups) group -= end;
}

#endif

/// The two values in a register of `pack_bfloat16`, the lower index first.
SKIPV1_DEVICE Vector<float, 2> unpack_bfloat16(std::uint32_t bits) {
  const std::uint32_t wide[2] = {bits << 16, bits & 0xffff0000u};
  Vector<float, 2> x;
  memcpy(&x, wide, 8);
  return x;
}

/// Load and store N elements of a shared array from element i on, as one access aligned to their size.
template <std::size_t N, class T>
SKIPV1_DEVICE Vector<T, N> load_shared(const Shared<T>& from, std::size_t i) {
#if defined(__CUDACC__)
  return load_vector<N>(from.data + i);
#else
  emulator::note_read(from.array, i, N, emulator::Place::here());
  return load_vector<N>(reinterpret_cast<const T*>(from.array.data) + i);
#endif
}
template <class T>
SKIPV1_DEVICE Vector<T, per_16_bytes<T>> load_shared(const Shared<T>& from, std::size_t i) {
  return load_shared<per_16_bytes<T>>(from, i);
}
template <class T, std::size_t N>
SKIPV1_DEVICE void store_shared(const Shared<T>& to, std::size_t i, const Vector<T, N>& v) {
#if defined(__CUDACC__)
  store_vector(to.data + i, v);
#else
  emulator::note_write(to.array, i, N, emulator::Place::here());
  store_vector(reinterpret_cast<T*>(to.array.data) + i, v);
#endif
}

/// Load and store two neighbouring elements as one register of a fragment.
SKIPV1_DEVICE std::uint32_t load_pair(const bfloat16* from) {
  const Vector<bfloat16, 2> pair = load_vector<2>(from);
  std::uint32_t bits;
  memcpy(&bits, &pair, 4);
  return bits;
}
SKIPV1_DEVICE void store_pair(bfloat16* to, std::uint32_t bits) {
  Vector<bfloat16, 2> pair;
  memcpy(&pair, &bits, 4);
  store_vector(to, pair);
}
SKIPV1_DEVICE void store_pair(const Shared<bfloat16>& to, std::size_t i, std::uint32_t bits) {
  Vector<bfloat16, 2> pair;
  memcpy(&pair, &bits, 4);
  store_shared(to, i, pair);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
