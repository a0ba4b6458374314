// Attention by tiles with an online softmax (Dao et al. 2022, algorithm 1), for any type and head width, without tensor cores.
#pragma once

#include "skipv1/kernel/mma.cuh"
#include "skipv1/ops/attention/common.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

// A block of 4 warps has 32 query rows, 8 per warp, and goes through the keys 32 at a time: lane s of every warp has key s. For
// each element of its key a lane reads, from shared memory, that element and the 8 rows' (which lie together), and does 8
// multiply-adds: 3 reads of a cycle each for 2 cycles of arithmetic. So shared memory bounds it, to 2/3 of the card's rate.
constexpr std::size_t tile_rows = 32, tile_keys = 32, rows_of_warp = 8;

/// 8 numbers of a shared array, from element `8 i` on.
template <class S>
SKIPV1_DEVICE void load_8(S (&to)[8], const Shared<S>& from, std::size_t i) {
  constexpr std::size_t V = per_16_bytes<S>;
  for (std::size_t j = 0; j < 8; j += V) {
    const Vector<S, V> v = load_shared(from, 8 * i + j);
    for (std::size_t l = 0; l < V; ++l) to[j + l] = v[l];
  }
}

/// `tile[s * stride + i]` becomes element i of the row at position `first + s` of a head, zero from `count` on.
template <class S, class T>
SKIPV1_DEVICE void load_tile(const Shared<S>& tile, std::size_t stride, const T* rows, std::size_t row_stride, std::size_t first,
                             std::size_t count, std::size_t width) {
  for (std::size_t s = warp(); s < tile_keys; s += 4)
    for (std::size_t i = lane(); i < width; i += warp_size)
      tile[s * stride + i] = first + s < count ? static_cast<S>(rows[(first + s) * row_stride + i]) : S(0);
}
/// `tile[((r / 8) * width + i) * 8 + r % 8]` becomes element i of row r of 32 of a (N, H, width) tensor, zero from `count` on:
/// the numbers of 8 rows lie together.
template <class S, class T>
SKIPV1_DEVICE void load_rows(const Shared<S>& tile, const T* rows, std::size_t row_stride, std::size_t count, std::size_t width) {
  for (std::size_t r = warp(); r < tile_rows; r += 4)
    for (std::size_t i = lane(); i < width; i += warp_size)
      tile[(r / 8 * width + i) * 8 + r % 8] = r < count ? static_cast<S>(rows[r * row_stride + i]) : S(0);
}
/// `sums[r] = sum over i of rows[r][i] columns[lane][i]` for the warp's 8 rows.
template <class S>
SKIPV1_DEVICE void tile_products(S (&sums)[8], const Shared<S>& rows, const Shared<S>& columns, std::size_t stride,
                                 std::size_t width) {
  for (S& sum : sums) sum = S(0);
  for (std::size_t i = 0; i < width; ++i) {
    S r8[8];
    load_8(r8, rows, warp() * width + i);
    const S c = columns[lane() * stride + i];
    for (std::size_t r = 0; r < 8; ++r) sums[r] += r8[r] * c;
  }
}

/// `acc[r][c] += sum over s < count of weights[s][r] columns[s][lane + 32 c]` for the warp's 8 rows: `weights` as `load_8` reads
/// them.
template <std::size_t C, class S>
SKIPV1_DEVICE void add_outer(S (&acc)[8][C], const Shared<S>& weights, const Shared<S>& columns, std::size_t stride,
                             std::size_t width, std::size_t count) {
  for (std::size_t s = 0; s < count && s < tile_keys; ++s) {
    S w8[8];
    load_8(w8, weights, warp() * tile_keys + s);
    for (std::size_t c = 0; c < C; ++c) {
      const std::size_t j = lane() + warp_size * c;
      const S v = j < width ? static_cast<S>(columns[s * stride + j]) : S(0);
      for (std::size_t r = 0; r < 8; ++r) acc[r][c] += w8[r] * v;
    }
  }
}

