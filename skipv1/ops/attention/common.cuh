// What attention's kernels share: sizes, the sequence of a row, the first kernels ("one thread, one row").
#pragma once

#include <cstdint>

#include "skipv1/device/memory.cuh"
#include "skipv1/ops/head.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

constexpr std::size_t attention_widest = 256;  ///< the widest head
constexpr double log2_e = 1.4426950408889634;

/// A call's sizes and sequences: H heads, query and key width, value width.
struct AttentionSizes {
  std::size_t rows, heads, key, value, batch;
  const std::int32_t *row_begin, *past;
};

/// The sizes of a call; throws if they do not fit.
template <class T>
AttentionSizes attention_sizes(const Shape& q, const Shape& out, std::size_t heads, const Sequences<Device>& sequences) {
  const AttentionSizes z{q[0], q[1], q[2], out[2], sequences.batch(), sequences.row_begin.data(), sequences.past.data()};
  require(heads == z.heads && out[1] == z.heads && out[0] == z.rows, "attention: q ", q, ", out ", out, " and ", heads,
          " routed heads do not fit");
  require(z.key <= attention_widest && z.value <= attention_widest, "attention: heads of ", z.key, " and ", z.value,
          " numbers: at most ", attention_widest, " on the device");
  return z;
}

/// Sequence b: its rows `begin …` in the batch, how many, and the keys before them.
struct AttentionSequence {
  std::size_t begin, rows, past;
};
SKIPV1_DEVICE AttentionSequence sequence(const AttentionSizes& z, std::size_t b) {
  const auto begin = static_cast<std::size_t>(z.row_begin[b]), end = static_cast<std::size_t>(z.row_begin[b + 1]);
  return {begin, end - begin, static_cast<std::size_t>(z.past[b])};
}
/// The sequence of row n.
SKIPV1_DEVICE std::size_t sequence_of(const AttentionSizes& z, std::size_t n) {
  std::size_t low = 0, high = z.batch;  // row_begin[low] <= n < row_begin[high]
  while (high - low > 1) {
    const std::size_t middle = (low + high) / 2;
    (static_cast<std::size_t>(z.row_begin[middle]) <= n ? low : high) = middle;
  }
  return low;
}
template <class S, class T>
SKIPV1_DEVICE S dot(const T* a, const T* b, std::size_t n) {
  S sum(0);
  for (std::size_t i = 0; i < n; ++i) sum += static_cast<S>(a[i]) * static_cast<S>(b[i]);
  return sum;
}

/// Row n of the batch in sequence b, query head h; the row sees the keys `0 … seen - 1`.
struct AttentionQuery {
  std::size_t n, h, b, seen;
};
/// The at-th of all (n, h).
SKIPV1_DEVICE AttentionQuery attention_query(const AttentionSizes& z, std::size_t at) {
  const std::size_t n = at / z.heads, b = sequence_of(z, n);
  const AttentionSequence own = sequence(z, b);
  return {n, at % z.heads, b, own.past + (n - own.begin) + 1};
}

/// One thread, one row of one head, as `reference::attention_forward`: the scores' maximum, their sum, the weighted sum of the
/// values. Scores are computed twice, as a thread has no room for them.
template <class T>
SKIPV1_KERNEL attention_forward_first(T* out, Sum<T>* lse, const T* q, const HeadPair<const T, Device>* heads, AttentionSizes z,
                                      Sum<T> scale) {
  using S = Sum<T>;
  const std::size_t at = global_thread();  // (n, h)
  if (at >= z.rows * z.heads) return;
  const AttentionQuery own = attention_query(z, at);
  const Head<const T, Device> k = heads[own.h].key, v = heads[own.h].value;
  const std::size_t seen = v.data ? own.seen : 0;
  S row_max = -infinity<S>(), row_sum(0), acc[attention_widest] = {};
  for (std::size_t s = 0; s < seen; ++s) {
    const S score = scale * dot<S>(q + at * z.key, head_at(k, own.b, s), z.key);
    row_max = score > row_max ? score : row_max;
  }
  for (std::size_t s = 0; s < seen; ++s) {
    const S p = std::exp(scale * dot<S>(q + at * z.key, head_at(k, own.b, s), z.key) - row_max);
    row_sum += p;
    for (std::size_t d = 0; d < z.value; ++d) acc[d] += p * static_cast<S>(head_at(v, own.b, s)[d]);
  }
  for (std::size_t d = 0; d < z.value; ++d) out[at * z.value + d] = static_cast<T>(seen ? acc[d] / row_sum : S(0));
  lse[at] = seen ? row_max + std::log(row_sum) : S(0);
}

