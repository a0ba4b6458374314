// Attention of few query rows to many keys, as in decoding: the keys are what there is to cut.
#pragma once

#include "skipv1/ops/attention/common.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

// 8 lanes go through a key together, so a warp has 4 keys at a time and a block of 4 warps 16; each such group has a softmax of
// its own, put together at the end. Every key and value is read once by 16-byte loads: memory bounds it, (d_k + d_v) sizeof(T)
// bytes per key.
constexpr std::size_t lanes_of_key = 8, groups_of_block = 16;

/// Grid (parts, H, N): the block's part of the keys of row n. E: numbers of a head that a lane holds, V at a time; lane i of a
/// group has `i V … i V + V - 1`, then those 8 V further on. `partial` (N, H, parts, d_v + 2): weighted values, maximum, sum;
/// where there is one part, `out` and `lse` are written instead.
template <class T, std::size_t V, std::size_t E>
SKIPV1_KERNEL attention_forward_rows(T* out, Sum<T>* lse, Sum<T>* partial, const T* q, const HeadPair<const T, Device>* heads,
                                     AttentionSizes z, Sum<T> scale) {
  using S = Sum<T>;
  SKIPV1_SHARED(S, most_of, groups_of_block);
  SKIPV1_SHARED(S, sum_of, groups_of_block);
  SKIPV1_SHARED(S, values_of, groups_of_block * lanes_of_key * E);
  const std::size_t parts = grid_size().x, h = block().y, n = block().z, at = n * z.heads + h, b = sequence_of(z, n);
  const AttentionSequence own = sequence(z, b);
  const Head<const T, Device> key = heads[h].key, value = heads[h].value;
  const std::size_t keys = value.data ? own.past + (n - own.begin) + 1 : 0, step = (keys + parts - 1) / parts;
  const std::size_t begin = block().x * step, end = begin + step < keys ? begin + step : keys;
  const std::size_t group = thread().x / lanes_of_key, i = thread().x % lanes_of_key;
  S q_own[E] = {}, acc[E] = {}, most = -infinity<S>(), sum(0);
  const auto for_own = [&](std::size_t width, auto&& f) {  // f(first of V in the lane's numbers, first of V in the head's)
    for (std::size_t e = 0; e < E; e += V)
      if (e * lanes_of_key + i * V < width) f(e, e * lanes_of_key + i * V);
  };
  for_own(z.key, [&](std::size_t e, std::size_t j) {
    const Vector<T, V> v = load_vector<V>(q + at * z.key + j);
    for (std::size_t l = 0; l < V; ++l) q_own[e + l] = scale * static_cast<S>(v[l]);
  });
  for (std::size_t s0 = begin; s0 < end; s0 += groups_of_block) {  // all groups go round equally often: they shuffle together
    const std::size_t s = s0 + group;
    S x(0);
    if (s < end) {
      const T* k = key.data + b * key.batch_stride + s * key.row_stride;
      for_own(z.key, [&](std::size_t e, std::size_t j) {
        const Vector<T, V> v = load_vector<V>(k + j);
        for (std::size_t l = 0; l < V; ++l) x += q_own[e + l] * static_cast<S>(v[l]);
      });
    }
    for (unsigned d = lanes_of_key / 2; d > 0; d /= 2) x += shuffle_xor(x, d);
    if (s >= end) continue;
    const S higher = x > most ? x : most, p = std::exp(x - higher), shrink = std::exp(most - higher);
    most = higher;
    sum = sum * shrink + p;
    const T* row = value.data + b * value.batch_stride + s * value.row_stride;
    for_own(z.value, [&](std::size_t e, std::size_t j) {
      const Vector<T, V> v = load_vector<V>(row + j);
      for (std::size_t l = 0; l < V; ++l) acc[e + l] = acc[e + l] * shrink + p * static_cast<S>(v[l]);
    });
  }
  if (i == 0) most_of[group] = most;
  if (i == 0) sum_of[group] = sum;
  for_own(z.value, [&](std::size_t e, std::size_t j) {
    for (std::size_t l = 0; l < V; ++l) values_of[group * lanes_of_key * E + j + l] = acc[e + l];
  });
  sync_threads();
  S highest = -infinity<S>(), total(0), factor[groups_of_block];
  for (std::size_t g = 0; g < groups_of_block; ++g) highest = most_of[g] > highest ? static_cast<S>(most_of[g]) : highest;
  for (std::size_t g = 0; g < groups_of_block; ++g) {
    factor[g] = sum_of[g] > S(0) ? std::exp(most_of[g] - highest) : S(0);
    total += factor[g] * sum_of[g];
  }
  S* part = parts > 1 ? partial + (at * parts + block().x) * (z.value + 2) : nullptr;
  for (std::size_t j = thread().x; j < z.value; j += block_size().x) {
    S x(0);
    for (std::size_t g = 0; g < groups_of_block; ++g) x += factor[g] * values_of[g * lanes_of_key * E + j];
    if (parts > 1) part[j] = x;
    if (parts == 1) out[at * z.value + j] = static_cast<T>(keys ? x / total : S(0));
  }
  if (thread().x > 0) return;
  if (parts > 1) part[z.value] = highest;
  if (parts > 1) part[z.value + 1] = total;
  if (parts == 1) lse[at] = keys ? highest + std::log(total) : S(0);
}

/// One warp, one row of one head: puts its parts together.
template <class T>
SKIPV1_KERNEL attention_join_parts(T* out, Sum<T>* lse, const Sum<T>* partial, std::size_t parts, std::size_t rows,
                                   std::size_t width) {
  using S = Sum<T>;
  const std::size_t at = global_thread() / warp_size;
  if (at >= rows) return;
  const S* own = partial + at * parts * (width + 2);
  S highest = -infinity<S>(), total(0);
  const auto most = [&](std::size_t p) { return own[p * (width + 2) + width]; };
  const auto factor = [&](std::size_t p) { return own[p * (width + 2) + width + 1] > S(0) ? std::exp(most(p) - highest) : S(0); };
  for (std::size_t p = 0; p < parts; ++p) highest = most(p) > highest ? most(p) : highest;
  for (std::size_t p = 0; p < parts; ++p) total += factor(p) * own[p * (width + 2) + width + 1];
  for (std::size_t j = lane(); j < width; j += warp_size) {
    S x(0);
    for (std::size_t p = 0; p < parts; ++p) x += factor(p) * own[p * (width + 2) + j];
    out[at * width + j] = static_cast<T>(total > S(0) ? x / total : S(0));
  }
  if (lane() == 0) lse[at] = total > S(0) ? highest + std::log(total) : S(0);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
