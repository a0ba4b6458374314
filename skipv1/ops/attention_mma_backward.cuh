// Attention's backward pass on tensor cores: rows' gradients, then heads'. Both recompute the probabilities, so that no two
// blocks add into one number and results are the same to the bit; that takes 7 products for the 5 that atomic additions would
// allow.
#pragma once

#include "skipv1/ops/attention_backward.cuh"
#include "skipv1/ops/attention_mma.cuh"

namespace skipv1::detail {

template <unsigned W>
struct QueryShape {
  static constexpr unsigned S = 2, rows = 64 * S, rows_of_warp = 16 * S, keys = W <= 64 ? 64 : 32;
  static constexpr std::size_t elements = std::size_t{Tile<W>::pitch} * (2 * rows + 2 * 2 * keys), bytes = 2 * elements;
};
template <unsigned W>
struct HeadsShape {
  static constexpr unsigned S = W <= 64 ? 2 : 1, keys_of_warp = 16 * S, keys = keys_of_warp * mma_warps, rows = W <= 64 ? 32 : 64;
  static constexpr std::size_t elements = std::size_t{Tile<W>::pitch} * (2 * keys + 2 * 2 * rows),
                               bytes = 2 * elements + 2 * 2 * rows * sizeof(float);
};

/// Scores become probabilities, `p = 2^(scale x - lse)`, and products of values and output gradients the scores' gradients, up to
/// the scale: `p (dp - delta)`.
SKIPV1_DEVICE void take_gradient(float& x, float& dp, bool seen, float scale, float lse, float delta) {
  x = seen ? fast_exp2(x * scale - lse) : 0;
  dp = x * (dp - delta);
}

/// `dout . out` of the warp's 16 rows, of which `rows` exist, the first being number `at` of (N, H): to memory, and of rows g and
/// g + 8 to `delta`.
SKIPV1_DEVICE void take_deltas(float (&delta)[2], const AttentionGradients<bfloat16>& a, const AttentionSizes& z, std::size_t at,
                               std::size_t rows) {
  const std::size_t r = lane() / 2, n = at + r * z.heads;
  float sum = 0;
  for (std::size_t j = lane() % 2 * 8; r < rows && j < z.value; j += 16) {
    const Vector<bfloat16, 8> x = load_vector<8>(a.dout + n * z.value + j), y = load_vector<8>(a.out + n * z.value + j);
    for (unsigned l = 0; l < 8; ++l) sum += static_cast<float>(x[l]) * static_cast<float>(y[l]);
  }
  sum += shuffle_xor(sum, 1);
  if (lane() % 2 == 0 && r < rows) a.delta[n] = sum;
  for (unsigned half = 0; half < 2; ++half) delta[half] = shuffle(sum, lane() / 4 * 2 + 16 * half);
}

/// Grid (row tiles, H, B): dq, and delta.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(mma_threads, 2)
    attention_backward_query_mma(AttentionGradients<bfloat16> a, AttentionSizes z, float scale) {
  using Shape = QueryShape<W>;
  constexpr unsigned S = Shape::S, K = Shape::keys, pitch = Tile<W>::pitch;
  const std::size_t h = block().y, b = block().z, first = (grid_size().x - 1 - block().x) * Shape::rows;
  const AttentionSequence own = sequence(z, b);
  if (first >= own.rows) return;
  const std::size_t rows = own.rows - first < Shape::rows ? own.rows - first : Shape::rows,
                    at = (own.begin + first) * z.heads + h;
  const Head<const bfloat16, Cuda> key = a.heads[h].key, value = a.heads[h].value;
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, Shape::elements);
  const Tile<W> q_tile{memory, 0}, dout_tile{memory, Shape::rows * pitch};
  const auto tile = [&](unsigned i, unsigned which) {
    return Tile<W>{memory, (2 * Shape::rows + (i % 2 * 2 + which) * K) * pitch};
  };
  const unsigned t = thread().x, row = warp() * Shape::rows_of_warp;
  const auto seen = static_cast<int>(own.past + first + row + 1), keys = static_cast<int>(own.past + first + rows);
  const bfloat16 *keys_at = key.data + b * key.batch_stride, *values_at = value.data + b * value.batch_stride;
  const auto copy = [&](unsigned i) {
    const std::size_t s0 = std::size_t{i} * K, count = static_cast<std::size_t>(keys) - s0;
    tile(i, 0).template copy<K, mma_threads>(keys_at + s0 * key.row_stride, key.row_stride, count, z.key, t);
    tile(i, 1).template copy<K, mma_threads>(values_at + s0 * value.row_stride, value.row_stride, count, z.value, t);
    copy_async_commit();
  };
  float lse[S][2] = {}, delta[S][2] = {}, sums[S][W / 8][4] = {};
  if (value.data) {
    q_tile.template copy<Shape::rows, mma_threads>(a.q + at * z.key, z.heads * z.key, rows, z.key, t);
    dout_tile.template copy<Shape::rows, mma_threads>(a.dout + at * z.value, z.heads * z.value, rows, z.value, t);
    copy(0);
    for (unsigned j = 0; j < 2 * S; ++j) {
      const std::size_t r = row + lane() / 4 + 8 * j;
      if (r >= rows) continue;
      lse[j / 2][j % 2] = a.lse[at + r * z.heads] * static_cast<float>(log2_e);
    }
    for (unsigned j = 0; j < S; ++j) {
      const std::size_t begin = row + 16 * j;
      take_deltas(delta[j], a, z, at + begin * z.heads, begin < rows ? rows - begin : 0);
    }
  }
  const float steepness = scale * static_cast<float>(log2_e);
  for (unsigned i = 0; value.data && static_cast<int>(i * K) < keys; ++i) {
    copy_async_wait<0>();
    sync_threads();
    const int s0 = static_cast<int>(i * K);
    if (s0 + static_cast<int>(K) < keys) copy(i + 1);
    if (row >= rows || s0 >= seen + static_cast<int>(Shape::rows_of_warp) - 1) continue;
    float x[S][K / 8][4] = {}, dp[S][K / 8][4] = {};
    multiply_by_rows(x, q_tile, row, tile(i, 0));
    multiply_by_rows(dp, dout_tile, row, tile(i, 1));
    const int rest = seen - s0 + static_cast<int>(lane() / 4) - static_cast<int>(lane() % 4 * 2);
    const auto gradients = [&](bool masked) {
      SKIPV1_UNROLL
      for (unsigned j = 0; j < S; ++j)
        for (unsigned n = 0; n < K / 8; ++n)
          for (unsigned l = 0; l < 4; ++l)
            take_gradient(x[j][n][l], dp[j][n][l],
                          !masked || static_cast<int>(n * 8 + l % 2) < rest + static_cast<int>(16 * j + l / 2 * 8), steepness,
                          lse[j][l / 2], delta[j][l / 2]);
    };
    seen - s0 < static_cast<int>(K) ? gradients(true) : gradients(false);
    multiply_by_columns(sums, dp, tile(i, 0));
  }
  sync_warp();
  const float factor[2] = {scale, scale};
  SKIPV1_UNROLL
  for (unsigned j = 0; j < S; ++j) q_tile.put(sums[j], row + 16 * j, factor);  // these rows the warp alone has read
  sync_warp();
  q_tile.template write<Shape::rows_of_warp>(a.dq + at * z.key, z.heads * z.key, row, rows, z.key);
}

