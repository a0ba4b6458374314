// Tiles of bfloat16 in shared memory: filled by `cp.async` or TMA, read as fragments of `mma.sync` or as operands of `wgmma`.
#pragma once

#include "skipv1/kernel/mma.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// Rows of W elements, a multiple of 16, in shared memory from element `base` on. With R = 0 rows lie one after the other; else
/// R rows lie in panels of 64 columns, one panel after the other: the layout of TMA and `wgmma` with 128-byte swizzle. Chunk c
/// (16 bytes) of row r is stored at chunk `c ^ (r % 8)`, so the 8 rows that `ldmatrix` reads together hit different banks.
template <unsigned W, unsigned R = 0>
struct Tile {
  static constexpr unsigned pitch = (W + 63) / 64 * 64, chunks = pitch / 8;

  Shared<bfloat16> memory;
  unsigned base = 0;  ///< a multiple of 64

  /// The index of element (row, column) in `memory`.
  SKIPV1_DEVICE_MEMBER unsigned at(unsigned row, unsigned column) const {
    if constexpr (R > 0) return base + column / 64 * R * 64 + row * 64 + ((column / 8 % 8) ^ (row % 8)) * 8 + column % 8;
    return base + row * pitch + ((column / 8) ^ (row % 8)) * 8 + column % 8;
  }
  /// The index of the element `row` rows (a multiple of 8) below and `column` columns (a multiple of 16) right of the one at
  /// index `place`, which is in the first 16 columns. Equals `at` of their sum, but takes one instruction or none where both are
  /// constants.
  SKIPV1_DEVICE_MEMBER static unsigned offset_from(unsigned place, unsigned row, unsigned column) {
    return (place ^ column % 64) + column / 64 * (R > 0 ? R * 64 : 64) + row * (R > 0 ? 64 : pitch);
  }
  /// The address of the first chunk that thread t of `threads` loads, from rows `stride` elements apart at `from`.
  template <unsigned threads>
  SKIPV1_DEVICE_MEMBER static const bfloat16* thread_source(const bfloat16* from, std::size_t stride, unsigned t) {
    return from + t / chunks * stride + t % chunks * 8;
  }
  /// Issues `cp.async` of `rows` rows into the tile, from the thread's own `source` on; zeros from row `count` and from column
  /// `width` on. Rows are aligned to 16 bytes. `policy`: `evict_first()`, or none.
  template <unsigned rows, unsigned threads, class... Policy>
  SKIPV1_DEVICE_MEMBER void load_async_from(const bfloat16* source, std::size_t stride, std::size_t count, std::size_t width,
                                            unsigned t, Policy... policy) const {
    static_assert(threads % chunks == 0 && rows * chunks % threads == 0);
    constexpr unsigned step = threads / chunks;
    const unsigned column = t % chunks * 8, first = t / chunks;
    if (column >= W) return;
    const unsigned some = column < width ? static_cast<unsigned>(count < rows ? count : rows) : 0;
    SKIPV1_UNROLL
    for (unsigned row = 0; row < rows; row += step) {
      cp_async(memory, at(row + first, column), source, row + first < some, policy...);
      source += step * stride;
    }
  }
  /// The same from `from`, the address of row 0 for all threads.
  template <unsigned rows, unsigned threads, class... Policy>
  SKIPV1_DEVICE_MEMBER void load_async(const bfloat16* from, std::size_t stride, std::size_t count, std::size_t width, unsigned t,
                                       Policy... policy) const {
    load_async_from<rows, threads>(thread_source<threads>(from, stride, t), stride, count, width, t, policy...);
  }
  /// The tile that begins at row `row`, a multiple of 8.
  SKIPV1_DEVICE_MEMBER Tile rows_from(unsigned row) const { return {memory, at(row, 0)}; }
  /// Loads the A fragment of 16 rows from `row` and 16 columns from `column` on (`ldmatrix.x4`).
  SKIPV1_DEVICE_MEMBER void load_a(std::uint32_t (&a)[4], unsigned row, unsigned column) const {
    ldmatrix<4>(a, memory, offset_from(at(lane() % 16, lane() / 16 * 8), row, column));
  }
  /// Stores such a fragment (`stmatrix.x4`, sm_90).
  SKIPV1_DEVICE_MEMBER void store_a(const std::uint32_t (&a)[4], unsigned row, unsigned column) const {
    stmatrix(memory, offset_from(at(lane() % 16, lane() / 16 * 8), row, column), a);
  }
  /// Loads two B fragments of A times the tile transposed: k is 16 columns from `column`, n is 2 x 8 rows from `row` on.
  SKIPV1_DEVICE_MEMBER void load_bt(std::uint32_t (&b)[2][2], unsigned row, unsigned column) const {
    std::uint32_t four[4];
    ldmatrix<4>(four, memory, offset_from(at(lane() / 16 * 8 + lane() % 8, lane() / 8 % 2 * 8), row, column));
    for (unsigned j = 0; j < 4; ++j) b[j / 2][j % 2] = four[j];
  }
  /// Loads two B fragments of A times the tile: k is 16 rows from `row`, n is 2 x 8 columns from `column` on.
  SKIPV1_DEVICE_MEMBER void load_b(std::uint32_t (&b)[2][2], unsigned row, unsigned column) const {
    std::uint32_t four[4];
    ldmatrix<4, Trans::yes>(four, memory, offset_from(at(lane() % 16, lane() / 16 * 8), row, column));
    for (unsigned j = 0; j < 4; ++j) b[j / 2][j % 2] = four[j];
  }
  /// Stores accumulators of 16 rows and W columns as bfloat16 from row `row` on, rows g and g + 8 multiplied by a factor each.
  SKIPV1_DEVICE_MEMBER void store_accumulators(const float (&x)[W / 8][4], unsigned row, const float (&factor)[2]) const {
    SKIPV1_UNROLL
    for (unsigned m = 0; m < W / 8; ++m) {
      SKIPV1_UNROLL
      for (unsigned half = 0; half < 2; ++half) {
        const std::uint32_t bits = pack_bfloat16(x[m][2 * half] * factor[half], x[m][2 * half + 1] * factor[half]);
        store_pair(memory, at(row + lane() / 4 + 8 * half, m * 8 + lane() % 4 * 2), bits);
      }
    }
  }
  /// The warp writes `rows` rows of the tile from `row` on to global memory: rows below `count`, columns below `width`. To
  /// accumulate, it loads all old values before it stores the first, and so waits for memory once.
  template <unsigned rows>
  SKIPV1_DEVICE_MEMBER void store_global(bfloat16* to, std::size_t stride, unsigned row, std::size_t count, std::size_t width,
                                         WriteMode mode = WriteMode::overwrite) const {
    constexpr unsigned N = (rows * chunks + warp_size - 1) / warp_size;
    Vector<bfloat16, 8> before[N] = {};
    const auto each = [&](const auto& act) {
      SKIPV1_UNROLL
      for (unsigned n = 0; n < N; ++n) {
        const unsigned i = n * warp_size + lane(), r = row + i / chunks, column = i % chunks * 8;
        if (i < rows * chunks && r < count && column < width) act(n, r, column);
      }
    };
    if (mode == WriteMode::accumulate)
      each([&](unsigned n, unsigned r, unsigned column) { before[n] = load_vector<8>(to + r * stride + column); });
    each([&](unsigned n, unsigned r, unsigned column) {
      Vector<bfloat16, 8> x = load_shared<8>(memory, at(r, column));
      for (unsigned j = 0; mode == WriteMode::accumulate && j < 8; ++j)
        x[j] = static_cast<bfloat16>(static_cast<float>(x[j]) + static_cast<float>(before[n][j]));
      store_vector(to + r * stride + column, x);
    });
  }
  /// The warp negates `rows` rows from `row` on.
  template <unsigned rows>
  SKIPV1_DEVICE_MEMBER void negate(unsigned row) const {
    for (unsigned i = lane(); i < rows * chunks; i += warp_size) {
      if (i % chunks * 8 >= W) continue;
      Vector<bfloat16, 8> x = load_shared<8>(memory, at(row + i / chunks, i % chunks * 8));
      for (unsigned j = 0; j < 8; ++j) x[j] = static_cast<bfloat16>(-static_cast<float>(x[j]));
      store_shared(memory, at(row + i / chunks, i % chunks * 8), x);
    }
  }
};

