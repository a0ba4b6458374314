// `wgmma` (sm_90a): a warpgroup, 4 consecutive warps, issues matrix products that run asynchronously, read their operands from
// shared memory, and complete by groups. Warp w of the warpgroup holds rows 16 w … 16 w + 15 of the 64 rows of D and of A in
// fragments, laid out as those of `mma.sync` (kernel/mma.cuh).
#pragma once

#include <cstdlib>
#include <vector>

#include "skipv1/kernel/tile.cuh"
#include "skipv1/kernel/launch.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

#if defined(__CUDACC__)

/// A matrix descriptor: an operand in shared memory, part of a tile in panels. It holds the address, the distance of panels and
/// that of 8 rows, in units of 16 bytes, and the 128-byte swizzle.
struct MatrixDescriptor {
  std::uint64_t descriptor;
  template <unsigned W, unsigned R>
  SKIPV1_DEVICE_MEMBER MatrixDescriptor(const Tile<W, R>& tile, unsigned row, unsigned column) {
    static_assert(R % 8 == 0);
    // The tile's own descriptor is computed once; the offset of the part, mostly a constant, is added.
    const auto base = static_cast<std::uint32_t>(__cvta_generic_to_shared(tile.memory.data)) + 2 * tile.base;
    const std::uint32_t beside = 2 * (column / 64 * R * 64 + row * 64 + column % 64);
    descriptor = (std::uint64_t{(base & 0x3ffff) >> 4} | std::uint64_t{R * 128 >> 4} << 16 | std::uint64_t{1024 >> 4} << 32 |
                  std::uint64_t{1} << 62) +
                 (beside >> 4);
  }
};

#define SKIPV1_F4(n) "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3])
#define SKIPV1_F32(n)                                                                                                       \
  SKIPV1_F4(n), SKIPV1_F4(n + 1), SKIPV1_F4(n + 2), SKIPV1_F4(n + 3), SKIPV1_F4(n + 4), SKIPV1_F4(n + 5), SKIPV1_F4(n + 6), \
      SKIPV1_F4(n + 7)
#define SKIPV1_F16(n) SKIPV1_F4(n), SKIPV1_F4(n + 1), SKIPV1_F4(n + 2), SKIPV1_F4(n + 3)
#define SKIPV1_R8_0 "%0, %1, %2, %3, %4, %5, %6, %7"
#define SKIPV1_R16_0 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define SKIPV1_R16_1 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define SKIPV1_R16_2 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define SKIPV1_R16_3 "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define SKIPV1_WGMMA(N, registers, operands, flag, immediates) \
  "{ .reg .pred adds; setp.ne.b32 adds, " flag                 \
  ", 0;\n"                                                     \
  "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" registers "}, " operands ", adds, " immediates "; }"

/// Issues `d (64, 8 M) = a (64, 16) b (8 M, 16)^T`, or `d += …`: both operands K-major in shared memory.
template <std::size_t M>
SKIPV1_DEVICE void wgmma_ABt(float (&d)[M][4], const MatrixDescriptor& a, const MatrixDescriptor& b, WriteMode mode) {
  static_assert(M == 8 || M == 16);
#if SKIPV1_SM90A
  if constexpr (M == 8) {
    asm volatile(SKIPV1_WGMMA(64, SKIPV1_R16_0 ", " SKIPV1_R16_1, "%32, %33", "%34", "1, 1, 0, 0")
                 : SKIPV1_F32(0)
                 : "l"(a.descriptor), "l"(b.descriptor), "r"(int{mode == WriteMode::accumulate}));
  } else {
    asm volatile(
        SKIPV1_WGMMA(128, SKIPV1_R16_0 ", " SKIPV1_R16_1 ", " SKIPV1_R16_2 ", " SKIPV1_R16_3, "%64, %65", "%66", "1, 1, 0, 0")
        : SKIPV1_F32(0), SKIPV1_F32(8)
        : "l"(a.descriptor), "l"(b.descriptor), "r"(int{mode == WriteMode::accumulate}));
  }
#endif
}
/// The same, a in registers.
template <std::size_t M>
SKIPV1_DEVICE void wgmma_ABt(float (&d)[M][4], const std::uint32_t (&a)[4], const MatrixDescriptor& b, WriteMode mode) {
  static_assert(M == 8 || M == 16);
#if SKIPV1_SM90A
  if constexpr (M == 8) {
    asm volatile(SKIPV1_WGMMA(64, SKIPV1_R16_0 ", " SKIPV1_R16_1, "{%32, %33, %34, %35}, %36", "%37", "1, 1, 0")
                 : SKIPV1_F32(0)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b.descriptor), "r"(int{mode == WriteMode::accumulate}));
  } else {
    asm volatile(SKIPV1_WGMMA(128, SKIPV1_R16_0 ", " SKIPV1_R16_1 ", " SKIPV1_R16_2 ", " SKIPV1_R16_3,
                              "{%64, %65, %66, %67}, %68", "%69", "1, 1, 0")
                 : SKIPV1_F32(0), SKIPV1_F32(8)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b.descriptor), "r"(int{mode == WriteMode::accumulate}));
  }