/// Whether readers r and h of a table have the key head (`keys`), or the value head, in common.
template <bool keys>
SKIPV1_DEVICE bool reads_alike(const AttentionGradients<bfloat16>& a, std::size_t r, std::size_t h) {
  const auto target = [&](std::size_t i) { return keys ? a.dheads[i].key.data : a.dheads[i].value.data; };
  return a.heads[r].value.data != nullptr && target(r) == target(h);
}
/// Whether h is the first to read its key head, or value head.
template <bool keys>
SKIPV1_DEVICE bool reads_first(const AttentionGradients<bfloat16>& a, std::size_t h) {
  bool another = false;
  for (std::size_t r = lane(); r < h; r += warp_size) another = another || reads_alike<keys>(a, r, h);
  return !any(another);
}

/// Calls `add(r, with_key, with_value)` for each query head r, in order, that reads h's key head or value head, where h is the
/// first to read it. A warp looks at 32 heads at once.
template <class Add>
SKIPV1_DEVICE void for_each_reader(const AttentionGradients<bfloat16>& a, std::size_t h, std::size_t heads, bool leads_key,
                                   bool leads_value, const Add& add) {
  for (std::size_t begin = h; begin < heads; begin += warp_size) {
    const std::size_t r = begin + lane();
    const unsigned of_key = ballot(leads_key && r < heads && reads_alike<true>(a, r, h)),
                   of_value = ballot(leads_value && r < heads && reads_alike<false>(a, r, h));
    for (unsigned left = of_key | of_value; left != 0; left &= left - 1) {
      const unsigned i = lowest_bit(left);
      add(begin + i, (of_key >> i & 1) != 0, (of_value >> i & 1) != 0);
    }
  }
}

