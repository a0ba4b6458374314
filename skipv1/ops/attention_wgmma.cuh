// Attention by warpgroups' products (compute capability 9.0, compiled for sm_90a): what attention_mma.cuh and
// attention_mma_backward.cuh do, 64 rows or keys a warpgroup. A product runs while the threads take the softmax of the next tile
// (Shah et al. 2024, FlashAttention-3): each loop asks for its tile's scores, then for the last tile's sums, and waits for the
// scores alone before it works on them.
#pragma once

#include "skipv1/core/kernel_warpgroup.cuh"
#include "skipv1/ops/attention_mma_backward.cuh"

namespace skipv1::detail {

/// Blocks of one warpgroup, which has 64 rows, and tiles of 64 keys; a multiprocessor holds `blocks`. Larger blocks share more
/// copies, but their warpgroups wait for each other at every tile: slower throughout (docs/performance.md).
constexpr unsigned warpgroup_threads = 128;
template <unsigned W>
struct WarpgroupForward {
  static constexpr unsigned blocks = W <= 64 ? 4 : 2;
  static constexpr std::size_t elements = std::size_t{Tile<W>::pitch} * 64 * (1 + 4), bytes = 2 * elements;
};
template <unsigned W>
struct WarpgroupQuery {
  static constexpr unsigned blocks = W <= 64 ? 3 : 2;
  static constexpr std::size_t elements = std::size_t{Tile<W>::pitch} * 64 * (2 + 5), bytes = 2 * elements;
};
/// G warpgroups of 64 keys; tiles of R rows.
template <unsigned W>
struct WarpgroupHeads {
  static constexpr unsigned G = W <= 64 ? 1 : 2, R = 64, blocks = W <= 64 ? 2 : 1, keys = 64 * G, threads = 128 * G;
  static constexpr std::size_t elements = std::size_t{Tile<W>::pitch} * (2 * keys + 6 * R),
                               bytes = 2 * elements + 2 * 2 * R * sizeof(float);
};

/// Asks for `x (64, 8 N) = a (64 rows from `row` on) b^T (8 N rows)`.
template <unsigned W, unsigned R, unsigned K, std::size_t N>
SKIPV1_DEVICE void ask_for_scores(float (&x)[N][4], const Tile<W, R>& a, unsigned row, const Tile<W, K>& b) {
  static_assert(K == 8 * N);
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W; k += 16) warpgroup_rows(x, SharedMatrix(a, row, k), SharedMatrix(b, 0, k), k > 0);
}
/// The same, the rows in fragments.
template <unsigned W, unsigned K, std::size_t N>
SKIPV1_DEVICE void ask_for_scores(float (&x)[N][4], const std::uint32_t (&rows)[W / 16][4], const Tile<W, K>& b) {
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W; k += 16) warpgroup_rows(x, rows[k / 16], SharedMatrix(b, 0, k), k > 0);
}
/// Asks for `sums (64, W) += weights (64, K) b`.
template <unsigned W, unsigned K, std::size_t M, std::size_t N>
SKIPV1_DEVICE void ask_for_sums(float (&sums)[M][4], const std::uint32_t (&weights)[N][4], const Tile<W, K>& b) {
  static_assert(K == 16 * N && W == 8 * M);
  SKIPV1_UNROLL
  for (unsigned k = 0; k < N; ++k) warpgroup_columns(sums, weights[k], SharedMatrix(b, 16 * k, 0));
}