/// The A fragment (16, 16) of two neighbouring accumulators (16, 8), rounded to bfloat16: both have one register layout.
SKIPV1_DEVICE void to_a_fragment(std::uint32_t (&a)[4], const float (&left)[4], const float (&right)[4]) {
  a[0] = pack_bfloat16(left[0], left[1]);
  a[1] = pack_bfloat16(left[2], left[3]);
  a[2] = pack_bfloat16(right[0], right[1]);
  a[3] = pack_bfloat16(right[2], right[3]);
}

/// Sets fragments to zero.
template <std::size_t N>
SKIPV1_DEVICE void clear(std::uint32_t (&a)[N][4]) {
#if defined(__CUDACC__)
  asm volatile("" ::: "memory");  // keeps a branch: it is rare, and a select per register would cost more
#endif
  SKIPV1_UNROLL
  for (auto& fragment : a)
    for (std::uint32_t& x : fragment) x = 0;
}
/// The A fragments of 2 N accumulators.
template <std::size_t N>
SKIPV1_DEVICE void to_a_fragments(std::uint32_t (&a)[N][4], const float (&x)[2 * N][4]) {
  SKIPV1_UNROLL
  for (unsigned k = 0; k < N; ++k) to_a_fragment(a[k], x[2 * k], x[2 * k + 1]);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