#endif
}
/// Issues `d (64, 8 M) += a (64, 16) b (16, 8 M)`: a in registers, b MN-major in shared memory from column 0 of a tile on.
template <std::size_t M>
SKIPV1_DEVICE void wgmma_AB(float (&d)[M][4], const std::uint32_t (&a)[4], const MatrixDescriptor& b) {
  static_assert(M == 8 || M == 10 || M == 12 || M == 16);
#if SKIPV1_SM90A
  if constexpr (M == 8) {
    asm volatile(SKIPV1_WGMMA(64, SKIPV1_R16_0 ", " SKIPV1_R16_1, "{%32, %33, %34, %35}, %36", "1", "1, 1, 1")
                 : SKIPV1_F32(0)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b.descriptor));
  } else if constexpr (M == 10) {
    asm volatile(SKIPV1_WGMMA(80, SKIPV1_R16_0 ", " SKIPV1_R16_1 ", %32, %33, %34, %35, %36, %37, %38, %39",
                              "{%40, %41, %42, %43}, %44", "1", "1, 1, 1")
                 : SKIPV1_F32(0), SKIPV1_F4(8), SKIPV1_F4(9)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b.descriptor));
  } else if constexpr (M == 12) {
    asm volatile(SKIPV1_WGMMA(96, SKIPV1_R16_0 ", " SKIPV1_R16_1 ", " SKIPV1_R16_2, "{%48, %49, %50, %51}, %52", "1", "1, 1, 1")
                 : SKIPV1_F32(0), SKIPV1_F16(8)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b.descriptor));
  } else {
    asm volatile(SKIPV1_WGMMA(128, SKIPV1_R16_0 ", " SKIPV1_R16_1 ", " SKIPV1_R16_2 ", " SKIPV1_R16_3,
                              "{%64, %65, %66, %67}, %68", "1", "1, 1, 1")
                 : SKIPV1_F32(0), SKIPV1_F32(8)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b.descriptor));
  }
#endif
}
/// Issues `d (64, 8 M) = a (16, 64)^T b (16, 8 M)`, or `d += …`: both operands MN-major in shared memory.
template <std::size_t M>
SKIPV1_DEVICE void wgmma_AtB(float (&d)[M][4], const MatrixDescriptor& a, const MatrixDescriptor& b, WriteMode mode) {
  static_assert(M == 2 || M == 4 || M == 8);
#if SKIPV1_SM90A
  if constexpr (M == 2) {
    asm volatile(SKIPV1_WGMMA(16, SKIPV1_R8_0, "%8, %9", "%10", "1, 1, 1, 1")
                 : SKIPV1_F4(0), SKIPV1_F4(1)
                 : "l"(a.descriptor), "l"(b.descriptor), "r"(int{mode == WriteMode::accumulate}));
  } else if constexpr (M == 4) {
    asm volatile(SKIPV1_WGMMA(32, SKIPV1_R16_0, "%16, %17", "%18", "1, 1, 1, 1")
                 : SKIPV1_F16(0)
                 : "l"(a.descriptor), "l"(b.descriptor), "r"(int{mode == WriteMode::accumulate}));
  } else {
    asm volatile(SKIPV1_WGMMA(64, SKIPV1_R16_0 ", " SKIPV1_R16_1, "%32, %33", "%34", "1, 1, 1, 1")
                 : SKIPV1_F32(0)
                 : "l"(a.descriptor), "l"(b.descriptor), "r"(int{mode == WriteMode::accumulate}));
  }
#endif
}

