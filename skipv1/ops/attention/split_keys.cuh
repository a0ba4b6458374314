// Attention of few query rows over many keys, as in decoding, for any type: the keys are split among blocks (Flash-Decoding).
#pragma once

#include "skipv1/ops/attention/common.cuh"
#include "skipv1/ops/attention/merge.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

// 8 lanes read one key together, so a warp has 4 keys at a time and a block of 4 warps 16: 16 groups, each with a softmax of its
// own, which are merged at the end. Every key and value is read once, by loads of 16 bytes. Memory bounds it: (d_k + d_v)
// sizeof(T) bytes per key.
constexpr std::size_t lanes_of_key = 8, groups_of_block = 16;

/// A lane's elements of a head `width` wide: calls `f(e, j)` for each V of them, elements `e …` of the lane's E and `j …` of the
/// head.
template <std::size_t V, std::size_t E, class F>
SKIPV1_DEVICE void for_lane_elements(std::size_t width, const F& f) {
  const std::size_t i = thread().x % lanes_of_key;
  for (std::size_t e = 0; e < E; e += V)
    if (e * lanes_of_key + i * V < width) f(e, e * lanes_of_key + i * V);
}

/// One group's online softmax over keys `begin + group, begin + group + 16, …` below `end`: its state, and O times row_sum.
template <std::size_t V, std::size_t E, class T, class S>
SKIPV1_DEVICE SoftmaxState<S> attend_group(S (&acc)[E], const S (&q)[E], const Head<const T, Device>& key,
                                           const Head<const T, Device>& value, std::size_t b, std::size_t begin, std::size_t end,
                                           const AttentionSizes& z) {
  SoftmaxState<S> state{-infinity<S>(), S(0)};
  for (std::size_t s0 = begin; s0 < end; s0 += groups_of_block) {  // all groups iterate equally often: they shuffle together
    const std::size_t s = s0 + thread().x / lanes_of_key;
    S score(0);
    if (s < end) {
      const T* k = key.data + b * key.batch_stride + s * key.row_stride;
      for_lane_elements<V, E>(z.key, [&](std::size_t e, std::size_t j) {
        const Vector<T, V> v = load_vector<V>(k + j);
        for (std::size_t l = 0; l < V; ++l) score += q[e + l] * static_cast<S>(v[l]);
      });
    }
    for (unsigned d = lanes_of_key / 2; d > 0; d /= 2) score += shuffle_xor(score, d);
    if (s >= end) continue;
    const S new_max = score > state.row_max ? score : state.row_max;
    const S p = std::exp(score - new_max), rescale = std::exp(state.row_max - new_max);
    state = {new_max, state.row_sum * rescale + p};
    const T* row = value.data + b * value.batch_stride + s * value.row_stride;
    for_lane_elements<V, E>(z.value, [&](std::size_t e, std::size_t j) {
      const Vector<T, V> v = load_vector<V>(row + j);
      for (std::size_t l = 0; l < V; ++l) acc[e + l] = acc[e + l] * rescale + p * static_cast<S>(v[l]);
    });
  }
  return state;
}

