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

/// Calls `f(b, n, seen)` for every row n of the batch, with the number of keys that it sees: the causal mask, aligned
/// bottom-right.
template <class F>
void for_each_row(const Sequences<Cpu>& sequences, const F& f) {
  for (std::size_t b = 0; b < sequences.batch(); ++b) {
    const auto begin = static_cast<std::size_t>(sequences.row_begin(b)),
               end = static_cast<std::size_t>(sequences.row_begin(b + 1));
    for (std::size_t n = begin; n < end; ++n) f(b, n, static_cast<std::size_t>(sequences.past(b)) + (n - begin) + 1);
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
  const std::size_t H = q.extent(1), d_k = q.extent(2), d_v = out.extent(2);
  for_each_row(sequences, [&](std::size_t b, std::size_t n, std::size_t seen) {
    for (std::size_t h = 0; h < H; ++h) {
      const Head<const T> k = heads(h).key, v = heads(h).value;
      T* o = &out(n, h, 0u);
      std::fill_n(o, d_v, T(0));
      lse(n, h) = T(0);
      if (!v.data) continue;
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
        for (std::size_t d = 0; d < d_v; ++d) o[d] += p[s] / row_sum * v.at(b, s)[d];
    }
  });
}

/// Gradients of `attention_forward`. dq (N, H, d_k) is overwritten; into the heads of `dheads` (H), which lie as those of `heads`
/// do, dk and dv are accumulated: a head that several query heads read gathers what each of them sends back. dout, out
/// (N, H, d_v), lse (N, H); q, heads, scale as forward.
template <class T>
void attention_backward(View<T> dq, View<const HeadPair<std::type_identity_t<T>>> dheads, ConstView<T> dout, ConstView<T> out,
                        ConstView<T> lse, ConstView<T> q, View<const HeadPair<const std::type_identity_t<T>>> heads,
                        const Sequences<Cpu>& sequences, double scale) {
  const std::size_t H = q.extent(1), d_k = q.extent(2), d_v = out.extent(2);
  for_each_row(sequences, [&](std::size_t b, std::size_t n, std::size_t seen) {
    for (std::size_t h = 0; h < H; ++h) {
      const Head<const T> k = heads(h).key, v = heads(h).value;
      T* dq_row = &dq(n, h, 0u);
      std::fill_n(dq_row, d_k, T(0));
      if (!v.data) continue;
      const T *q_row = &q(n, h, 0u), *dout_row = &dout(n, h, 0u);
      const T delta = dot(dout_row, &out(n, h, 0u), d_v);
      for (std::size_t s = 0; s < seen; ++s) {
        const T p = std::exp(static_cast<T>(scale) * dot(q_row, k.at(b, s), d_k) - lse(n, h));
        const T dp = dot(dout_row, v.at(b, s), d_v);
        const T ds = static_cast<T>(scale) * p * (dp - delta);
        for (std::size_t d = 0; d < d_v; ++d) dheads(h).value.at(b, s)[d] += p * dout_row[d];
        for (std::size_t d = 0; d < d_k; ++d) {
          dq_row[d] += ds * k.at(b, s)[d];
          dheads(h).key.at(b, s)[d] += ds * q_row[d];
        }
      }
    }
  });
}

}  // namespace skipv1::reference