/// Keeps the compiler from moving accesses to these registers past this place.
template <std::size_t M>
SKIPV1_DEVICE void fence_operand(float (&d)[M][4]) {
  SKIPV1_UNROLL
  for (std::size_t n = 0; n < M; ++n) asm volatile("" : SKIPV1_F4(n)::"memory");
}
template <std::size_t M>
SKIPV1_DEVICE void fence_operand(std::uint32_t (&a)[M][4]) {
  SKIPV1_UNROLL
  for (std::size_t n = 0; n < M; ++n) asm volatile("" : "+r"(a[n][0]), "+r"(a[n][1]), "+r"(a[n][2]), "+r"(a[n][3])::"memory");
}
#undef SKIPV1_WGMMA
#undef SKIPV1_R8_0
#undef SKIPV1_R16_0
#undef SKIPV1_R16_1
#undef SKIPV1_R16_2
#undef SKIPV1_R16_3
#undef SKIPV1_F16
#undef SKIPV1_F32
#undef SKIPV1_F4
/// `wgmma.fence`: comes before a `wgmma` that reads or writes registers which the threads have written.
template <class... Registers>
SKIPV1_DEVICE void wgmma_fence(Registers&... registers) {
  (fence_operand(registers), ...);
#if SKIPV1_SM90A
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
/// `wgmma.commit_group`: the products issued since the last commit form a group.
SKIPV1_DEVICE void wgmma_commit() {
#if SKIPV1_SM90A
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
/// `wgmma.wait_group`: waits until all but the last `pending` groups have completed. `accumulators` are those it makes readable.
template <int pending, class... Accumulators>
SKIPV1_DEVICE void wgmma_wait(Accumulators&... accumulators) {
#if SKIPV1_SM90A
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
#endif
  (fence_operand(accumulators), ...);
}
/// `setmaxnreg`: raises, or lowers, the warpgroup's registers per thread to `count`. Consumers take what the producer gives up.
template <unsigned count>
SKIPV1_DEVICE void setmaxnreg_inc() {
#if SKIPV1_SM90A
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
#endif
}
template <unsigned count>
SKIPV1_DEVICE void setmaxnreg_dec() {
#if SKIPV1_SM90A
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
#endif
}
/// `fence.proxy.async`: orders this thread's accesses to shared memory before those of later `wgmma` and TMA; a barrier follows.
SKIPV1_DEVICE void fence_proxy_async() {
#if SKIPV1_SM90A
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

#else

struct MatrixDescriptor : emulator::MatrixPart {
  template <unsigned W, unsigned R>
  MatrixDescriptor(const Tile<W, R>& tile, unsigned row, unsigned column)
      : MatrixPart{tile.memory.array, tile.base + column / 64 * R * 64 + row * 64 + column % 64, R * 64} {
    static_assert(R % 8 == 0);
    if (tile.base % 512 != 0 || row % 8 != 0 || column % 16 != 0)
      emulator::Worker::running().report("wgmma: a tile from element ", tile.base, ", row ", row, ", column ", column,
                                         " on: multiples of 512, 8 and 16 are needed");
  }
};

}  // namespace skipv1

namespace skipv1::emulator {

/// The index of the chunk of 8 elements at (row, column), column a multiple of 8.
inline std::size_t chunk_at(const MatrixPart& from, std::size_t row, std::size_t column) {
  const std::size_t at = from.begin % 64 + column, plain = from.begin / 64 * 64 + at / 64 * from.panel + row * 64 + at % 64;
  return plain ^ plain / 64 % 8 * 8;
}
inline void read_chunk(float* to, const MatrixPart& from, std::size_t row, std::size_t column, Place place) {
  const std::size_t i = chunk_at(from, row, column);
  note_read(from.array, i, 8, place);
  const auto* numbers = reinterpret_cast<const bfloat16*>(from.array.data) + i;
  for (std::size_t j = 0; j < 8; ++j) to[j] = static_cast<float>(numbers[j]);
}

/// `to` += `factor` `row`, of `columns` numbers; most of what a product takes here.
inline void add_multiple(float* to, float factor, const float* row, std::size_t columns) {
#ifdef _OPENMP
#pragma omp simd  // by vectors, at -O1, too
#endif
  for (std::size_t column = 0; column < columns; ++column) to[column] += factor * row[column];
}

/// The products that a lane waits for. They live in its `Thread`: a fiber that is abandoned after a fault frees nothing.
struct PendingWgmma {
  Wgmma* products;
  std::size_t count;
};
/// Computes a warp's 16 rows of the products that its lanes wait for.
inline void multiply_wgmmas(void* const* lanes, std::size_t count) {
  if (count != 32) Worker::running().report("wgmma by a warp of ", count, " threads: it takes 32");
  const auto of = [&](std::size_t i) { return static_cast<PendingWgmma*>(lanes[i])->products; };
  const std::size_t first_row = Worker::running().thread_number() / 32 % 4 * 16;
  float a[16][16], b[16][128], chunk[8];
  for (std::size_t p = 0; p < static_cast<PendingWgmma*>(lanes[0])->count; ++p) {
    const Wgmma& first = of(0)[p];
    for (std::size_t i = 0; i < 32; ++i) {
      Wgmma& own = of(i)[p];
      for (std::size_t n = 0; own.first && n < own.columns / 2; ++n)
        own.d[n] = own.mode == WriteMode::accumulate ? own.before[n] : 0;
      for (std::size_t j = 0; j < 4; ++j)
        for (std::size_t half = 0; half < 2; ++half)
          a[i / 4 + j % 2 * 8][i % 4 * 2 + j / 2 * 8 + half] = half_of(own.fragments[j], half);
    }
    for (std::size_t row = 0; first.a && !first.a_transposed && row < 16; ++row)
      for (std::size_t k = 0; k < 16; k += 8) read_chunk(&a[row][k], *first.a, first_row + row, k, first.place);
    for (std::size_t k = 0; first.a_transposed && k < 16; ++k) {
      for (std::size_t row = 0; row < 16; row += 8) {
        read_chunk(chunk, *first.a, k, first_row + row, first.place);
        for (std::size_t j = 0; j < 8; ++j) a[row + j][k] = chunk[j];
      }
    }
    for (std::size_t k = 0; !first.b_transposed && k < 16; ++k)
      for (std::size_t column = 0; column < first.columns; column += 8)
        read_chunk(&b[k][column], first.b, k, column, first.place);
    for (std::size_t column = 0; first.b_transposed && column < first.columns; ++column) {
      for (std::size_t k = 0; k < 16; k += 8) {
        read_chunk(chunk, first.b, column, k, first.place);
        for (std::size_t j = 0; j < 8; ++j) b[k + j][column] = chunk[j];
      }
    }
    for (std::size_t row = 0; row < 16; ++row) {
      float sums[128] = {};
      for (std::size_t k = 0; k < 16; ++k) add_multiple(sums, a[row][k], b[k], first.columns);
      for (std::size_t column = 0; column < first.columns; ++column)
        of(row % 8 * 4 + column % 8 / 2)[p].d[column / 8 * 4 + row / 8 * 2 + column % 2] += sums[column];
    }
  }
}
/// A product may read as soon as it is issued: a warp's reads are noted then, and again when it is waited for.
inline void note_reads(const Wgmma& product, std::size_t first_row) {
  const auto note = [&](const MatrixPart& from, std::size_t begin, std::size_t rows, std::size_t columns, std::size_t first) {
    for (std::size_t row = 0; row < rows; ++row)
      for (std::size_t k = 0; k < columns; k += 8)
        note_read(from.array, chunk_at(from, begin + row, first + k), 8, product.place);
  };
  if (product.a) note(*product.a, product.a_transposed ? 0 : first_row, 16, 16, product.a_transposed ? first_row : 0);
  note(product.b, 0, product.b_transposed ? product.columns : 16, product.b_transposed ? 16 : product.columns, 0);
}
/// Accumulators hold NaN until `wgmma_wait`.
template <std::size_t M>
void issue_wgmma(float (&d)[M][4], Wgmma product) {
  static_assert(M <= 16);
  product.d = &d[0][0], product.columns = 8 * M, product.first = true;
  const auto across = [](const MatrixPart& part, std::size_t columns) {
    return part.begin % 64 != 0 && part.begin % 64 + columns > 64;
  };
  if ((!product.b_transposed && across(product.b, product.columns)) || (product.a_transposed && across(*product.a, 64)))
    Worker::running().report("wgmma: columns that do not begin with a panel go on in the next");
  std::vector<Wgmma>& all = Worker::running().self().wgmmas;
  for (const Wgmma& other : all) product.first = product.first && other.d != product.d;
  if (!product.first && product.mode == WriteMode::overwrite)
    Worker::running().report("wgmma: a product overwrites an accumulator of a pending one");
  if (this_lane() == 0) note_reads(product, Worker::running().thread_number() / 32 % 4 * 16);
  if (product.first) std::copy_n(product.d, 4 * M, product.before);
  std::fill_n(product.d, 4 * M, std::nanf(""));
  all.push_back(product);
}

}  // namespace skipv1::emulator

namespace skipv1::inline SKIPV1_FLAVOUR {

template <std::size_t M>
void wgmma_ABt(float (&d)[M][4], const MatrixDescriptor& a, const MatrixDescriptor& b, WriteMode mode,
               emulator::Place place = emulator::Place::here()) {
  emulator::issue_wgmma(d, {.mode = mode, .b_transposed = true, .place = place, .b = b, .a = a});
}
template <std::size_t M>
void wgmma_ABt(float (&d)[M][4], const std::uint32_t (&a)[4], const MatrixDescriptor& b, WriteMode mode,
               emulator::Place place = emulator::Place::here()) {
  emulator::issue_wgmma(d, {.mode = mode, .b_transposed = true, .place = place, .b = b, .fragments = {a[0], a[1], a[2], a[3]}});
}
template <std::size_t M>
void wgmma_AB(float (&d)[M][4], const std::uint32_t (&a)[4], const MatrixDescriptor& b,
              emulator::Place place = emulator::Place::here()) {
  emulator::issue_wgmma(d, {.place = place, .b = b, .fragments = {a[0], a[1], a[2], a[3]}});
}
template <std::size_t M>
void wgmma_AtB(float (&d)[M][4], const MatrixDescriptor& a, const MatrixDescriptor& b, WriteMode mode,
               emulator::Place place = emulator::Place::here()) {
  static_assert(M == 2 || M == 4 || M == 8);
  emulator::issue_wgmma(d, {.mode = mode, .a_transposed = true, .place = place, .b = b, .a = a});
}
template <class... Registers>
void wgmma_fence(Registers&...) {}
inline void wgmma_commit() {
  emulator::Thread& thread = emulator::Worker::running().self();
  thread.wgmma_groups.push_back(thread.wgmmas.size());
}
template <int pending, class... Accumulators>
void wgmma_wait(Accumulators&...) {
  emulator::Thread& thread = emulator::Worker::running().self();
  if (thread.wgmma_groups.size() <= pending) return;
  const std::size_t groups = thread.wgmma_groups.size() - pending, count = thread.wgmma_groups[groups - 1];
  emulator::PendingWgmma mine{thread.wgmmas.data(), count};
  emulator::Worker::running().collective("wgmma.wait_group", &mine, emulator::multiply_wgmmas, emulator::Place::here());
  thread.wgmmas.erase(thread.wgmmas.begin(), thread.wgmmas.begin() + static_cast<std::ptrdiff_t>(count));
  thread.wgmma_groups.erase(thread.wgmma_groups.begin(), thread.wgmma_groups.begin() + static_cast<std::ptrdiff_t>(groups));
  for (std::size_t& group : thread.wgmma_groups) group -= count;
}
template <unsigned count>
void setmaxnreg_inc() {}
template <unsigned count>
void setmaxnreg_dec() {}
inline void fence_proxy_async() {}

#endif

}  // namespace skipv1::inline SKIPV1_FLAVOUR

namespace skipv1::detail::inline SKIPV1_FLAVOUR {
/// The host reads from its launch bounds whether the device code was compiled for sm_90a.
template <class T>
SKIPV1_KERNEL SKIPV1_BOUNDS(SKIPV1_SM90A ? 128 : 32, 1) sm90a_probe() {}
}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// Whether the device runs code for sm_90a, which has `wgmma` and TMA, and the environment has no SKIPV1_PORTABLE:
/// compute-sanitizer needs that, since initcheck does not see TMA stores, and synccheck reports a named barrier that is reached
/// at two places of the code. The emulator executes sm_90a's instructions.
inline bool has_sm90a() {
#if defined(__CUDACC__)
  static const bool has = [] {
    cudaFuncAttributes attributes{};
    check_cuda(cudaFuncGetAttributes(&attributes, detail::sm90a_probe<void>), "asking for a kernel's attributes");
    return attributes.maxThreadsPerBlock == 128 && std::getenv("SKIPV1_PORTABLE") == nullptr;
  }();
  return has;
#else
  return true;
#endif
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
