// The backward pass of both norms on the device: everything that a row's gradient leads to, from reading it once.
#pragma once

#include "skipv1/ops/column_sum.cuh"

namespace skipv1::detail {

/// How many loads of a row a thread keeps: what makes up to 128 registers a thread, with the sums over its columns.
inline constexpr std::size_t norm_loads = 3;

/// Block (32 G, R): R rows at a time, G warps each, of which each sums its part of the row. All threads must call it.
template <class S>
SKIPV1_DEVICE void row_sums(S& a, S& b) {
  SKIPV1_SHARED(S, parts, 64);
  a = warp_sum(a), b = warp_sum(b);
  const unsigned warps = block_size().x / warp_size;
  if (warps == 1) return;
  sync_threads();  // the row before may still be read
  if (lane() == 0) parts[warp()] = a, parts[32 + warp()] = b;
  sync_threads();
  a = b = S(0);
  for (unsigned j = thread().y * warps; j < (thread().y + 1) * warps; ++j) a += parts[j], b += parts[32 + j];
}

/// The columns' sums of the block's R rows of threads, at `sums`, to row block().x of `parts (blocks, d)`.
template <class S, std::size_t V>
SKIPV1_DEVICE void store_column_sums(S* parts, const S (&sums)[norm_loads][V], std::size_t d) {
  SKIPV1_SHARED(S, others, 256 * V);
  SKIPV1_UNROLL
  for (std::size_t c = 0; c < norm_loads; ++c) {
    const std::size_t first = c * block_size().x * V, i = first + thread().x * V;
    if (block_size().y > 1 && first < d) {
      sync_threads();
      for (std::size_t j = 0; j < V; ++j) others[j * 256 + thread_number()] = sums[c][j];
      sync_threads();
    }
    if (thread().y > 0 || i >= d) continue;
    for (std::size_t j = 0; j < V; ++j) {
      S sum = sums[c][j];
      for (unsigned k = 1; k < block_size().y; ++k) sum += others[j * 256 + k * block_size().x + thread().x];
      parts[block().x * d + i + j] = sum;
    }
  }
}

/// Block (32 G, R) takes `rows_of_block` rows, R at a time, V numbers a load; what its rows add to the gradients of weight and
/// bias goes to its rows of `dweight` and `dbias (blocks, d)`. LayerNorm where `centred`, else RMSNorm: the same with a mean of 0
/// that does not depend on the row, and no bias. Memory bounds it: 4 d sizeof(T) bytes a row for about 20 d operations.
template <class T, std::size_t V, bool centred>
SKIPV1_KERNEL SKIPV1_BOUNDS(512, 1)
    norm_backward_fast(T* dx, Sum<T>* dweight, Sum<T>* dbias, const T* dy, const T* x, const T* weight, const Sum<T>* statistics,
                       std::size_t rows, std::size_t d, std::size_t rows_of_block) {
  using S = Sum<T>;
  const std::size_t begin = block().x * rows_of_block, end = begin + rows_of_block < rows ? begin + rows_of_block : rows;
  const auto column = [&](std::size_t c) { return (c * block_size().x + thread().x) * V; };
  Vector<T, V> in[norm_loads], dout[norm_loads], out[norm_loads];
  S weight_sums[norm_loads][V] = {}, bias_sums[norm_loads][V] = {};
  for (std::size_t top = begin; top < end; top += block_size().y) {
    const std::size_t n = top + thread().y, row = n * d;
    const bool mine = n < end;
    const S mean = mine && centred ? statistics[2 * n] : S(0), r = mine ? statistics[centred ? 2 * n + 1 : n] : S(0);
    S g_mean(0), gz_mean(0);
    SKIPV1_UNROLL
    for (std::size_t c = 0; c < norm_loads; ++c) {
      const std::size_t i = column(c);
      if (!mine || i >= d) continue;
      in[c] = load_vector<V>(x + row + i), dout[c] = load_vector<V>(dy + row + i), out[c] = load_vector<V>(dx + row + i);
      const Vector<T, V> w = load_vector<V>(weight + i);
      for (std::size_t j = 0; j < V; ++j) {
        const S g = static_cast<S>(w[j]) * static_cast<S>(dout[c][j]), z = (static_cast<S>(in[c][j]) - mean) * r;
        g_mean += g;
        gz_mean += g * z;
      }
    }
    row_sums(g_mean, gz_mean);
    g_mean = centred ? g_mean / static_cast<S>(d) : S(0), gz_mean /= static_cast<S>(d);
    SKIPV1_UNROLL
    for (std::size_t c = 0; c < norm_loads; ++c) {
      const std::size_t i = column(c);
      if (!mine || i >= d) continue;
      const Vector<T, V> w = load_vector<V>(weight + i);
      for (std::size_t j = 0; j < V; ++j) {
        const S dy_j = static_cast<S>(dout[c][j]), z = (static_cast<S>(in[c][j]) - mean) * r;
        weight_sums[c][j] += dy_j * z;
        bias_sums[c][j] += dy_j;
        const S add = r * (static_cast<S>(w[j]) * dy_j - g_mean - z * gz_mean);
        out[c][j] = static_cast<T>(static_cast<S>(out[c][j]) + add);
      }
      store_vector(dx + row + i, out[c]);
    }
  }
  store_column_sums(dweight, weight_sums, d);
  if (centred) store_column_sums(dbias, bias_sums, d);
}

/// Adds to dx (N, d), dweight and, for LayerNorm, dbias (d): see layer_norm.hpp and rms_norm.hpp. Returns false, with nothing
/// done, where rows are longer than 1536 loads.
template <bool centred, class T>
bool norm_backward(const char* name, View<T, Cuda> dx, View<T, Cuda> dweight, View<T, Cuda> dbias, ConstView<T, Cuda> dy,
                   ConstView<T, Cuda> x, ConstView<T, Cuda> weight, ConstView<Sum<T>, Cuda> statistics) {
  const std::size_t rows = x.rows(), d = x.width();
  const bool wide = reads_16_bytes(d, dx.data(), dy.data(), x.data(), weight.data());
  const std::size_t warps = ceil_div(d, norm_loads * warp_size * (wide ? per_16_bytes<T> : 1));
  if (warps > 16) return false;
  if (rows == 0) return true;
  const std::size_t at_once = std::max<std::size_t>(1, 8 / warps), rows_of_block = std::max(at_once, ceil_div(rows, 256)),
                    blocks = ceil_div(rows, rows_of_block);
  Sum<T>* parts = scratch<Sum<T>>(2 * blocks * d);
  const auto kernel = wide ? norm_backward_fast<T, per_16_bytes<T>, centred> : norm_backward_fast<T, 1, centred>;
  launch({name, blocks, {warps * warp_size, at_once}}, kernel, dx.data(), parts, parts + blocks * d, dy.data(), x.data(),
         weight.data(), statistics.data(), rows, d, rows_of_block);
  add_parts<T>(name, dweight, dbias, parts, blocks);
  return true;
}

}  // namespace skipv1::detail