/// A block's keys: positions from s0 on of sequence b, which has `keys`; none where s0 is not below them.
struct KeyTile {
  std::size_t b, s0, keys;
  AttentionSequence own;
};
/// Those of block (x, h, b): `count` from `count x` on, none where no new row reads them or head h has no value.
SKIPV1_DEVICE KeyTile own_keys(const AttentionGradients<bfloat16>& a, const AttentionSizes& z, unsigned count) {
  const AttentionSequence own = sequence(z, block().z);
  const bool read = own.rows > 0 && a.heads[block().y].value.data;
  return {block().z, std::size_t{block().x} * count, read ? own.past + own.rows : 0, own};
}

/// Adds to dk, up to the scale, and dv what query head r adds to the gradients of the warp's keys, with transposed scores.
template <unsigned W>
SKIPV1_DEVICE void add_reader(float (&dk)[HeadsShape<W>::S][W / 8][4], float (&dv)[HeadsShape<W>::S][W / 8][4],
                              const AttentionGradients<bfloat16>& a, const AttentionSizes& z, const KeyTile& own, std::size_t r,
                              bool with_key, bool with_value, float steepness) {
  using Shape = HeadsShape<W>;
  constexpr unsigned S = Shape::S, R = Shape::rows, pitch = Tile<W>::pitch;
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, Shape::elements);
  const Shared<float> numbers = dynamic_shared<float>(2 * Shape::elements, 2 * 2 * R);  // lse and delta of two tiles' rows
  const Tile<W> k_tile{memory, 0}, v_tile{memory, Shape::keys * pitch};
  const auto tile = [&](unsigned i, unsigned which) {
    return Tile<W>{memory, (2 * Shape::keys + (i % 2 * 2 + which) * R) * pitch};
  };
  const Head<const bfloat16, Cuda> key = a.heads[r].key, value = a.heads[r].value;
  const std::size_t past = own.own.past, all_rows = own.own.rows, at = own.own.begin * z.heads + r;
  const unsigned t = thread().x, own_key = warp() * Shape::keys_of_warp;
  const std::size_t begin = own.s0 < past ? 0 : (own.s0 - past) / R * R;  // rows before it do not see these keys
  const auto copy = [&](unsigned i) {
    const std::size_t first = begin + std::size_t{i} * R, count = all_rows - first, n = at + first * z.heads;
    tile(i, 0).template copy<R, mma_threads>(a.q + n * z.key, z.heads * z.key, count, z.key, t);
    tile(i, 1).template copy<R, mma_threads>(a.dout + n * z.value, z.heads * z.value, count, z.value, t);
    copy_async_commit();
  };
  const auto number = [&](unsigned i) {  // the thread's of tile i: a row's lse, or its delta
    const std::size_t row = begin + std::size_t{i} * R + t % R;
    if (row >= all_rows || t >= 2 * R) return 0.f;
    return t < R ? a.lse[at + row * z.heads] * static_cast<float>(log2_e) : a.delta[at + row * z.heads];
  };
  static_assert(mma_threads >= 2 * R);
  sync_threads();  // the reader before
  const auto copy_own = [&](const Tile<W>& to, const Head<const bfloat16, Cuda>& head, std::size_t width) {
    to.template copy<Shape::keys, mma_threads>(head.data + own.b * head.batch_stride + own.s0 * head.row_stride, head.row_stride,
                                               own.keys - own.s0, width, t);
  };
  copy_own(k_tile, key, z.key);
  copy_own(v_tile, value, z.value);
  copy(0);
  if (t < 2 * R) numbers[t] = number(0);
  for (unsigned i = 0; begin + std::size_t{i} * R < all_rows; ++i) {
    copy_async_wait<0>();
    sync_threads();
    const std::size_t first = begin + std::size_t{i} * R;
    const bool more = first + R < all_rows;
    if (more) copy(i + 1);
    const float next = more ? number(i + 1) : 0;
    const auto seen = static_cast<int>(past + first + 1) - static_cast<int>(own.s0 + own_key);  // of the warp's, by the first row
    if (seen + static_cast<int>(R) > 1) {
      float p[S][R / 8][4] = {}, dp[S][R / 8][4] = {};
      multiply_by_rows(p, k_tile, own_key, tile(i, 0));
      multiply_by_rows(dp, v_tile, own_key, tile(i, 1));
      const unsigned c = lane() % 4 * 2;
      const auto gradients = [&](bool masked) {
        SKIPV1_UNROLL
        for (unsigned n = 0; n < R / 8; ++n) {
          const Vector<float, 2> lse = load_shared<2>(numbers, i % 2 * 2 * R + n * 8 + c),
                                 delta = load_shared<2>(numbers, (i % 2 * 2 + 1) * R + n * 8 + c);
          for (unsigned j = 0; j < S; ++j) {
            for (unsigned l = 0; l < 4; ++l) {
              const bool sees = static_cast<int>(lane() / 4 + l / 2 * 8 + 16 * j) < seen + static_cast<int>(n * 8 + c + l % 2);
              take_gradient(p[j][n][l], dp[j][n][l], !masked || sees, steepness, lse[l % 2], delta[l % 2]);
            }
          }
        }
      };
      seen < static_cast<int>(Shape::keys_of_warp) ? gradients(true) : gradients(false);
      if (with_value) multiply_by_columns(dv, p, tile(i, 1));
      if (with_key) multiply_by_columns(dk, dp, tile(i, 0));
    }
    if (more && t < 2 * R) numbers[(i + 1) % 2 * 2 * R + t] = next;
  }
}

