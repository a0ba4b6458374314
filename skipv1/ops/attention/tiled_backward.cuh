// Attention's backward pass by tiles (Dao et al. 2022, algorithm 4): P is recomputed from lse. One kernel
// computes dq, another dk and dv, so that no two blocks accumulate into one element; a key or value head that several query heads
// read collects their parts at the end, in order.
#pragma once

#include "skipv1/ops/attention/tiled_forward.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// Where the backward pass reads and writes. `delta` (N, H): dout . out, which comes first; `dkeys` (H, B, positions, d_k),
/// `dvalues` likewise: what query head h adds to the gradient of the heads it reads.
template <class T>
struct AttentionGradients {
  T* dq;
  const HeadPair<T, Device>* dheads;
  const T *dout, *out, *q;
  const Sum<T>* lse;
  Sum<T>*delta, *dkeys, *dvalues;
  const HeadPair<const T, Device>* heads;
  const HeadReader* readers;
  std::size_t positions;
  std::size_t dq_row;  ///< elements from a row's dq to the next row's

  /// dq of row n, head h.
  SKIPV1_DEVICE_MEMBER T* dq_at(std::size_t n, std::size_t h, const AttentionSizes& z) const {
    return dq + n * dq_row + h * z.key;
  }
};

/// 8 lanes, one row of one head, V numbers at a time.
template <class T, std::size_t V>
SKIPV1_KERNEL attention_delta(Sum<T>* delta, const T* dout, const T* out, std::size_t rows, std::size_t width) {
  const std::size_t at = global_thread() / 8;
  Sum<T> sum(0);
  for (std::size_t j = lane() % 8 * V; at < rows && j < width; j += 8 * V) {
    const Vector<T, V> a = load_vector<V>(dout + at * width + j), b = load_vector<V>(out + at * width + j);
    for (std::size_t l = 0; l < V; ++l) sum += static_cast<Sum<T>>(a[l]) * static_cast<Sum<T>>(b[l]);
  }
  for (unsigned step = 4; step > 0; step /= 2) sum += shuffle_xor(sum, step);
  if (lane() % 8 == 0 && at < rows) delta[at] = sum;
}

/// Shared memory of both kernels, in elements: two tiles of rows, one of keys or values, two of 32 by 32.
inline std::size_t attention_backward_elements(std::size_t key, std::size_t value) {
  return tile_rows * (key + value) + 2 * tile_rows * tile_keys + tile_keys * (std::max(key, value) | 1);
}

/// Grid (row tiles, H, B): dq. As `attention_forward_tiled`; lane i of a warp has elements `i, i + 32 …` of dq of its 8 rows.
template <class T, std::size_t C>
SKIPV1_KERNEL attention_backward_query(AttentionGradients<T> a, AttentionSizes z, Sum<T> scale) {
  using S = Sum<T>;
  const std::size_t h = block().y, b = block().z, first = (grid_size().x - 1 - block().x) * tile_rows;
  const AttentionSequence own = sequence(z, b);
  if (first >= own.rows) return;
  const std::size_t rows = own.rows - first < tile_rows ? own.rows - first : tile_rows, keys = own.past + first + rows;
  const std::size_t stride = (z.key > z.value ? z.key : z.value) | 1, at = (own.begin + first) * z.heads + h;
  const Shared<S> queries = dynamic_shared<S>(0, tile_rows * z.key);
  const Shared<S> douts = dynamic_shared<S>(sizeof(S) * tile_rows * z.key, tile_rows * z.value);
  const Shared<S> ds_tile = dynamic_shared<S>(sizeof(S) * tile_rows * (z.key + z.value), 1024);
  const Shared<S> tile = dynamic_shared<S>(sizeof(S) * (tile_rows * (z.key + z.value) + 1024), tile_keys * stride);
  const Head<const T, Device> key = a.heads[h].key, value = a.heads[h].value;
  const bool busy = warp() * rows_of_warp < rows;
  S acc[8][C] = {};
  load_rows(queries, a.q + at * z.key, z.heads * z.key, rows, z.key);
  load_rows(douts, a.dout + at * z.value, z.heads * z.value, rows, z.value);
  for (std::size_t s0 = 0; value.data && s0 < keys; s0 += tile_keys) {
    load_tile(tile, stride, value.data + b * value.batch_stride, value.row_stride, s0, keys, z.value);
    sync_threads();
    S dp[8], x[8];
    if (busy) tile_products(dp, douts, tile, stride, z.value);
    sync_threads();
    load_tile(tile, stride, key.data + b * key.batch_stride, key.row_stride, s0, keys, z.key);
    sync_threads();
    if (busy) tile_products(x, queries, tile, stride, z.key);
    for (std::size_t r = 0; busy && r < 8; ++r) {
      const std::size_t row = warp() * rows_of_warp + r, n = at + row * z.heads;
      const bool seen = row < rows && s0 + lane() < own.past + first + row + 1;
      const S p = seen ? std::exp(scale * x[r] - a.lse[n]) : S(0);
      ds_tile[(warp() * tile_keys + lane()) * 8 + r] = seen ? scale * p * (dp[r] - a.delta[n]) : S(0);
    }
    sync_warp();
    if (busy) add_outer(acc, ds_tile, tile, stride, z.key, keys - s0);
    sync_threads();
  }
  for (std::size_t r = 0; r < 8; ++r) {
    const std::size_t row = warp() * rows_of_warp + r;
    for (std::size_t c = 0; row < rows && c < C; ++c) {
      const std::size_t i = lane() + warp_size * c;
      if (i < z.key) a.dq_at(own.begin + first + row, h, z)[i] = static_cast<T>(acc[r][c]);
    }
  }
}

