// Attention's forward pass on tensor cores, bfloat16 with float sums: tiles, an online softmax, and the probabilities kept in
// registers between the two products (Dao 2023, FlashAttention-2).
#pragma once

#include "skipv1/kernel/tile.cuh"
#include "skipv1/ops/attention/common.cuh"

namespace skipv1::detail {

// A block of 4 warps has 64 S rows, each warp 16 S of them: a fragment of keys or values, once read from shared memory, serves S
// products. With S = 1 reading them takes as long as multiplying them; the registers of heads wider than 128 allow no more.
constexpr unsigned mma_warps = 4, mma_threads = mma_warps * 32;
template <unsigned W>
struct ForwardShape {
  static constexpr unsigned S = W <= 128 ? 2 : 1, rows = 64 * S, rows_of_warp = 16 * S, keys = W <= 128 ? 64 : 32;
  static constexpr std::size_t elements = std::size_t{Tile<W>::pitch} * (rows + 2 * 2 * keys), bytes = 2 * elements;
};

/// `x (16 S, 8 N) += a (its first 16 S rows) b^T (8 N rows)`. Fragments are read one step ahead: reading takes as long as the
/// four products of a step, and there are not enough warps to wait for each other.
template <unsigned W, unsigned S, unsigned N>
SKIPV1_DEVICE void multiply_by_rows(float (&x)[S][N][4], const Tile<W>& a, const Tile<W>& b) {
  constexpr unsigned steps = W / 16 * (N / 2);
  std::uint32_t fa[2][S][4], fb[2][2][2];
  const auto load = [&](unsigned step) {
    const unsigned k = step / (N / 2), n = step % (N / 2) * 2;
    if (n == 0) {
      for (unsigned i = 0; i < S; ++i) a.load_a(fa[k % 2][i], 16 * i, 16 * k);
    }
    b.load_b_transposed(fb[step % 2], n * 8, 16 * k);
  };
  load(0);
  SKIPV1_UNROLL
  for (unsigned step = 0; step < steps; ++step) {
    const unsigned k = step / (N / 2), n = step % (N / 2) * 2;
    if (step + 1 < steps) load(step + 1);
    for (unsigned j = 0; j < 2; ++j)
      for (unsigned i = 0; i < S; ++i) mma(x[i][n + j], fa[k % 2][i], fb[step % 2][j]);
  }
}
/// `sums (16 S, W) += weights (16 S, 16 K) b`, b a tile of 16 K rows.
template <unsigned W, unsigned S, unsigned K>
SKIPV1_DEVICE void multiply_by_columns(float (&sums)[S][W / 8][4], const std::uint32_t (&weights)[S][K][4], const Tile<W>& b) {
  constexpr unsigned steps = K * (W / 16);
  std::uint32_t fb[2][2][2];
  const auto load = [&](unsigned step) { b.load_b(fb[step % 2], step / (W / 16) * 16, step % (W / 16) * 16); };
  load(0);
  SKIPV1_UNROLL
  for (unsigned step = 0; step < steps; ++step) {
    const unsigned k = step / (W / 16), m = step % (W / 16) * 2;
    if (step + 1 < steps) load(step + 1);
    for (unsigned j = 0; j < 2; ++j)
      for (unsigned i = 0; i < S; ++i) mma(sums[i][m + j], weights[i][k], fb[step % 2][j]);
  }
}

/// The online softmax of 16 rows, a lane's rows g and g + 8, in base 2 with the scores times `scale`, which is positive. `most`
/// is a score that no later one exceeds by more than `slack` halvings: so earlier sums need shrinking only in the first few
/// tiles. The probabilities' factor, at most 2^slack, cancels in the end. `sum` is of the lane's keys alone.
struct OnlineSoftmax {
  static constexpr float slack = 8;
  float most[2] = {-infinity<float>(), -infinity<float>()}, sum[2] = {};