/// Grid (row tiles, H, B).
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(warpgroup_threads, WarpgroupForward<W>::blocks)
    attention_forward_wgmma(bfloat16* out, float* lse, const bfloat16* q, const HeadPair<const bfloat16, Cuda>* heads,
                            AttentionSizes z, float scale) {
  if constexpr (!SKIPV1_HAS_WGMMA) return;
  constexpr unsigned K = 64, R = 64, size = 64 * Tile<W>::pitch, threads = warpgroup_threads;
  const std::size_t h = block().y, b = block().z;
  const std::size_t first = (grid_size().x - 1 - block().x) * R;  // the longest rows start first
  const AttentionSequence own = sequence(z, b);
  if (first >= own.rows) return;
  const std::size_t rows = own.rows - first < R ? own.rows - first : R, at = (own.begin + first) * z.heads + h;
  const Head<const bfloat16, Cuda> key = heads[h].key, value = heads[h].value;
  if (!value.data) return store_no_value<threads>(out + at * z.value, lse + at, z, rows);
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, WarpgroupForward<W>::elements);
  const Tile<W, R> q_tile{memory, 0};
  const auto k_tile = [&](unsigned i) { return Tile<W, K>{memory, (1 + i % 2) * size}; };
  const auto v_tile = [&](unsigned i) { return Tile<W, K>{memory, (3 + i % 2) * size}; };
  const unsigned t = thread().x, row = warp() * 16;
  const auto keys = static_cast<unsigned>(own.past + first + rows), tiles = (keys + K - 1) / K;
  const auto copy = [&](const Tile<W, K>& to, unsigned i, const Head<const bfloat16, Cuda>& head, std::size_t width) {
    const bfloat16* from = head.data + b * head.batch_stride + std::size_t{i} * K * head.row_stride;
    to.template copy<K, threads>(from, head.row_stride, keys - i * K, width, t);
  };
  const auto arrive = [&] {
    copy_async_wait<0>();
    warpgroup_publish();
    sync_threads();
  };
  q_tile.template copy<R, threads>(q + at * z.key, z.heads * z.key, rows, z.key, t);
  copy(k_tile(0), 0, key, z.key);
  copy_async_commit();
  arrive();
  if (scale < 0) {
    q_tile.template negate<16>(row);
    sync_warp();
  }
  std::uint32_t queries[W / 16][4], weights[K / 16][4];
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W; k += 16) q_tile.from(row).load_a(queries[k / 16], 0, k);
  OnlineSoftmax softmax;
  const float steepness = fabsf(scale) * static_cast<float>(log2_e);
  const auto seen = static_cast<int>(own.past + first + row + 1);  // by the warp's first row
  float x[K / 8][4], sums[W / 8][4] = {}, shrink[2];
  const auto take = [&](unsigned i) {
    const int rest = seen - static_cast<int>(i * K);
    return softmax.take(x, shrink, rest < static_cast<int>(K), rest + static_cast<int>(lane() / 4), steepness);
  };
  const auto copy_ahead = [&](unsigned i) {  // the keys of the next tile, the values of this one
    if (i + 1 < tiles) copy(k_tile(i + 1), i + 1, key, z.key);
    copy(v_tile(i), i, value, z.value);
    copy_async_commit();
  };
  copy_ahead(0);
  warpgroup_begin(queries);
  ask_for_scores(x, queries, k_tile(0));
  warpgroup_commit();
  warpgroup_wait<0>(x);
  take(0);
  round_all(weights, x);
  for (unsigned i = 1; i < tiles; ++i) {
    arrive();
    copy_ahead(i);
    warpgroup_begin(x, sums, weights);
    ask_for_scores(x, queries, k_tile(i));
    warpgroup_commit();
    ask_for_sums(sums, weights, v_tile(i - 1));
    warpgroup_commit();
    warpgroup_wait<1>(x);
    const bool shrinks = take(i);
    warpgroup_wait<0>(sums, weights);
    if (any(shrinks)) {
      SKIPV1_UNROLL
      for (auto& sum : sums)
        for (unsigned l = 0; l < 4; ++l) sum[l] *= shrink[l / 2];
    }
    round_all(weights, x);
  }
  arrive();
  warpgroup_begin(sums, weights);
  ask_for_sums(sums, weights, v_tile(tiles - 1));
  warpgroup_commit();
  warpgroup_wait<0>(sums);
  float factor[2];
  for (unsigned half = 0; half < 2; ++half) {
    float sum = softmax.sum[half];
    for (unsigned step = 1; step <= 2; step *= 2) sum += shuffle_xor(sum, step);
    factor[half] = 1 / sum;
    const std::size_t r = row + lane() / 4 + 8 * half;
    if (lane() % 4 == 0 && r < rows) lse[at + r * z.heads] = softmax.most[half] * steepness * 0.6931471805599453f + std::log(sum);
  }
  q_tile.put(sums, row, factor);  // these rows the warp alone has read
  sync_warp();
  q_tile.template write<16>(out + at * z.value, z.heads * z.value, row, rows, z.value);
}

