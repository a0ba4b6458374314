// What the Hopper kernels share: tensor maps of each head, the tiles of rows that the scheduler hands out, and wgmma on tiles.
#pragma once

#include "skipv1/kernel/tma.cuh"
#include "skipv1/kernel/wgmma.cuh"
#include "skipv1/ops/attention/common.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// Tensor maps per sequence and head, in this order: q, dO, k, v.
inline constexpr unsigned tensor_maps_per_head = 4;
/// Writes the tensor maps of one sequence and head, one warp each. Heads are found through the routing table, which lies on the
/// device, so the maps are made there. Writes none where there is nothing to read.
SKIPV1_DEVICE void make_head_tensor_maps(TensorMap* maps, const bfloat16* q, const bfloat16* dout,
                                         const HeadPair<const bfloat16, Device>& pair, const AttentionSizes& z,
                                         const AttentionSequence& own, std::size_t h, std::size_t b) {
  const unsigned which = warp();
  const Head<const bfloat16, Device> head = which == 2 ? pair.key : pair.value;
  const std::size_t width = which % 2 == 0 ? z.key : z.value;
  const bfloat16* rows = which == 0 ? q : dout;
  if (which >= tensor_maps_per_head || own.rows == 0 || !pair.value.data || (which < 2 && !rows)) return;
  make_tensor_map(maps + which, dynamic_shared<std::uint32_t>(which * sizeof(TensorMap), 32),
                  which < 2 ? rows + (own.begin * z.heads + h) * width : head.data + b * head.batch_stride, width,
                  which < 2 ? own.rows : own.past + own.rows, which < 2 ? z.heads * width : head.row_stride);
}

/// Issues the loads of all R rows of a tile, the map's rows from `first` on. They complete at mbarrier i.
template <unsigned W, unsigned R>
SKIPV1_DEVICE void tma_load_rows(const Tile<W, R>& to, const TensorMap* map, std::size_t first, const Mbarriers& mbarriers,
                                 unsigned i) {
  for (unsigned row = 0; row < R; row += tma_box_rows) tma_load_tile(to, row, map, first + row, mbarriers, i);
}

/// A tile of `rows` query rows of one head of one sequence, from row `first` of the sequence on.
struct RowTile {
  std::size_t h, b, first, rows, at;  ///< `at`: index of the first row in (N, H)
  AttentionSequence own;
};
/// Tile n of all: of each head the last rows, which see most keys, come first (longest work first). No rows where n is too high
/// or the sequence is shorter.
template <unsigned size>
SKIPV1_DEVICE RowTile row_tile(const AttentionSizes& z, std::size_t tiles, std::size_t n) {
  const std::size_t h = n / tiles % z.heads, b = n / tiles / z.heads, first = (tiles - 1 - n % tiles) * size;
  if (b >= z.batch) return {h, b, first, 0, 0, {}};
  const AttentionSequence own = sequence(z, b);
  const std::size_t left = first < own.rows ? own.rows - first : 0;
  return {h, b, first, left < size ? left : size, (own.begin + first) * z.heads + h, own};
}

/// A fragments of the tile's first 16 rows; negated where the scale is negative (`OnlineSoftmax`).
template <unsigned W, unsigned R>
SKIPV1_DEVICE void load_q(std::uint32_t (&q_fragments)[W / 16][4], const Tile<W, R>& tile, bool negative) {
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W; k += 16) {
    tile.load_a(q_fragments[k / 16], 0, k);
    for (std::uint32_t& pair : q_fragments[k / 16]) pair ^= negative ? 0x80008000u : 0;
  }
}
/// Issues `d (64, 8 N) = A B^T`: A are rows `row … row + 63` of a tile, B is a tile of 8 N rows. Both are read from shared
/// memory.
template <unsigned W, unsigned R, unsigned K, std::size_t N>
SKIPV1_DEVICE void issue_wgmma_ABt(float (&d)[N][4], const Tile<W, R>& a, unsigned row, const Tile<W, K>& b) {
  static_assert(K == 8 * N);
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W; k += 16) wgmma_ABt(d, MatrixDescriptor(a, row, k), MatrixDescriptor(b, 0, k), accumulate_if(k > 0));
}
/// The same, A in registers.
template <unsigned W, unsigned K, std::size_t N>
SKIPV1_DEVICE void issue_wgmma_ABt(float (&d)[N][4], const std::uint32_t (&a)[W / 16][4], const Tile<W, K>& b) {
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W; k += 16) wgmma_ABt(d, a[k / 16], MatrixDescriptor(b, 0, k), accumulate_if(k > 0));
}
/// Issues `d (64, W) += A B`: A (64, K) in registers, B a tile of K rows.
template <unsigned W, unsigned K, std::size_t M, std::size_t N>
SKIPV1_DEVICE void issue_wgmma_AB(float (&d)[M][4], const std::uint32_t (&a)[N][4], const Tile<W, K>& b) {
  static_assert(K == 16 * N && W == 8 * M);
  SKIPV1_UNROLL
  for (unsigned k = 0; k < N; ++k) wgmma_AB(d, a[k], MatrixDescriptor(b, 16 * k, 0));
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