/// Grid (key tiles, H, B): the gradients of a key head and a value head, by the block of their first reader, which goes through
/// all their readers in order.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(mma_threads, 2)
    attention_backward_heads_mma(AttentionGradients<bfloat16> a, AttentionSizes z, float scale) {
  using Shape = HeadsShape<W>;
  const KeyTile own = own_keys(a, z, Shape::keys);
  if (own.s0 >= own.keys) return;
  const std::size_t h = block().y;
  const bool leads_key = reads_first<true>(a, h), leads_value = reads_first<false>(a, h);
  float dk[Shape::S][W / 8][4] = {}, dv[Shape::S][W / 8][4] = {};
  for_each_reader(a, h, z.heads, leads_key, leads_value, [&](std::size_t r, bool with_key, bool with_value) {
    add_reader<W>(dk, dv, a, z, own, r, with_key, with_value, scale * static_cast<float>(log2_e));
  });
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, Shape::elements);
  const auto add = [&](const float(&sums)[Shape::S][W / 8][4], unsigned which, const Head<bfloat16, Cuda>& to, std::size_t width,
                       float by) {
    const Tile<W> tile{memory, which * Shape::keys * Tile<W>::pitch};  // whose rows the warp alone has read
    const float factor[2] = {by, by};
    constexpr unsigned K = Shape::keys_of_warp;
    SKIPV1_UNROLL
    for (unsigned j = 0; j < Shape::S; ++j) tile.put(sums[j], warp() * K + 16 * j, factor);
    sync_warp();
    tile.template write<K>(to.data + own.b * to.batch_stride + own.s0 * to.row_stride, to.row_stride, warp() * K,
                           own.keys - own.s0, width, !to.fresh);
  };
  sync_warp();
  if (leads_key) add(dk, 0, a.dheads[h].key, z.key, scale);
  if (leads_value) add(dv, 1, a.dheads[h].value, z.value, 1);
}

}  // namespace skipv1::detail