/// A score becomes a probability, and a product of values and output gradients the score's gradient, up to the scale.
SKIPV1_DEVICE void take_gradient(float& x, float& dp, bool seen, float scale, float lse, float delta) {
  x = probability(x, seen, scale, lse);
  dp = x * (dp - delta);
}

/// Grid (row tiles, H, B): dq, and delta.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(warpgroup_threads, WarpgroupQuery<W>::blocks)
    attention_backward_query_wgmma(AttentionGradients<bfloat16> a, AttentionSizes z, float scale) {
  if constexpr (!SKIPV1_HAS_WGMMA) return;
  constexpr unsigned K = 64, R = 64, size = 64 * Tile<W>::pitch, threads = warpgroup_threads;
  const std::size_t h = block().y, b = block().z, first = (grid_size().x - 1 - block().x) * R;
  const AttentionSequence own = sequence(z, b);
  if (first >= own.rows) return;
  const std::size_t rows = own.rows - first < R ? own.rows - first : R, at = (own.begin + first) * z.heads + h;
  const Head<const bfloat16, Cuda> key = a.heads[h].key, value = a.heads[h].value;
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, WarpgroupQuery<W>::elements);
  const Tile<W, R> q_tile{memory, 0}, dout_tile{memory, size};
  const auto k_tile = [&](unsigned i) { return Tile<W, K>{memory, (2 + i % 3) * size}; };
  const auto v_tile = [&](unsigned i) { return Tile<W, K>{memory, (5 + i % 2) * size}; };
  const unsigned t = thread().x, row = warp() * 16;
  const auto keys = static_cast<unsigned>(own.past + first + rows), tiles = value.data ? (keys + K - 1) / K : 0;
  const bfloat16 *keys_at = key.data + b * key.batch_stride, *values_at = value.data + b * value.batch_stride;
  const auto copy = [&](unsigned i) {
    const std::size_t s0 = std::size_t{i} * K;
    k_tile(i).template copy<K, threads>(keys_at + s0 * key.row_stride, key.row_stride, keys - s0, z.key, t);
    v_tile(i).template copy<K, threads>(values_at + s0 * value.row_stride, value.row_stride, keys - s0, z.value, t);
    copy_async_commit();
  };
  float lse[2] = {}, delta[2] = {}, x[K / 8][4], dp[K / 8][4], sums[W / 8][4] = {};
  std::uint32_t weights[K / 16][4] = {};
  if (tiles > 0) {
    q_tile.template copy<R, threads>(a.q + at * z.key, z.heads * z.key, rows, z.key, t);
    dout_tile.template copy<R, threads>(a.dout + at * z.value, z.heads * z.value, rows, z.value, t);
    copy(0);
    for (unsigned half = 0; half < 2; ++half) {
      const std::size_t r = row + lane() / 4 + 8 * half;
      if (r < rows) lse[half] = a.lse[at + r * z.heads] * static_cast<float>(log2_e);
    }
    take_deltas(delta, a, z, at + row * z.heads, row < rows ? rows - row : 0);
  }
  const auto seen = static_cast<int>(own.past + first + row + 1);  // by the warp's first row
  const float steepness = scale * static_cast<float>(log2_e);
  for (unsigned i = 0; i < tiles; ++i) {
    copy_async_wait<0>();
    warpgroup_publish();
    sync_threads();
    if (i + 1 < tiles) copy(i + 1);
    warpgroup_begin(x, dp, sums, weights);
    ask_for_scores(x, q_tile, 0, k_tile(i));
    ask_for_scores(dp, dout_tile, 0, v_tile(i));
    warpgroup_commit();
    ask_for_sums(sums, weights, k_tile(i == 0 ? 0 : i - 1));  // zeros before the first
    warpgroup_commit();
    warpgroup_wait<1>(x, dp);
    const int rest = seen - static_cast<int>(i * K) + static_cast<int>(lane() / 4) - static_cast<int>(lane() % 4 * 2);
    const auto gradients = [&](bool masked) {
      SKIPV1_UNROLL
      for (unsigned n = 0; n < K / 8; ++n)
        for (unsigned l = 0; l < 4; ++l)
          take_gradient(x[n][l], dp[n][l], !masked || static_cast<int>(n * 8 + l % 2) < rest + static_cast<int>(l / 2 * 8),
                        steepness, lse[l / 2], delta[l / 2]);
    };
    seen - static_cast<int>(i * K) < static_cast<int>(K) ? gradients(true) : gradients(false);
    warpgroup_wait<0>(sums, weights);
    round_all(weights, dp);
  }
  if (tiles > 0) {
    warpgroup_begin(sums, weights);
    ask_for_sums(sums, weights, k_tile(tiles - 1));
    warpgroup_commit();
    warpgroup_wait<0>(sums);
  }
  sync_threads();
  const float factor[2] = {scale, scale};
  q_tile.put(sums, row, factor);
  sync_warp();
  q_tile.template write<16>(a.dq + at * z.key, z.heads * z.key, row, rows, z.key);
}

