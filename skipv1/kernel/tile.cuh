// Tiles of bfloat16 in shared memory, filled by asynchronous copies and read as fragments of tensor cores' products.
#pragma once

#include "skipv1/kernel/mma.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// Rows of W numbers, a multiple of 16, in shared memory from `base` on: row after row or, with R, R rows in panels of 64
/// columns, one after the other, as warpgroups' products want them. The 16-byte piece c of row r lies where piece `c ^ (r % 8)`
/// would be: the 8 rows that `ldmatrix` reads together, and a row's pieces, lie in different banks.
template <unsigned W, unsigned R = 0>
struct Tile {
  static constexpr unsigned pitch = (W + 63) / 64 * 64, pieces = pitch / 8;

  Shared<bfloat16> memory;
  unsigned base = 0;  ///< a multiple of 64

  /// Where element (row, column) lies in `memory`.
  SKIPV1_DEVICE_MEMBER unsigned at(unsigned row, unsigned column) const {
    if constexpr (R > 0) return base + column / 64 * R * 64 + row * 64 + ((column / 8 % 8) ^ (row % 8)) * 8 + column % 8;
    return base + row * pitch + ((column / 8) ^ (row % 8)) * 8 + column % 8;
  }
  /// Where that element lies which is `row` rows, a multiple of 8, below and `column` columns, a multiple of 16, beside the one
  /// of the first 16 columns that lies at `place`. With both known when this is compiled, one instruction or none: fragments are
  /// read too often for `at`, and registers are better used for fragments read ahead.
  SKIPV1_DEVICE_MEMBER static unsigned beside(unsigned place, unsigned row, unsigned column) {
    return (place ^ column % 64) + column / 64 * (R > 0 ? R * 64 : 64) + row * (R > 0 ? 64 : pitch);
  }
  /// Where the first of the numbers lies, in memory from `from` on, that thread t of `threads` copies; rows are `stride` apart.
  template <unsigned threads>
  SKIPV1_DEVICE_MEMBER static const bfloat16* thread_source(const bfloat16* from, std::size_t stride, unsigned t) {
    return from + t / pieces * stride + t % pieces * 8;
  }
  /// Starts copying `rows` rows into the tile, from `source` on, the thread's own: zeros from row `count`, and from column
  /// `width`, on. Rows are aligned to 16 bytes.
  template <unsigned rows, unsigned threads>
  SKIPV1_DEVICE_MEMBER void load_async_from(const bfloat16* source, std::size_t stride, std::size_t count, std::size_t width,
                                            unsigned t) const {
    static_assert(threads % pieces == 0 && rows * pieces % threads == 0);
    constexpr unsigned step = threads / pieces;
    const unsigned column = t % pieces * 8, first = t / pieces;
    if (column >= W) return;
    const unsigned some = column < width ? static_cast<unsigned>(count < rows ? count : rows) : 0;
    SKIPV1_UNROLL
    for (unsigned row = 0; row < rows; row += step) {
      cp_async(memory, at(row + first, column), source, row + first < some);
      source += step * stride;
    }
  }
  /// The same from `from` on, which is the same for all threads.
  template <unsigned rows, unsigned threads>
  SKIPV1_DEVICE_MEMBER void load_async(const bfloat16* from, std::size_t stride, std::size_t count, std::size_t width,
                                       unsigned t) const {
    load_async_from<rows, threads>(thread_source<threads>(from, stride, t), stride, count, width, t);
  }
  /// The tile's rows from `row`, a multiple of 8, on.
  SKIPV1_DEVICE_MEMBER Tile rows_from(unsigned row) const { return {memory, at(row, 0)}; }
  /// An A fragment: 16 rows from `row`, 16 columns from `column` on.
  SKIPV1_DEVICE_MEMBER void load_a(std::uint32_t (&a)[4], unsigned row, unsigned column) const {
    ldmatrix<4>(a, memory, beside(at(lane() % 16, lane() / 16 * 8), row, column));
  }
  /// Stores one (compute capability 9.0).
  SKIPV1_DEVICE_MEMBER void store_a(const std::uint32_t (&a)[4], unsigned row, unsigned column) const {
    stmatrix(memory, beside(at(lane() % 16, lane() / 16 * 8), row, column), a);
  }
  /// Two B fragments of the product with the tile transposed: k are 16 columns from `column`, n twice 8 rows from `row` on.
  SKIPV1_DEVICE_MEMBER void load_bt(std::uint32_t (&b)[2][2], unsigned row, unsigned column) const {
    std::uint32_t four[4];
    ldmatrix<4>(four, memory, beside(at(lane() / 16 * 8 + lane() % 8, lane() / 8 % 2 * 8), row, column));
    for (unsigned j = 0; j < 4; ++j) b[j / 2][j % 2] = four[j];
  }
  /// Two B fragments of the product with the tile: k are 16 rows from `row`, n twice 8 columns from `column` on.
  SKIPV1_DEVICE_MEMBER void load_b(std::uint32_t (&b)[2][2], unsigned row, unsigned column) const {
    std::uint32_t four[4];
    ldmatrix<4, true>(four, memory, beside(at(lane() % 16, lane() / 16 * 8), row, column));
    for (unsigned j = 0; j < 4; ++j) b[j / 2][j % 2] = four[j];
  }
  /// Writes D fragments of 16 rows, W columns, rounded, as the rows from `row` on; rows g and g + 8 times a factor.
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
  /// The warp copies `rows` rows of the tile from `row` on to `to`, or adds them to it: those below `count`, columns below
  /// `width`. What is added to is loaded whole before the first is stored: one wait for memory, not one a row.
  template <unsigned rows>
  SKIPV1_DEVICE_MEMBER void store_global(bfloat16* to, std::size_t stride, unsigned row, std::size_t count, std::size_t width,
                                         WriteMode mode = WriteMode::overwrite) const {
    constexpr unsigned N = (rows * pieces + warp_size - 1) / warp_size;
    Vector<bfloat16, 8> before[N] = {};
    const auto each = [&](const auto& act) {
      SKIPV1_UNROLL
      for (unsigned n = 0; n < N; ++n) {
        const unsigned i = n * warp_size + lane(), r = row + i / pieces, column = i % pieces * 8;
        if (i < rows * pieces && r < count && column < width) act(n, r, column);
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
  /// The warp changes the sign of `rows` rows from `row` on.
  template <unsigned rows>
  SKIPV1_DEVICE_MEMBER void negate(unsigned row) const {
    for (unsigned i = lane(); i < rows * pieces; i += warp_size) {
      if (i % pieces * 8 >= W) continue;
      Vector<bfloat16, 8> x = load_shared<8>(memory, at(row + i / pieces, i % pieces * 8));
      for (unsigned j = 0; j < 8; ++j) x[j] = static_cast<bfloat16>(-static_cast<float>(x[j]));
      store_shared(memory, at(row + i / pieces, i % pieces * 8), x);
    }
  }
};

/// The A fragment of two D fragments beside each other, rounded: their registers lie alike.
SKIPV1_DEVICE void to_a_fragment(std::uint32_t (&a)[4], const float (&left)[4], const float (&right)[4]) {
  a[0] = pack_bfloat16(left[0], left[1]);
  a[1] = pack_bfloat16(left[2], left[3]);
  a[2] = pack_bfloat16(right[0], right[1]);
  a[3] = pack_bfloat16(right[2], right[3]);
}

/// All zeros.
template <std::size_t N>
SKIPV1_DEVICE void clear(std::uint32_t (&a)[N][4]) {
#if defined(__CUDACC__)
  asm volatile("" ::: "memory");  // a branch: it is taken so seldom that choosing each register would cost more
#endif
  SKIPV1_UNROLL
  for (auto& fragment : a)
    for (std::uint32_t& x : fragment) x = 0;
}
/// Those of all pairs of 2 N.
template <std::size_t N>
SKIPV1_DEVICE void to_a_fragments(std::uint32_t (&a)[N][4], const float (&x)[2 * N][4]) {
  SKIPV1_UNROLL
  for (unsigned k = 0; k < N; ++k) to_a_fragment(a[k], x[2 * k], x[2 * k + 1]);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
