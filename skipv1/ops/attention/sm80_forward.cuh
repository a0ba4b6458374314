// Attention's forward pass on tensor cores, bfloat16 with float accumulators: tiles, an online softmax, and the probabilities
// kept in registers between the two products (Dao 2023, FlashAttention-2).
#pragma once

#include "skipv1/kernel/tile.cuh"
#include "skipv1/ops/attention/softmax.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

// A block of 4 warps has 64 S rows, each warp 16 S of them: a fragment of keys or values, once read from shared memory, serves S
// products. With S = 1 reading them takes as long as multiplying them; the registers of heads wider than 128 allow no more.
constexpr unsigned mma_warps = 4, mma_threads = mma_warps * 32;
template <unsigned W>
struct ForwardShape {
  static constexpr unsigned S = W <= 128 ? 2 : 1, rows = 64 * S, rows_of_warp = 16 * S, keys = W <= 128 ? 64 : 32;
  static constexpr std::size_t elements = std::size_t{Tile<W>::pitch} * (rows + 2 * 2 * keys), bytes = 2 * elements;
};

/// `d (16 S, 8 N) += a (its first 16 S rows) b^T (8 N rows)`. Fragments are read one step ahead: reading takes as long as the
/// four products of a step, and there are not enough warps to wait for each other.
template <unsigned W, unsigned S, unsigned N>
SKIPV1_DEVICE void mma_ABt(float (&d)[S][N][4], const Tile<W>& a, const Tile<W>& b) {
  constexpr unsigned steps = W / 16 * (N / 2);
  std::uint32_t fa[2][S][4], fb[2][2][2];
  const auto load = [&](unsigned step) {
    const unsigned k = step / (N / 2), n = step % (N / 2) * 2;
    if (n == 0) {
      for (unsigned i = 0; i < S; ++i) a.load_a(fa[k % 2][i], 16 * i, 16 * k);
    }
    b.load_bt(fb[step % 2], n * 8, 16 * k);
  };
  load(0);
  SKIPV1_UNROLL
  for (unsigned step = 0; step < steps; ++step) {
    const unsigned k = step / (N / 2), n = step % (N / 2) * 2;
    if (step + 1 < steps) load(step + 1);
    for (unsigned j = 0; j < 2; ++j)
      for (unsigned i = 0; i < S; ++i) mma(d[i][n + j], fa[k % 2][i], fb[step % 2][j]);
  }
}
/// `d (16 S, W) += a (16 S, 16 K) b`, b a tile of 16 K rows.
template <unsigned W, unsigned S, unsigned K>
SKIPV1_DEVICE void mma_AB(float (&d)[S][W / 8][4], const std::uint32_t (&a)[S][K][4], const Tile<W>& b) {
  constexpr unsigned steps = K * (W / 16);
  std::uint32_t fb[2][2][2];
  const auto load = [&](unsigned step) { b.load_b(fb[step % 2], step / (W / 16) * 16, step % (W / 16) * 16); };
  load(0);
  SKIPV1_UNROLL
  for (unsigned step = 0; step < steps; ++step) {
    const unsigned k = step / (W / 16), m = step % (W / 16) * 2;
    if (step + 1 < steps) load(step + 1);
    for (unsigned j = 0; j < 2; ++j)
      for (unsigned i = 0; i < S; ++i) mma(d[i][m + j], a[i][k], fb[step % 2][j]);
  }
}

/// Zeros for rows of a head without a value.
template <unsigned threads>
SKIPV1_DEVICE void store_no_value(bfloat16* out, float* lse, const AttentionSizes& z, std::size_t rows) {
  for (std::size_t i = thread().x; i < rows * z.value; i += threads)
    out[i / z.value * z.heads * z.value + i % z.value] = static_cast<bfloat16>(0.f);
  for (std::size_t r = thread().x; r < rows; r += threads) lse[r * z.heads] = 0;
}

