// The Hopper backward pass: its memory, and the two small kernels before and after the main one.
#pragma once

#include "skipv1/kernel/tma.cuh"
#include "skipv1/ops/attention/sm80_backward.cuh"
#include "skipv1/ops/attention/sm90_common.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// Sizes of a block: K keys, tiles of R rows in a ring of `stages`; and of its shared memory. Narrow heads leave room for twice
/// the rows: what a step costs beside its products is then paid half as often.
template <unsigned W>
struct Sm90Backward {
  static constexpr unsigned K = 128, R = W <= 64 ? 128 : 64, threads = 3 * 128, stages = 3, pitch = Tile<W>::pitch;
  static constexpr unsigned boxes = R / tma_box_rows;  ///< row tiles of `BackwardMemory` in one of the block's
  static constexpr std::size_t elements = std::size_t{2 * K + stages * 2 * R} * pitch + K * (R > pitch ? R : pitch);
  static constexpr std::size_t dq_elements = R * W, lse_delta = stages * 2 * R, mbarrier_count = stages + 1;
  static constexpr std::size_t bytes = 2 * elements + (dq_elements + lse_delta) * sizeof(float) +
                                       mbarrier_count * sizeof(std::uint64_t) + 2 * sizeof(std::uint32_t);
};

/// The order in which key tiles are drawn and add to dQ: a head's later keys first; or its earlier keys first, several heads in
/// turn.
enum class KeyOrder { later_first, earlier_first };

/// What the three kernels of the backward pass share in device memory. A tile is 64 rows of one head of one sequence.
struct BackwardMemory {
  TensorMap* maps;            ///< per sequence and head (`make_head_tensor_maps`)
  float* lse_delta;           ///< per tile: lse / log(2) of each row, infinity past the last row; then delta of each row
  float* dq_acc;              ///< per tile: dQ / scale as wgmma's accumulators lie, 64 rows of W columns
  std::uint32_t* semaphores;  ///< per tile of dq_acc: how many key tiles have been added
  std::uint32_t* readers;     ///< per head h and 32 query heads two words: bit r % 32 says whether query head r reads the key
                              ///< head (first word) or value head (second word) that h is the first to read
  std::uint32_t* first;       ///< (H + 1): the number of heads that are first readers of a key or value head, then those heads
  std::uint32_t* next_tile;   ///< the tile scheduler's counter
  std::size_t heads, tiles, key_tiles;
  static constexpr std::uint32_t in_turn = 32;  ///< how many (sequence, head) have their key tiles drawn in turn

  SKIPV1_DEVICE_MEMBER std::size_t tile(std::size_t b, std::size_t h, std::size_t i) const { return (b * heads + h) * tiles + i; }
  /// Key tile `key_tile` of the heads that head h of sequence b is the first to read; past the last tile, b = B.
  struct DrawnTile {
    std::size_t h, b, key_tile;
  };
  /// The n-th key tile of `KeyOrder::earlier_first`: `in_turn` heads in turn, then the next `in_turn`.
  SKIPV1_DEVICE_MEMBER DrawnTile in_turns(std::uint32_t n, std::size_t batch) const {
    const auto sequences = static_cast<std::uint32_t>(batch), of_head = static_cast<std::uint32_t>(key_tiles);
    const std::uint32_t count = first[0], all = count * sequences, begin = n / (in_turn * of_head) * in_turn;
    const std::uint32_t heads_of_turn = begin >= all ? 0 : all - begin < in_turn ? all - begin : in_turn;
    n -= begin * of_head;
    if (n >= heads_of_turn * of_head) return {0, batch, 0};
    const std::uint32_t at = begin + n % heads_of_turn;
    return {first[1 + at % count], at / count, n / heads_of_turn};
  }
  SKIPV1_HOST_DEVICE std::size_t words() const { return (heads + 31) / 32; }
};