/// Grid (parts, H, N): the block's part of the keys of row n. E: elements of a head that a lane holds, V at a time. `partial` (N,
/// H, parts, d_v + 2): O times row_sum, row_max, row_sum; where there is one part, `out` and `lse` are written instead.
template <class T, std::size_t V, std::size_t E>
SKIPV1_KERNEL attention_forward_split_keys(T* out, Sum<T>* lse, Sum<T>* partial, const T* q,
                                           const HeadPair<const T, Device>* heads, AttentionSizes z, Sum<T> scale) {
  using S = Sum<T>;
  SKIPV1_SHARED(S, max_of_group, groups_of_block);
  SKIPV1_SHARED(S, sum_of_group, groups_of_block);
  SKIPV1_SHARED(S, o_of_group, groups_of_block * lanes_of_key * E);
  const std::size_t parts = grid_size().x, h = block().y, n = block().z, at = n * z.heads + h, b = sequence_of(z, n);
  const AttentionSequence own = sequence(z, b);
  const Head<const T, Device> key = heads[h].key, value = heads[h].value;
  const std::size_t keys = value.data ? own.past + (n - own.begin) + 1 : 0, step = (keys + parts - 1) / parts;
  const std::size_t begin = block().x * step, end = begin + step < keys ? begin + step : keys;
  const std::size_t group = thread().x / lanes_of_key;
  S q_scaled[E] = {}, acc[E] = {};
  for_lane_elements<V, E>(z.key, [&](std::size_t e, std::size_t j) {
    const Vector<T, V> v = load_vector<V>(q + at * z.key + j);
    for (std::size_t l = 0; l < V; ++l) q_scaled[e + l] = scale * static_cast<S>(v[l]);
  });
  SoftmaxState<S> state = attend_group<V, E>(acc, q_scaled, key, value, b, begin, end, z);
  if (thread().x % lanes_of_key == 0) max_of_group[group] = state.row_max, sum_of_group[group] = state.row_sum;
  for_lane_elements<V, E>(z.value, [&](std::size_t e, std::size_t j) {
    for (std::size_t l = 0; l < V; ++l) o_of_group[group * lanes_of_key * E + j + l] = acc[e + l];
  });
  sync_threads();
  if (thread().x >= z.value) return;  // no part of the output is theirs
  const auto of_group = [&](std::size_t g) { return SoftmaxState<S>{max_of_group[g], sum_of_group[g]}; };
  const auto exp = [](S x) { return std::exp(x); };
  state = merge<S>(groups_of_block, of_group, exp);
  S factor[groups_of_block];
  for (std::size_t g = 0; g < groups_of_block; ++g) factor[g] = exp(of_group(g).row_max - merge_base(state.row_max));
  S* part = parts > 1 ? partial + (at * parts + block().x) * (z.value + 2) : nullptr;
  for (std::size_t j = thread().x; j < z.value; j += block_size().x) {
    S x(0);
    for (std::size_t g = 0; g < groups_of_block; ++g) x += factor[g] * o_of_group[g * lanes_of_key * E + j];
    if (parts > 1) part[j] = x;
    if (parts == 1) out[at * z.value + j] = static_cast<T>(keys ? x / state.row_sum : S(0));
  }
  if (thread().x > 0) return;
  if (parts > 1) part[z.value] = state.row_max, part[z.value + 1] = state.row_sum;
  if (parts == 1) lse[at] = keys ? state.row_max + std::log(state.row_sum) : S(0);
}

/// One warp, one row of one head: merges its parts.
template <class T>
SKIPV1_KERNEL attention_merge_parts(T* out, Sum<T>* lse, const Sum<T>* partial, std::size_t parts, std::size_t rows,
                                    std::size_t width) {
  using S = Sum<T>;
  const std::size_t at = global_thread() / warp_size;
  if (at >= rows) return;
  const S* own = partial + at * parts * (width + 2);
  const auto part = [&](std::size_t p) {
    return SoftmaxState<S>{own[p * (width + 2) + width], own[p * (width + 2) + width + 1]};
  };
  const auto exp = [](S x) { return std::exp(x); };
  const SoftmaxState<S> all = merge<S>(parts, part, exp);
  for (std::size_t j = lane(); j < width; j += warp_size) {
    S x(0);
    for (std::size_t p = 0; p < parts; ++p) x += exp(part(p).row_max - merge_base(all.row_max)) * own[p * (width + 2) + j];
    out[at * width + j] = static_cast<T>(all.row_sum > S(0) ? x / all.row_sum : S(0));
  }
  if (lane() == 0) lse[at] = all.row_sum > S(0) ? all.row_max + std::log(all.row_sum) : S(0);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