/// Grid (H, row tiles, B). Operations: 4 d a score, of which a multiprocessor does some 2,500 a cycle by `mma.sync`; beside them
/// one exponential a score, 16 a cycle: at d = 64 both take about as long, so warps must overlap them.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(mma_threads, 2)
    attention_forward_mma(bfloat16* out, float* lse, const bfloat16* q, const HeadPair<const bfloat16, Device>* heads,
                          AttentionSizes z, float scale) {
  using Shape = ForwardShape<W>;
  constexpr unsigned S = Shape::S, K = Shape::keys, pitch = Tile<W>::pitch;
  const std::size_t h = block().x, b = block().z;
  const std::size_t first = (grid_size().y - 1 - block().y) * Shape::rows;  // the longest rows start first
  const AttentionSequence own = sequence(z, b);
  if (first >= own.rows) return;
  const std::size_t rows = own.rows - first < Shape::rows ? own.rows - first : Shape::rows,
                    at = (own.begin + first) * z.heads + h;
  const Head<const bfloat16, Device> key = heads[h].key, value = heads[h].value;
  if (!value.data) return store_no_value<mma_threads>(out + at * z.value, lse + at, z, rows);
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, Shape::elements);
  const Tile<W> q_tile{memory, 0};
  const auto tile = [&](unsigned i, unsigned which) { return Tile<W>{memory, (Shape::rows + (i % 2 * 2 + which) * K) * pitch}; };
  const unsigned t = thread().x, row = warp() * Shape::rows_of_warp;
  const auto seen = static_cast<int>(own.past + first + row + 1);  // by the warp's first row
  const auto keys = static_cast<int>(own.past + first + rows);
  const bfloat16 *k_data = key.data + b * key.batch_stride, *v_data = value.data + b * value.batch_stride;
  const auto copy = [&](unsigned i) {
    const std::size_t s0 = std::size_t{i} * K, count = static_cast<std::size_t>(keys) - s0;
    tile(i, 0).template load_async<K, mma_threads>(k_data + s0 * key.row_stride, key.row_stride, count, z.key, t);
    tile(i, 1).template load_async<K, mma_threads>(v_data + s0 * value.row_stride, value.row_stride, count, z.value, t);
    cp_async_commit();
  };
  q_tile.template load_async<Shape::rows, mma_threads>(q + at * z.key, z.heads * z.key, rows, z.key, t);
  copy(0);
  OnlineSoftmax<> softmax[S];
  float acc_o[S][W / 8][4] = {};
  const float scale_log2 = positive_scale_log2(scale);
  for (unsigned i = 0; static_cast<int>(i * K) < keys; ++i) {
    cp_async_wait<0>();
    sync_threads();
    const int s0 = static_cast<int>(i * K);
    if (s0 + static_cast<int>(K) < keys) copy(i + 1);
    if (i == 0 && scale < 0) {
      q_tile.template negate<Shape::rows_of_warp>(row);
      sync_warp();
    }
    if (row >= rows || s0 >= seen + static_cast<int>(Shape::rows_of_warp) - 1) continue;
    float acc_s[S][K / 8][4] = {}, rescale[S][2];
    mma_ABt(acc_s, q_tile.rows_from(row), tile(i, 0));
    SKIPV1_UNROLL
    for (unsigned j = 0; j < S; ++j) {
      const int rest = seen - s0 + static_cast<int>(16 * j), g = static_cast<int>(lane() / 4);
      const bool rescales = softmax[j].update(acc_s[j], rescale[j], rest < static_cast<int>(K), rest + g, 8, scale_log2);
      if (any(rescales)) rescale_acc_o(acc_o[j], rescale[j]);
    }
    std::uint32_t p[S][K / 16][4];
    for (unsigned j = 0; j < S; ++j) to_a_fragments(p[j], acc_s[j]);
    mma_AB(acc_o, p, tile(i, 1));
  }
  sync_warp();
  SKIPV1_UNROLL
  for (unsigned j = 0; j < S; ++j) {
    float factor[2];
    softmax[j].finalize(factor, lse + at, z.heads, row + 16 * j, rows, scale_log2);
    q_tile.store_accumulators(acc_o[j], row + 16 * j, factor);  // these rows of the queries the warp alone has read
  }
  sync_warp();
  q_tile.template store_global<Shape::rows_of_warp>(out + at * z.value, z.heads * z.value, row, rows, z.value);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