/// Grid (row tiles, H, B). Writes tensor maps, lse and delta = dO . O of each row, the readers of each head, and the first
/// readers; sets semaphores and counter to zero.
template <unsigned W>
SKIPV1_KERNEL attention_backward_prepare(AttentionGradients<bfloat16> a, AttentionSizes z, BackwardMemory m) {
  if constexpr (!SKIPV1_SM90A) return;
  constexpr unsigned R = tma_box_rows;
  const std::size_t h = block().y, b = block().z, tile = m.tile(b, h, block().x);
  const HeadPair<const bfloat16, Device> pair = a.heads[h];
  const AttentionSequence own = sequence(z, b);
  if (block().x == 0) make_head_tensor_maps(m.maps + (b * z.heads + h) * tensor_maps_per_head, a.q, a.dout, pair, z, own, h, b);
  if (block().x == 0 && b == 0) {
    for (std::size_t i = 0; warp() == 0 && i < m.words(); ++i) {
      const std::size_t r = i * 32 + lane();
      const unsigned of_key = ballot(r < z.heads && first_reader<HeadPart::key>(a.readers[r]) == h),
                     of_value = ballot(r < z.heads && first_reader<HeadPart::value>(a.readers[r]) == h);
      if (lane() < 2) m.readers[(h * m.words() + i) * 2 + lane()] = lane() == 0 ? of_key : of_value;
    }
    if (thread().x == 0 && h == 0) *m.next_tile = 0;
    const auto is_first = [&](std::size_t r) {
      return first_reader<HeadPart::key>(a.readers[r]) == r || first_reader<HeadPart::value>(a.readers[r]) == r;
    };
    std::uint32_t before = 0, count = 0;
    for (std::size_t r = lane(); warp() == 0 && r < z.heads; r += warp_size) before += is_first(r) && r < h, count += is_first(r);
    if (warp() == 0) before = warp_sum(before), count = warp_sum(count);
    if (thread().x == 0 && is_first(h)) m.first[1 + before] = static_cast<std::uint32_t>(h);
    if (thread().x == 0 && h == 0) m.first[0] = count;
  }
  if (thread().x == 0) m.semaphores[tile] = 0;
  float delta[R / 16] = {};  // 8 lanes per row, 16 rows at a time
  const std::size_t first = std::size_t{block().x} * R + warp() * 4 + lane() / 8;
  SKIPV1_UNROLL
  for (unsigned i = 0; i < R / 16; ++i) {
    const std::size_t row = first + i * 16, n = (own.begin + row) * z.heads + h;
    SKIPV1_UNROLL
    for (unsigned column = lane() % 8 * 8; column < W; column += 64) {
      if (row >= own.rows || column >= z.value) continue;
      const Vector<bfloat16, 8> x = load_vector<8>(a.dout + n * z.value + column),
                                y = load_vector<8>(a.out + n * z.value + column);
      for (unsigned l = 0; l < 8; ++l) delta[i] += static_cast<float>(x[l]) * static_cast<float>(y[l]);
    }
  }
  SKIPV1_UNROLL
  for (unsigned i = 0; i < R / 16; ++i) {
    const std::size_t row = first + i * 16, n = (own.begin + row) * z.heads + h;
    for (unsigned step = 1; step < 8; step *= 2) delta[i] += shuffle_xor(delta[i], step);
    if (lane() % 8 >= 2) continue;
    const float lse = row < own.rows ? a.lse[n] * static_cast<float>(log2_e) : infinity<float>();
    m.lse_delta[(tile * 2 + lane() % 8) * R + row % R] = lane() % 8 == 0 ? lse : delta[i];
  }
}

/// Grid (row tiles, H, B): dq = scale dq_acc, rounded.
template <unsigned W>
SKIPV1_KERNEL attention_backward_finish(AttentionGradients<bfloat16> a, AttentionSizes z, BackwardMemory m, float scale) {
  if constexpr (!SKIPV1_SM90A) return;
  constexpr unsigned R = tma_box_rows, pitch = Tile<W>::pitch;  // of shared memory
  const std::size_t h = block().y, b = block().z, first = std::size_t{block().x} * R;
  const AttentionSequence own = sequence(z, b);
  if (first >= own.rows) return;
  float dq[W / 8][4] = {};
  const float* dq_acc = m.dq_acc + m.tile(b, h, block().x) * R * W + thread().x * 4;
  SKIPV1_UNROLL
  for (unsigned n = 0; n < W / 8; ++n) {
    if (!a.heads[h].value.data) continue;
    const Vector<float, 4> four = load_vector<4>(dq_acc + n * 512);
    for (unsigned l = 0; l < 4; ++l) dq[n][l] = four[l];
  }
  const Tile<W, R> tile{dynamic_shared<bfloat16>(0, std::size_t{R} * pitch), 0};
  const unsigned row = warp() * 16;
  const float factor[2] = {scale, scale};
  tile.store_accumulators(dq, row, factor);
  sync_warp();
  tile.template store_global<16>(a.dq_at(own.begin + first, h, z), a.dq_row, row, own.rows - first < R ? own.rows - first : R,
                                 z.key);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