/// Calls `f(size)` with the smallest of the constants that is at least `n`.
template <std::size_t first, std::size_t... rest, class F>
void with_size(std::size_t n, const F& f) {
  if constexpr (sizeof...(rest) == 0) {
    f(std::integral_constant<std::size_t, first>());
  } else if (n <= first) {
    f(std::integral_constant<std::size_t, first>());
  } else {
    with_size<rest...>(n, f);
  }
}

/// Bytes of shared memory of the forward kernel: query rows, keys or values (in turn), probabilities.
template <class S>
std::size_t attention_tiled_bytes(std::size_t key, std::size_t value) {
  return sizeof(S) * (tile_rows * key + tile_rows * tile_keys + tile_keys * (std::max(key, value) | 1));
}

/// Grid (row tiles, H, B). C = ceil(d_v / 32): lane i of a warp has outputs `i, i + 32 …` of its 8 rows.
template <class T, std::size_t C>
SKIPV1_KERNEL attention_forward_tiled(T* out, Sum<T>* lse, const T* q, const HeadPair<const T, Device>* heads, AttentionSizes z,
                                      Sum<T> scale) {
  using S = Sum<T>;
  const std::size_t h = block().y, b = block().z,
                    first = (grid_size().x - 1 - block().x) * tile_rows;  // the longest rows start first
  const AttentionSequence own = sequence(z, b);
  if (first >= own.rows) return;
  const std::size_t rows = own.rows - first < tile_rows ? own.rows - first : tile_rows, keys = own.past + first + rows;
  const std::size_t stride = (z.key > z.value ? z.key : z.value) | 1,
                    at = (own.begin + first) * z.heads + h;  // odd: no bank conflicts
  const Shared<S> queries = dynamic_shared<S>(0, tile_rows * z.key),
                  p_tile = dynamic_shared<S>(sizeof(S) * tile_rows * z.key, 1024);
  const Shared<S> tile = dynamic_shared<S>(sizeof(S) * (tile_rows * z.key + 1024), tile_keys * stride);
  const Head<const T, Device> key = heads[h].key, value = heads[h].value;
  const bool busy = warp() * rows_of_warp < rows;  // whether the warp has rows
  S row_max[8], row_sum[8] = {}, acc[8][C] = {};
  for (S& m : row_max) m = -infinity<S>();
  load_rows(queries, q + at * z.key, z.heads * z.key, rows, z.key);
  for (std::size_t s0 = 0; value.data && s0 < keys; s0 += tile_keys) {
    load_tile(tile, stride, key.data + b * key.batch_stride, key.row_stride, s0, keys, z.key);
    sync_threads();
    S x[8];
    if (busy) tile_products(x, queries, tile, stride, z.key);
    sync_threads();
    load_tile(tile, stride, value.data + b * value.batch_stride, value.row_stride, s0, keys, z.value);
    for (std::size_t r = 0; busy && r < 8; ++r) {
      const std::size_t seen = own.past + first + warp() * rows_of_warp + r + 1;
      x[r] = s0 + lane() < seen ? scale * x[r] : -infinity<S>();
      const S new_max = warp_max(x[r] > row_max[r] ? x[r] : row_max[r]);
      const S p = std::exp(x[r] - new_max), rescale = std::exp(row_max[r] - new_max);  // every row sees key 0: new_max is finite
      row_max[r] = new_max;
      row_sum[r] = row_sum[r] * rescale + warp_sum(p);
      for (S& a : acc[r]) a *= rescale;
      p_tile[(warp() * tile_keys + lane()) * 8 + r] = p;
    }
    sync_threads();
    if (busy) add_outer(acc, p_tile, tile, stride, z.value, keys - s0);
    sync_threads();
  }
  for (std::size_t r = 0; r < 8; ++r) {
    const std::size_t row = warp() * rows_of_warp + r;
    if (row >= rows) continue;
    for (std::size_t c = 0; c < C; ++c) {
      const std::size_t j = lane() + warp_size * c;
      if (j < z.value) out[(at + row * z.heads) * z.value + j] = static_cast<T>(value.data ? acc[r][c] / row_sum[r] : S(0));
    }
    if (lane() == 0) lse[at + row * z.heads] = value.data ? row_max[r] + std::log(row_sum[r]) : S(0);
  }
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