/// One thread, one row of one head: dq.
template <class T>
SKIPV1_KERNEL attention_backward_query_first(T* dq, std::size_t dq_row, const T* dout, const T* out, const Sum<T>* lse,
                                             const T* q, const HeadPair<const T, Device>* heads, AttentionSizes z, Sum<T> scale) {
  using S = Sum<T>;
  const std::size_t at = global_thread();  // (n, h)
  if (at >= z.rows * z.heads) return;
  const AttentionQuery own = attention_query(z, at);
  const Head<const T, Device> k = heads[own.h].key, v = heads[own.h].value;
  const S delta = dot<S>(dout + at * z.value, out + at * z.value, z.value);
  S acc[attention_widest] = {};
  for (std::size_t s = 0; v.data && s < own.seen; ++s) {
    const S p = std::exp(scale * dot<S>(q + at * z.key, head_at(k, own.b, s), z.key) - lse[at]);
    const S dp = dot<S>(dout + at * z.value, head_at(v, own.b, s), z.value);
    const S ds = scale * p * (dp - delta);
    for (std::size_t d = 0; d < z.key; ++d) acc[d] += ds * static_cast<S>(head_at(k, own.b, s)[d]);
  }
  for (std::size_t d = 0; d < z.key; ++d) dq[at / z.heads * dq_row + own.h * z.key + d] = static_cast<T>(acc[d]);
}

/// A query head's part in writing the gradient of its key head or value head.
template <HeadPart part>
SKIPV1_DEVICE std::size_t first_reader(const HeadReader& reader) {
  return part == HeadPart::key ? reader.key_first : reader.value_first;
}
template <HeadPart part>
SKIPV1_DEVICE WriteMode write_mode(const HeadReader& reader) {
  return part == HeadPart::key ? reader.key : reader.value;
}

/// Position s of sequence b of the key head or value head: `gradient = acc`, or `gradient += acc`, `width` wide.
template <HeadPart part, class T, class S>
SKIPV1_DEVICE void write_gradient(const HeadPair<T, Device>& dhead, WriteMode mode, std::size_t b, std::size_t s, const S* acc,
                                  std::size_t width) {
  T* row = head_at(part == HeadPart::key ? dhead.key : dhead.value, b, s);
  for (std::size_t i = 0; i < width; ++i)
    row[i] = static_cast<T>((mode == WriteMode::overwrite ? S(0) : static_cast<S>(row[i])) + acc[i]);
}

/// One thread, position s of one key head or value head: its gradient, summed over the rows of all its readers. The
/// thread of the head's first reader computes it.
template <class T, HeadPart part>
SKIPV1_KERNEL attention_backward_head_first(const HeadPair<T, Device>* dheads, const T* dout, const T* out, const Sum<T>* lse,
                                            const T* q, const HeadPair<const T, Device>* heads, const HeadReader* readers,
                                            AttentionSizes z, std::size_t positions, Sum<T> scale) {
  using S = Sum<T>;
  const std::size_t at = global_thread(), s = at % positions, h = at / positions % z.heads, b = at / positions / z.heads;
  if (b >= z.batch) return;
  const AttentionSequence own = sequence(z, b);
  if (own.rows == 0 || s >= own.past + own.rows) return;
  if (first_reader<part>(readers[h]) != h) return;
  constexpr bool keys = part == HeadPart::key;
  const std::size_t width = keys ? z.key : z.value;
  S acc[attention_widest] = {};
  for (std::size_t reader = h; reader < z.heads; ++reader) {
    if (first_reader<part>(readers[reader]) != h) continue;
    const Head<const T, Device> k = heads[reader].key, v = heads[reader].value;
    for (std::size_t row = s < own.past ? 0 : s - own.past; row < own.rows; ++row) {
      const std::size_t r = (own.begin + row) * z.heads + reader;
      const S p = std::exp(scale * dot<S>(q + r * z.key, head_at(k, b, s), z.key) - lse[r]);
      S factor = p;
      if (keys) {
        const S dp = dot<S>(dout + r * z.value, head_at(v, b, s), z.value);
        factor = scale * p * (dp - dot<S>(dout + r * z.value, out + r * z.value, z.value));
      }
      const T* from = keys ? q + r * z.key : dout + r * z.value;
      for (std::size_t i = 0; i < width; ++i) acc[i] += factor * static_cast<S>(from[i]);
    }
  }
  write_gradient<part>(dheads[h], write_mode<part>(readers[h]), b, s, acc, width);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