/// Adds to dk, up to the scale, and dv what query head r adds to the gradients of the warpgroup's keys, with transposed scores.
template <unsigned W>
SKIPV1_DEVICE void add_reader_wgmma(float (&dk)[W / 8][4], float (&dv)[W / 8][4], const AttentionGradients<bfloat16>& a,
                                    const AttentionSizes& z, const KeyTile& own, std::size_t r, bool with_key, bool with_value,
                                    float steepness) {
  using Shape = WarpgroupHeads<W>;
  constexpr unsigned R = Shape::R, K = Shape::keys, pitch = Tile<W>::pitch, threads = Shape::threads;
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, Shape::elements);
  const Shared<float> numbers = dynamic_shared<float>(2 * Shape::elements, 2 * 2 * R);  // lse and delta of two tiles' rows
  const Tile<W, K> k_tile{memory, 0}, v_tile{memory, K * pitch};
  const auto tile = [&](unsigned i, unsigned which) { return Tile<W, R>{memory, (2 * K + (i % 3 * 2 + which) * R) * pitch}; };
  const Head<const bfloat16, Cuda> key = a.heads[r].key, value = a.heads[r].value;
  const std::size_t past = own.own.past, all_rows = own.own.rows, at = own.own.begin * z.heads + r;
  const unsigned t = thread().x, group = t / 128 * 64, own_key = warp() * 16;
  const std::size_t begin = own.s0 < past ? 0 : (own.s0 - past) / R * R;  // rows before it do not see these keys
  const auto tiles = static_cast<unsigned>((all_rows - begin + R - 1) / R);
  const auto copy = [&](unsigned i) {
    const std::size_t first = begin + std::size_t{i} * R, count = all_rows - first, n = at + first * z.heads;
    tile(i, 0).template copy<R, threads>(a.q + n * z.key, z.heads * z.key, count, z.key, t);
    tile(i, 1).template copy<R, threads>(a.dout + n * z.value, z.heads * z.value, count, z.value, t);
    copy_async_commit();
  };
  static_assert(threads >= 2 * R);
  const auto number = [&](unsigned i) {  // the thread's of tile i: a row's lse, or its delta
    const std::size_t row = begin + std::size_t{i} * R + t % R;
    if (row >= all_rows || t >= 2 * R) return 0.f;
    return t < R ? a.lse[at + row * z.heads] : a.delta[at + row * z.heads];
  };
  const float unit = t < R ? static_cast<float>(log2_e) : 1;
  sync_threads();  // the reader before
  const auto copy_own = [&](const Tile<W, K>& to, const Head<const bfloat16, Cuda>& head, std::size_t width) {
    to.template copy<K, threads>(head.data + own.b * head.batch_stride + own.s0 * head.row_stride, head.row_stride,
                                 own.keys - own.s0, width, t);
  };
  copy_own(k_tile, key, z.key);
  copy_own(v_tile, value, z.value);
  copy(0);
  if (t < 2 * R) numbers[t] = number(0) * unit;
  float x[R / 8][4], dp[R / 8][4];
  std::uint32_t p_weights[R / 16][4] = {}, ds_weights[R / 16][4] = {};
  const auto ask_for_gradients = [&](unsigned i) {
    ask_for_sums(dv, p_weights, tile(i, 1));
    ask_for_sums(dk, ds_weights, tile(i, 0));
    warpgroup_commit();
  };
  for (unsigned i = 0; i < tiles; ++i) {
    copy_async_wait<0>();
    warpgroup_publish();
    sync_threads();
    const std::size_t first = begin + std::size_t{i} * R;
    const bool more = i + 1 < tiles;
    if (more) copy(i + 1);
    const float next = more ? number(i + 1) : 0;
    warpgroup_begin(x, dp, dk, dv, p_weights, ds_weights);
    ask_for_scores(x, k_tile, group, tile(i, 0));
    ask_for_scores(dp, v_tile, group, tile(i, 1));
    warpgroup_commit();
    ask_for_gradients(i == 0 ? 0 : i - 1);  // zeros before the first
    warpgroup_wait<1>(x, dp);
    const auto seen = static_cast<int>(past + first + 1) - static_cast<int>(own.s0 + own_key);  // of the warp's, by the first row
    const unsigned c = lane() % 4 * 2;
    const auto gradients = [&](bool masked) {
      SKIPV1_UNROLL
      for (unsigned n = 0; n < R / 8; ++n) {
        const Vector<float, 2> lse = load_shared<2>(numbers, i % 2 * 2 * R + n * 8 + c),
                               delta = load_shared<2>(numbers, (i % 2 * 2 + 1) * R + n * 8 + c);
        for (unsigned l = 0; l < 4; ++l) {
          const bool sees = static_cast<int>(lane() / 4 + l / 2 * 8) < seen + static_cast<int>(n * 8 + c + l % 2);
          take_gradient(x[n][l], dp[n][l], !masked || sees, steepness, lse[l % 2], delta[l % 2]);
          if (masked && !with_key) dp[n][l] = 0;
          if (masked && !with_value) x[n][l] = 0;
        }
      }
    };
    seen < 16 || !with_key || !with_value ? gradients(true) : gradients(false);
    warpgroup_wait<0>(dk, dv, p_weights, ds_weights);
    round_all(p_weights, x);
    round_all(ds_weights, dp);
    if (more && t < 2 * R) numbers[(i + 1) % 2 * 2 * R + t] = next * unit;  // waits for the load only here
  }
  warpgroup_begin(dk, dv, p_weights, ds_weights);
  ask_for_gradients(tiles - 1);
  warpgroup_wait<0>(dk, dv);
}

