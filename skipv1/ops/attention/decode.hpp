// Decoding: one new row per sequence against all its keys. Memory bounds it: keys and values are read once. So the loops run
// position by position over all heads, in the order in which a cache holds them; head by head, each position would lie on another
// page. Tiles of positions are tasks, whose partial softmaxes are merged at the end (Dao et al. 2023, Flash-Decoding).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "skipv1/ops/head.hpp"
#include "skipv1/core/uninitialized.hpp"
#include "skipv1/core/parallel.hpp"
#include "skipv1/core/simd.hpp"

namespace skipv1::detail {

constexpr std::size_t decode_tile = 64;  ///< positions of one task
constexpr std::size_t decode_step = 4;   ///< positions after which it goes on to the next head

/// What one tile gives for every query head: the largest score, and relative to it the softmax's denominator and numerators.
template <class T>
struct DecodeSums {
  T *most, *sum, *out;  ///< (H), (H), (H, d_v)
};

/// Positions `begin … begin + count` of sequence b. q (H, key_width), heads (H).
template <class T>
void attention_decode_tile(const DecodeSums<T>& parts, const T* q, View<const HeadPair<const T>, Cpu> heads, std::size_t b,
                           std::size_t begin, std::size_t count, std::size_t key_width, std::size_t value_width, T scale) {
  const auto scores = uninitialized<T>(heads.size() * decode_tile);
  const auto each_head = [&](const auto& f) {
    for (std::size_t s = 0; s < count; s += decode_step)
      for (std::size_t h = 0; h < heads.size(); ++h)
        if (heads(h).value.data) f(h, begin + s, std::min(decode_step, count - s), scores.get() + h * decode_tile + s);
  };
  each_head([&](std::size_t h, std::size_t s, std::size_t few, T* score) {
    dot_rows(key_width, q + h * key_width, heads(h).key.at(b, s), heads(h).key.row_stride, few, score);
  });
  for (std::size_t h = 0; h < heads.size(); ++h) {
    if (!heads(h).value.data) continue;
    T* score = scores.get() + h * decode_tile;
    parts.most[h] = largest_of(count, score, scale);
    parts.sum[h] = exp_and_sum(count, score, scale, parts.most[h]);
    std::fill_n(parts.out + h * value_width, value_width, T(0));
  }
  each_head([&](std::size_t h, std::size_t s, std::size_t few, const T* weight) {
    add_rows(value_width, parts.out + h * value_width, weight, heads(h).value.at(b, s), heads(h).value.row_stride, few);
  });
}

/// Joins a query head's tiles, whose parts lie `heads` heads apart, into its row `out` (value_width). Returns its log-sum-exp.
template <class T>
T join_tiles(T* out, const DecodeSums<T>& parts, std::size_t tiles, std::size_t heads, std::size_t value_width) {
  T most = -std::numeric_limits<T>::infinity(), sum(0);
  for (std::size_t i = 0; i < tiles; ++i) most = std::max(most, parts.most[i * heads]);
  for (std::size_t i = 0; i < tiles; ++i) sum += std::exp(parts.most[i * heads] - most) * parts.sum[i * heads];
  std::fill_n(out, value_width, T(0));
  for (std::size_t i = 0; i < tiles; ++i) {
    const T weight = std::exp(parts.most[i * heads] - most) / sum;
    add_rows(value_width, out, &weight, parts.out + i * heads * value_width, value_width, 1);
  }
  return most + std::log(sum);
}

/// As `attention_forward`, for at most one row per sequence.
template <class T>
void attention_decode(View<T, Cpu> out, View<T, Cpu> lse, ConstView<T, Cpu> q, View<const HeadPair<const T>, Cpu> table,
                      const Sequences<Cpu>& sequences, T scale) {
  const std::size_t heads = q.extent(1), key_width = q.extent(2), value_width = out.extent(2), batch = sequences.batch();
  const std::size_t most_tiles = (sequences.max_keys + decode_tile - 1) / decode_tile, all = batch * most_tiles * heads;
  const auto memory = uninitialized<T>(all * (value_width + 2));
  const auto parts_of = [&](std::size_t b, std::size_t tile, std::size_t h) {
    const std::size_t at = (b * most_tiles + tile) * heads + h;
    return DecodeSums<T>{memory.get() + at, memory.get() + all + at, memory.get() + 2 * all + at * value_width};
  };
  const auto row_of = [&](std::size_t b) { return static_cast<std::size_t>(sequences.row_begin(b)); };
  const auto keys_of = [&](std::size_t b) {  // none without a new row
    return sequences.row_begin(b) == sequences.row_begin(b + 1) ? 0 : static_cast<std::size_t>(sequences.past(b)) + 1;
  };
  parallel_for(batch * most_tiles, [&](std::size_t task) {
    const std::size_t b = task / most_tiles, tile = task % most_tiles, begin = tile * decode_tile, keys = keys_of(b);
    if (begin < keys)
      attention_decode_tile(parts_of(b, tile, 0), q.data() + row_of(b) * heads * key_width, table, b, begin,
                            std::min(decode_tile, keys - begin), key_width, value_width, scale);
  });
  parallel_ranges(batch * heads, 32, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      const std::size_t b = i / heads, h = i % heads, keys = keys_of(b);
      if (keys == 0) continue;
      const std::size_t at = row_of(b) * heads + h;
      const std::size_t tiles = table(h).value.data ? (keys + decode_tile - 1) / decode_tile : 0;
      T* row = out.data() + at * value_width;
      if (tiles == 0) std::fill_n(row, value_width, T(0));
      lse.data()[at] = tiles == 0 ? T(0) : join_tiles(row, parts_of(b, 0, h), tiles, heads, value_width);
    }
  });
}

}  // namespace skipv1::detail