  /// Turns scores of 8 N keys into probabilities, up to the factor that `sum` holds; returns whether earlier sums must shrink,
  /// by `shrink`. A key that row g does not see, from its `seen`th on, is left out where `masked` says there are such.
  template <unsigned N>
  SKIPV1_DEVICE_MEMBER bool take(float (&x)[N][4], float (&shrink)[2], bool masked, int seen, float scale) {
    const int c = static_cast<int>(lane() % 4 * 2);
    if (masked) {
      SKIPV1_UNROLL
      for (unsigned n = 0; n < N; ++n)
        for (unsigned j = 0; j < 4; ++j)
          if (static_cast<int>(n * 8 + j % 2) + c >= seen + static_cast<int>(j / 2 * 8)) x[n][j] = -infinity<float>();
    }
    SKIPV1_UNROLL
    for (unsigned half = 0; half < 2; ++half) {
      float higher = most[half];
      SKIPV1_UNROLL
      for (unsigned n = 0; n < N; ++n) higher = fmaxf(higher, fmaxf(x[n][2 * half], x[n][2 * half + 1]));
      for (unsigned step = 1; step <= 2; step *= 2) higher = fmaxf(higher, shuffle_xor(higher, step));  // the four lanes of a row
      const bool grows = (higher - most[half]) * scale > slack;  // every row sees key 0: after it `most` is finite
      shrink[half] = grows ? fast_exp2((most[half] - higher) * scale) : 1;
      most[half] = grows ? higher : most[half];
      const float base = most[half] * scale;
      float own(0);
      SKIPV1_UNROLL
      for (unsigned n = 0; n < N; ++n) {
        for (unsigned j = 2 * half; j < 2 * half + 2; ++j) {
          x[n][j] = fast_exp2(x[n][j] * scale - base);
          own += x[n][j];
        }
      }
      sum[half] = sum[half] * shrink[half] + own;
    }
    return shrink[0] < 1 || shrink[1] < 1;
  }
  /// The sums' factors; and the log-sum-exp of the rows, the first being number `row` of `rows`, to `lse`, `stride` apart.
  SKIPV1_DEVICE_MEMBER void finish(float (&factor)[2], float* lse, std::size_t stride, std::size_t row, std::size_t rows,
                                   float scale) const {
    for (unsigned half = 0; half < 2; ++half) {
      float all = sum[half];
      for (unsigned step = 1; step <= 2; step *= 2) all += shuffle_xor(all, step);
      factor[half] = 1 / all;
      const std::size_t r = row + lane() / 4 + 8 * half;
      if (lane() % 4 == 0 && r < rows) lse[r * stride] = most[half] * scale * 0.6931471805599453f + std::log(all);
    }
  }
};

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
    attention_forward_mma(bfloat16* out, float* lse, const bfloat16* q, const HeadPair<const bfloat16, Cuda>* heads,
                          AttentionSizes z, float scale) {
  using Shape = ForwardShape<W>;
  constexpr unsigned S = Shape::S, K = Shape::keys, pitch = Tile<W>::pitch;
  const std::size_t h = block().x, b = block().z;
  const std::size_t first = (grid_size().y - 1 - block().y) * Shape::rows;  // the longest rows start first
  const AttentionSequence own = sequence(z, b);
  if (first >= own.rows) return;
  const std::size_t rows = own.rows - first < Shape::rows ? own.rows - first : Shape::rows,
                    at = (own.begin + first) * z.heads + h;
  const Head<const bfloat16, Cuda> key = heads[h].key, value = heads[h].value;
  if (!value.data) return store_no_value<mma_threads>(out + at * z.value, lse + at, z, rows);
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, Shape::elements);
  const Tile<W> q_tile{memory, 0};
  const auto tile = [&](unsigned i, unsigned which) { return Tile<W>{memory, (Shape::rows + (i % 2 * 2 + which) * K) * pitch}; };
  const unsigned t = thread().x, row = warp() * Shape::rows_of_warp;
  const auto seen = static_cast<int>(own.past + first + row + 1);  // by the warp's first row
  const auto keys = static_cast<int>(own.past + first + rows);
  const bfloat16 *keys_at = key.data + b * key.batch_stride, *values_at = value.data + b * value.batch_stride;
  const auto copy = [&](unsigned i) {
    const std::size_t s0 = std::size_t{i} * K, count = static_cast<std::size_t>(keys) - s0;
    tile(i, 0).template copy<K, mma_threads>(keys_at + s0 * key.row_stride, key.row_stride, count, z.key, t);
    tile(i, 1).template copy<K, mma_threads>(values_at + s0 * value.row_stride, value.row_stride, count, z.value, t);
    copy_async_commit();
  };
  q_tile.template copy<Shape::rows, mma_threads>(q + at * z.key, z.heads * z.key, rows, z.key, t);
  copy(0);
  OnlineSoftmax softmax[S];
  float sums[S][W / 8][4] = {};
  const float steepness = fabsf(scale) * static_cast<float>(log2_e);
  for (unsigned i = 0; static_cast<int>(i * K) < keys; ++i) {
    copy_async_wait<0>();
    sync_threads();
    const int s0 = static_cast<int>(i * K);
    if (s0 + static_cast<int>(K) < keys) copy(i + 1);
    if (i == 0 && scale < 0) {
      q_tile.template negate<Shape::rows_of_warp>(row);
      sync_warp();
    }
    if (row >= rows || s0 >= seen + static_cast<int>(Shape::rows_of_warp) - 1) continue;
    float x[S][K / 8][4] = {}, shrink[S][2];
    multiply_by_rows(x, q_tile.from(row), tile(i, 0));
    SKIPV1_UNROLL
    for (unsigned j = 0; j < S; ++j) {
      const int rest = seen - s0 + static_cast<int>(16 * j);
      const bool shrinks =
          softmax[j].take(x[j], shrink[j], rest < static_cast<int>(K), rest + static_cast<int>(lane() / 4), steepness);
      if (!any(shrinks)) continue;
      for (auto& sum : sums[j])
        for (unsigned l = 0; l < 4; ++l) sum[l] *= shrink[j][l / 2];
    }
    std::uint32_t p[S][K / 16][4];
    for (unsigned j = 0; j < S; ++j) round_all(p[j], x[j]);
    multiply_by_columns(sums, p, tile(i, 1));
  }
  sync_warp();
  SKIPV1_UNROLL
  for (unsigned j = 0; j < S; ++j) {
    float factor[2];
    softmax[j].finish(factor, lse + at, z.heads, row + 16 * j, rows, steepness);
    q_tile.put(sums[j], row + 16 * j, factor);  // these rows of the queries the warp alone has read
  }
  sync_warp();
  q_tile.template write<Shape::rows_of_warp>(out + at * z.value, z.heads * z.value, row, rows, z.value);
}

}  // namespace skipv1::detail
