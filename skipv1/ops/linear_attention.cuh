// Causal linear attention on the device: see linear_attention.hpp. One kernel for each pass mirrors the reference: every
// row, and in the backward pass every key, computes its own sum in O(T). The fast CPU version carries a state from position to
// position instead; the toy tasks are too short for that to pay on a card.
#pragma once

#include "skipv1/ops/attention/common.cuh"
#include "skipv1/ops/linear_attention.hpp"
#include "skipv1/ops/map.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// `c_n` of the reference.
template <class S>
SKIPV1_DEVICE S linear_factor(std::size_t seen, S scale, LinearNorm norm) {
  return norm == LinearNorm::keys ? scale / static_cast<S>(seen) : scale;
}

enum class LinearPass { forward, backward };

/// One call, one row n of one query head h. Forward: `to = c_n sum over s of v_s (k_s . from)`, out from q. Backward, with keys
/// and values exchanged: `to = c_n sum over s of k_s (v_s . from)`, dq from dout.
template <class T, LinearPass pass>
struct LinearRow {
  T* to;
  const T* from;
  const HeadPair<const T, Device>* heads;
  AttentionSizes z;
  Sum<T> scale;
  LinearNorm norm;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t at) const {
    using S = Sum<T>;
    constexpr bool backward = pass == LinearPass::backward;
    const AttentionQuery own = attention_query(z, at);
    const S c = linear_factor<S>(own.seen, scale, norm);
    const std::size_t from_width = backward ? z.value : z.key, width = backward ? z.key : z.value;
    const Head<const T, Device> k = heads[own.h].key, v = heads[own.h].value;
    S acc[attention_widest] = {};
    for (std::size_t s = 0; v.data && s < own.seen; ++s) {
      const S a = dot<S>(from + at * from_width, head_at(backward ? v : k, own.b, s), from_width);
      for (std::size_t i = 0; i < width; ++i) acc[i] += a * static_cast<S>(head_at(backward ? k : v, own.b, s)[i]);
    }
    for (std::size_t i = 0; i < width; ++i) to[at * width + i] = static_cast<T>(c * acc[i]);
  }
};

/// One call, position s of one key head or value head, summed over all rows n of all its readers:
/// `dk_s = sum of c_n q_n (v_s . dout_n)`, `dv_s = sum of c_n (k_s . q_n) dout_n`. The head's first reader makes the call.
template <class T, HeadPart part>
struct LinearHead {
  const HeadPair<T, Device>* dheads;
  const T *dout, *q;
  const HeadPair<const T, Device>* heads;
  const HeadReader* readers;
  AttentionSizes z;
  std::size_t positions;
  Sum<T> scale;
  LinearNorm norm;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t at) const {
    using S = Sum<T>;
    constexpr bool keys = part == HeadPart::key;
    const std::size_t s = at % positions, h = at / positions % z.heads, b = at / positions / z.heads,
                      width = keys ? z.key : z.value;
    const AttentionSequence own = sequence(z, b);
    if (own.rows == 0 || s >= own.past + own.rows || first_reader<part>(readers[h]) != h) return;
    S acc[attention_widest] = {};
    for (std::size_t reader = h; reader < z.heads; ++reader) {
      if (first_reader<part>(readers[reader]) != h) continue;
      const T* own_row = head_at(keys ? heads[reader].value : heads[reader].key, b, s);
      for (std::size_t row = s < own.past ? 0 : s - own.past; row < own.rows; ++row) {
        const std::size_t r = (own.begin + row) * z.heads + reader;
        const S c = linear_factor<S>(own.past + row + 1, scale, norm);
        const S a = c * (keys ? dot<S>(dout + r * z.value, own_row, z.value) : dot<S>(q + r * z.key, own_row, z.key));
        const T* from = keys ? q + r * z.key : dout + r * z.value;
        for (std::size_t i = 0; i < width; ++i) acc[i] += a * static_cast<S>(from[i]);
      }
    }
    write_gradient<part>(dheads[h], write_mode<part>(readers[h]), b, s, acc, width);
  }
};

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU; heads at most 256 wide. Compute bounds it: 2 seen (d_k + d_v) operations per row and head.
template <class T>
void linear_attention_forward(View<T, Device> out, ConstView<T, Device> q,
                              const RoutedHeads<std::type_identity_t<T>, Device>& heads, const Sequences<Device>& sequences,
                              double scale, LinearNorm norm) {
  const auto z = detail::attention_sizes<T>(q.shape(), out.shape(), heads.size(), sequences);
  detail::for_each("linear_attention_forward", z.rows * z.heads,
                   detail::LinearRow<T, detail::LinearPass::forward>{out.data(), q.data(), heads.pairs.data(), z,
                                                                     static_cast<Sum<T>>(scale), norm});
}

template <class T>
void linear_attention_backward(View<T, Device> dq, View<const HeadPair<std::type_identity_t<T>, Device>, Device> dheads,
                               ConstView<T, Device> dout, ConstView<T, Device> q,
                               const RoutedHeads<std::type_identity_t<T>, Device>& heads, const Sequences<Device>& sequences,
                               double scale, LinearNorm norm) {
  heads.require_readers("linear_attention_backward");
  const auto z = detail::attention_sizes<T>(q.shape(), dout.shape(), heads.size(), sequences);
  const auto s = static_cast<Sum<T>>(scale);
  const std::size_t positions = sequences.max_keys, count = z.batch * z.heads * positions;
  detail::for_each("linear_attention_backward", z.rows * z.heads,
                   detail::LinearRow<T, detail::LinearPass::backward>{dq.data(), dout.data(), heads.pairs.data(), z, s, norm});
  detail::for_each("linear_attention_backward_keys", count,
                   detail::LinearHead<T, HeadPart::key>{dheads.data(), dout.data(), q.data(), heads.pairs.data(),
                                                        heads.readers.data(), z, positions, s, norm});
  detail::for_each("linear_attention_backward_values", count,
                   detail::LinearHead<T, HeadPart::value>{dheads.data(), dout.data(), q.data(), heads.pairs.data(),
                                                          heads.readers.data(), z, positions, s, norm});
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