/// Grid (key tiles, H, B): the gradients of a key head and a value head, by the block of their first reader, which goes through
/// all their readers in order.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(WarpgroupHeads<W>::threads, WarpgroupHeads<W>::blocks)
    attention_backward_heads_wgmma(AttentionGradients<bfloat16> a, AttentionSizes z, float scale) {
  if constexpr (!SKIPV1_HAS_WGMMA) return;
  constexpr unsigned K = WarpgroupHeads<W>::keys;
  const std::size_t h = block().y;
  const KeyTile own = own_keys(a, z, h, block().z, std::size_t{block().x} * K);
  if (own.s0 >= own.keys) return;
  const bool leads_key = reads_first<true>(a, h), leads_value = reads_first<false>(a, h);
  float dk[W / 8][4] = {}, dv[W / 8][4] = {};
  for_each_reader(a, h, z.heads, leads_key, leads_value, [&](std::size_t r, bool with_key, bool with_value) {
    add_reader_wgmma<W>(dk, dv, a, z, own, r, with_key, with_value, scale * static_cast<float>(log2_e));
  });
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, WarpgroupHeads<W>::elements);
  const auto add = [&](const float(&sums)[W / 8][4], unsigned which, const Head<bfloat16, Cuda>& to, std::size_t width,
                       float by) {
    const Tile<W, K> tile{memory, which * K * Tile<W>::pitch};
    const float factor[2] = {by, by};
    tile.put(sums, warp() * 16, factor);
    sync_warp();
    tile.template write<16>(to.data + own.b * to.batch_stride + own.s0 * to.row_stride, to.row_stride, warp() * 16,
                            own.keys - own.s0, width, !to.fresh);
  };
  sync_threads();
  if (leads_key) add(dk, 0, a.dheads[h].key, z.key, scale);
  if (leads_value) add(dv, 1, a.dheads[h].value, z.value, 1);
}

}  // namespace skipv1::detail