/// Grid (key tiles, H, B): query head h's part of dk and dv. The roles are exchanged: each warp has 8 keys, lane r has row r of a
/// tile of 32 rows, and outputs `i, i + 32 …` of its 8 keys' gradients.
template <class T, std::size_t C>
SKIPV1_KERNEL attention_backward_heads(AttentionGradients<T> a, AttentionSizes z, Sum<T> scale) {
  using S = Sum<T>;
  const std::size_t h = block().y, b = block().z, s0 = block().x * tile_keys;
  const AttentionSequence own = sequence(z, b);
  const std::size_t keys = own.past + own.rows;
  const Head<const T, Device> key = a.heads[h].key, value = a.heads[h].value;
  if (s0 >= keys || !value.data) return;
  const std::size_t stride = (z.key > z.value ? z.key : z.value) | 1, count = keys - s0 < tile_keys ? keys - s0 : tile_keys;
  const Shared<S> k_tile = dynamic_shared<S>(0, tile_keys * z.key);
  const Shared<S> v_tile = dynamic_shared<S>(sizeof(S) * tile_keys * z.key, tile_keys * z.value);
  const Shared<S> p_tile = dynamic_shared<S>(sizeof(S) * tile_keys * (z.key + z.value), 1024);
  const Shared<S> ds_tile = dynamic_shared<S>(sizeof(S) * (tile_keys * (z.key + z.value) + 1024), 1024);
  const Shared<S> tile = dynamic_shared<S>(sizeof(S) * (tile_keys * (z.key + z.value) + 2048), tile_rows * stride);
  load_rows(k_tile, key.data + b * key.batch_stride + s0 * key.row_stride, key.row_stride, count, z.key);
  load_rows(v_tile, value.data + b * value.batch_stride + s0 * value.row_stride, value.row_stride, count, z.value);
  const bool busy = warp() * 8 < count;  // whether the warp has keys
  S dk[8][C] = {}, dv[8][C] = {};
  const std::size_t begin = s0 < own.past ? 0 : (s0 - own.past) / tile_rows * tile_rows;  // rows before it do not see these keys
  for (std::size_t first = begin; first < own.rows; first += tile_rows) {
    const std::size_t at = own.begin * z.heads + h, row = first + lane(), n = at + row * z.heads;
    load_tile(tile, stride, a.q + at * z.key, z.heads * z.key, first, own.rows, z.key);
    sync_threads();
    S x[8], dp[8];
    if (busy) tile_products(x, k_tile, tile, stride, z.key);
    sync_threads();
    load_tile(tile, stride, a.dout + at * z.value, z.heads * z.value, first, own.rows, z.value);
    sync_threads();
    if (busy) tile_products(dp, v_tile, tile, stride, z.value);
    for (std::size_t s = 0; busy && s < 8; ++s) {
      const bool seen = row < own.rows && s0 + warp() * 8 + s < own.past + row + 1;
      const S p = seen ? std::exp(scale * x[s] - a.lse[n]) : S(0);
      p_tile[(warp() * tile_rows + lane()) * 8 + s] = p;
      ds_tile[(warp() * tile_rows + lane()) * 8 + s] = seen ? scale * p * (dp[s] - a.delta[n]) : S(0);
    }
    sync_warp();
    if (busy) add_outer(dv, p_tile, tile, stride, z.value, own.rows - first);
    sync_threads();
    load_tile(tile, stride, a.q + at * z.key, z.heads * z.key, first, own.rows, z.key);
    sync_threads();
    if (busy) add_outer(dk, ds_tile, tile, stride, z.key, own.rows - first);
    sync_threads();
  }
  for (std::size_t s = 0; s < 8; ++s) {
    const std::size_t position = s0 + warp() * 8 + s;
    if (position >= keys) continue;
    const std::size_t to = (h * z.batch + b) * a.positions + position;
    for (std::size_t c = 0; c < C; ++c) {
      const std::size_t i = lane() + warp_size * c;
      if (i < z.key) a.dkeys[to * z.key + i] = dk[s][c];
      if (i < z.value) a.dvalues[to * z.value + i] = dv[s][c];
    }
  }
}

/// Grid (position parts, H, B): adds the parts of all readers of head h's key or value to its gradient; its first
/// reader's block does it.
template <class T, HeadPart part>
SKIPV1_KERNEL attention_collect(AttentionGradients<T> a, AttentionSizes z) {
  using S = Sum<T>;
  constexpr bool keys = part == HeadPart::key;
  const std::size_t h = block().y, b = block().z, width = keys ? z.key : z.value;
  const AttentionSequence own = sequence(z, b);
  if (own.rows == 0 || first_reader<part>(a.readers[h]) != h) return;
  const Head<T, Device> to = keys ? a.dheads[h].key : a.dheads[h].value;
  for (std::size_t at = global_thread(); at < (own.past + own.rows) * width; at += global_threads()) {
    T& sum = to.data[b * to.batch_stride + at / width * to.row_stride + at % width];
    S x = write_mode<part>(a.readers[h]) == WriteMode::overwrite ? S(0) : static_cast<S>(sum);
    for (std::size_t reader = h; reader < z.heads; ++reader) {
      if (first_reader<part>(a.readers[reader]) != h) continue;
      x += (keys ? a.dkeys : a.dvalues)[(reader * z.batch + b) * a.positions * width + at];
    }
    sum = static_cast<T>(x);
  }
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
