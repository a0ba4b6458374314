// Attention as the formula says it, in plain loops: the truth that the fast CPU version and every kernel are held to.
//
//   S = scale Q K^T,  P = softmax(S) over the keys that a row sees,  O = P V                  (Vaswani et al. 2017, equation 1)
//
// and backwards, with delta = sum over d of dO O for each row:
//
//   dV = P^T dO,  dP = dO V^T,  dS = P (dP - delta),  dQ = scale dS K,  dK = scale dS^T Q     (Dao et al. 2022, appendix B)
//
// Every query head h reads the key head and the value head that `heads[h]` names (docs/spec/models.md, "Head routing").
// Index letters: b sequence, n row of the batch, s key position, h query head, d element of a head.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "skipv1/ops/head.hpp"

namespace skipv1::reference {

/// Calls `f(b, n, h, seen)` for every row n of the batch and query head h < H, with the number of keys that the row sees: the
/// causal mask, aligned bottom-right.
template <class F>
void for_each_query(const Sequences<Cpu>& sequences, std::size_t H, const F& f) {
  for (std::size_t b = 0; b < sequences.batch(); ++b) {
    const auto begin = static_cast<std::size_t>(sequences.row_begin(b)),
               end = static_cast<std::size_t>(sequences.row_begin(b + 1));
    for (std::size_t n = begin; n < end; ++n)
      for (std::size_t h = 0; h < H; ++h) f(b, n, h, static_cast<std::size_t>(sequences.past(b)) + (n - begin) + 1);
  }
}

/// `x . y`, both d wide.
template <class T>
T dot(const T* x, const T* y, std::size_t d) {
  T sum(0);
  for (std::size_t i = 0; i < d; ++i) sum += x[i] * y[i];
  return sum;
}

/// `out[n, h] = sum over s of p_s v_s`, `p = softmax over s of scale q[n, h] . k_s`. A query head whose value has no data gives
/// zero, and lse zero. out (N, H, d_v), lse (N, H): the log of the softmax's denominator; q (N, H, d_k); heads (H).
template <class T>
void attention_forward(View<T> out, View<T> lse, ConstView<T> q, View<const HeadPair<const std::type_identity_t<T>>> heads,
                       const Sequences<Cpu>& sequences, double scale) {
  const std::size_t d_k = q.extent(2), d_v = out.extent(2);
  std::fill_n(out.data(), out.size(), T(0));
  std::fill_n(lse.data(), lse.size(), T(0));
  for_each_query(sequences, q.extent(1), [&](std::size_t b, std::size_t n, std::size_t h, std::size_t seen) {
    const Head<const T> k = heads(h).key, v = heads(h).value;
    if (!v.data) return;
    // 1. Scores, and the largest of them.
    std::vector<T> p(seen);
    T row_max = -std::numeric_limits<T>::infinity();
    for (std::size_t s = 0; s < seen; ++s) {
      p[s] = static_cast<T>(scale) * dot(&q(n, h, 0u), k.at(b, s), d_k);
      row_max = std::max(row_max, p[s]);
    }
    // 2. Softmax.
    T row_sum(0);
    for (std::size_t s = 0; s < seen; ++s) row_sum += p[s] = std::exp(p[s] - row_max);
    lse(n, h) = row_max + std::log(row_sum);
    // 3. The weighted sum of the values.
    for (std::size_t s = 0; s < seen; ++s)
      for (std::size_t d = 0; d < d_v; ++d) out(n, h, d) += p[s] / row_sum * v.at(b, s)[d];
  });
}

/// Gradients of `attention_forward`. Overwrites dq (N, H, d_k). Accumulates dk and dv into the heads of `dheads` (H), which are
/// laid out as those of `heads`: a head's gradient is the sum over all query heads that read it. dout, out (N, H, d_v), lse (N,
/// H); q, heads, scale as forward.
template <class T>
void attention_backward(View<T> dq, View<const HeadPair<std::type_identity_t<T>>> dheads, ConstView<T> dout, ConstView<T> out,
                        ConstView<T> lse, ConstView<T> q, View<const HeadPair<const std::type_identity_t<T>>> heads,
                        const Sequences<Cpu>& sequences, double scale) {
  const std::size_t d_k = q.extent(2), d_v = out.extent(2);
  std::fill_n(dq.data(), dq.size(), T(0));
  for_each_query(sequences, q.extent(1), [&](std::size_t b, std::size_t n, std::size_t h, std::size_t seen) {
    const Head<const T> k = heads(h).key, v = heads(h).value;
    const T delta = dot(&dout(n, h, 0u), &out(n, h, 0u), d_v);
    for (std::size_t s = 0; v.data && s < seen; ++s) {
      const T p = std::exp(static_cast<T>(scale) * dot(&q(n, h, 0u), k.at(b, s), d_k) - lse(n, h));
      const T dp = dot(&dout(n, h, 0u), v.at(b, s), d_v);
      const T ds = static_cast<T>(scale) * p * (dp - delta);
      for (std::size_t d = 0; d < d_v; ++d) dheads(h).value.at(b, s)[d] += p * dout(n, h, d);
      for (std::size_t d = 0; d < d_k; ++d) {
        dq(n, h, d) += ds * k.at(b, s)[d];
        dheads(h).key.at(b, s)[d] += ds * q(n, h, d);
      }
    }
  });
}

}  // namespace skipv1::reference
