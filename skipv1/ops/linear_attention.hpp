// Causal linear attention (Katharopoulos et al. 2020, without feature map): softmax attention's weights replaced by `k . q`,
// the layer of the paper's section 4. It reads key and value heads wherever they lie, as `attention_forward` does.
#pragma once

#include <algorithm>
#include <vector>

#include "skipv1/ops/attention/attention.hpp"
#include "skipv1/ops/attention/reference.hpp"

namespace skipv1 {

/// What divides a row's sum over the keys that it sees: nothing, or their number.
enum class LinearNorm { none, keys };

namespace reference {

/// `c_n` of a row that sees `seen` keys: `scale`, or `scale / seen` with `LinearNorm::keys`.
inline double linear_factor(std::size_t seen, double scale, LinearNorm norm) {
  return norm == LinearNorm::keys ? scale / static_cast<double>(seen) : scale;
}

/// `out[n, h] = c_n sum over s of v_s (k_s . q[n, h])`, keys and values of the heads that `heads[h]` names, s over the positions
/// that row n sees. A query head whose value has no data gives zero.
/// out (N, H, d_v), q (N, H, d_k), heads (H), key rows d_k and value rows d_v wide. O(T^2).
template <class T>
void linear_attention_forward(View<T> out, ConstView<T> q, View<const HeadPair<const std::type_identity_t<T>>> heads,
                              const Sequences<Cpu>& sequences, double scale, LinearNorm norm) {
  const std::size_t d_k = q.extent(2), d_v = out.extent(2);
  std::fill_n(out.data(), out.size(), T(0));
  for_each_query(sequences, q.extent(1), [&](std::size_t b, std::size_t n, std::size_t h, std::size_t seen) {
    const T c = static_cast<T>(linear_factor(seen, scale, norm));
    for (std::size_t s = 0; heads(h).value.data && s < seen; ++s) {
      const T a = c * dot(&q(n, h, 0u), heads(h).key.at(b, s), d_k);
      for (std::size_t j = 0; j < d_v; ++j) out(n, h, j) += a * heads(h).value.at(b, s)[j];
    }
  });
}

/// Gradients of `linear_attention_forward`: `dq_n = c_n sum over s of k_s (v_s . dout_n)`, `dk_s += c_n q_n (v_s . dout_n)`,
/// `dv_s += c_n (k_s . q_n) dout_n`. dq (N, H, d_k) is overwritten; the heads of `dheads` (H), laid out as those of `heads`,
/// accumulate dk and dv. dout (N, H, d_v); q, heads, sequences, scale, norm as forward.
template <class T>
void linear_attention_backward(View<T> dq, View<const HeadPair<std::type_identity_t<T>>> dheads, ConstView<T> dout,
                               ConstView<T> q, View<const HeadPair<const std::type_identity_t<T>>> heads,
                               const Sequences<Cpu>& sequences, double scale, LinearNorm norm) {
  const std::size_t d_k = q.extent(2), d_v = dout.extent(2);
  std::fill_n(dq.data(), dq.size(), T(0));
  for_each_query(sequences, q.extent(1), [&](std::size_t b, std::size_t n, std::size_t h, std::size_t seen) {
    const T c = static_cast<T>(linear_factor(seen, scale, norm));
    const Head<const T> k = heads(h).key, v = heads(h).value;
    for (std::size_t s = 0; v.data && s < seen; ++s) {
      const T a = c * dot(&q(n, h, 0u), k.at(b, s), d_k);
      const T da = c * dot(v.at(b, s), &dout(n, h, 0u), d_v);
      for (std::size_t j = 0; j < d_v; ++j) dheads(h).value.at(b, s)[j] += a * dout(n, h, j);
      for (std::size_t i = 0; i < d_k; ++i) {
        dq(n, h, i) += da * k.at(b, s)[i];
        dheads(h).key.at(b, s)[i] += da * q(n, h, i);
      }
    }
  });
}

}  // namespace reference

namespace detail {

/// `state += x y^T`; x (d_k), y (d_v), state (d_k, d_v).
template <class T>
void add_outer(T* state, const T* x, std::size_t d_k, const T* y, std::size_t d_v) {
  for (std::size_t i = 0; i < d_k; ++i)
    for (std::size_t j = 0; j < d_v; ++j) state[i * d_v + j] += x[i] * y[j];
}

/// `x += factor state y`; shapes as above.
template <class T>
void add_state_times(T* x, T factor, const T* state, std::size_t d_k, const T* y, std::size_t d_v) {
  for (std::size_t i = 0; i < d_k; ++i) {
    T sum(0);
    for (std::size_t j = 0; j < d_v; ++j) sum += state[i * d_v + j] * y[j];
    x[i] += factor * sum;
  }
}

/// `y += factor state^T x`; shapes as above.
template <class T>
void add_transposed_state_times(T* y, T factor, const T* state, std::size_t d_k, const T* x, std::size_t d_v) {
  for (std::size_t i = 0; i < d_k; ++i)
    for (std::size_t j = 0; j < d_v; ++j) y[j] += factor * x[i] * state[i * d_v + j];
}

/// Rows of one sequence: row `begin + i` sees keys `0 … past + i`.
struct LinearRows {
  std::size_t begin, count, past;

  LinearRows(const Sequences<Cpu>& sequences, std::size_t b)
      : begin(static_cast<std::size_t>(sequences.row_begin(b))),
        count(static_cast<std::size_t>(sequences.row_begin(b + 1)) - begin),
        past(static_cast<std::size_t>(sequences.past(b))) {}

  template <class T>
  T factor(std::size_t key, double scale, LinearNorm norm) const {
    return static_cast<T>(reference::linear_factor(key + 1, scale, norm));
  }
};

}  // namespace detail

/// As `reference::linear_attention_forward` in O(T): the state `S = sum over s of k_s v_s^T` (d_k, d_v) is carried from position
/// to position. 4 d_k d_v operations per position and head, on a state that stays in L1: compute bounds it.
template <class T>
void linear_attention_forward(View<T, Cpu> out, ConstView<T, Cpu> q, const RoutedHeads<std::type_identity_t<T>>& heads,
                              const Sequences<Cpu>& sequences, double scale, LinearNorm norm) {
  const std::size_t h_count = q.extent(1), d_k = q.extent(2), d_v = out.extent(2);
  detail::require_routed("linear_attention_forward", q, out, heads);
  require_sequences("linear_attention_forward", sequences, q.extent(0));
  parallel_for(sequences.batch() * h_count, [&](std::size_t task) {
    const std::size_t b = task / h_count, h = task % h_count;
    const detail::LinearRows rows(sequences, b);
    std::vector<T> state(d_k * d_v, T(0));
    for (std::size_t s = 0; s < rows.past + rows.count; ++s) {
      if (heads(h).value.data) detail::add_outer(state.data(), heads(h).key.at(b, s), d_k, heads(h).value.at(b, s), d_v);
      if (s < rows.past) continue;
      const std::size_t at = (rows.begin + s - rows.past) * h_count + h;
      T* o = out.data() + at * d_v;
      std::fill_n(o, d_v, T(0));
      detail::add_transposed_state_times(o, rows.factor<T>(s, scale, norm), state.data(), d_k, q.data() + at * d_k, d_v);
    }
  });
}

/// As `reference::linear_attention_backward` in O(T), but that a head's first writer overwrites where its reader says so
/// (`WriteMode`): `dq_n = c_n S_n dout_n`; with `U_s = sum over rows n that see s of c_n q_n dout_n^T`: `dk_s = U_s v_s`, `dv_s =
/// U_s^T k_s`.
template <class T>
void linear_attention_backward(View<T, Cpu> dq, View<const HeadPair<std::type_identity_t<T>>, Cpu> dheads, ConstView<T, Cpu> dout,
                               ConstView<T, Cpu> q, const RoutedHeads<std::type_identity_t<T>>& heads,
                               const Sequences<Cpu>& sequences, double scale, LinearNorm norm) {
  heads.require_readers("linear_attention_backward");
  detail::require_routed("linear_attention_backward", q, dout, heads);
  require_fit(dq.shape() == q.shape() && dheads.size() == heads.size(), "linear_attention_backward", "dq q dheads",
              "dq, q (N, H, d_k), dheads (H)", dq, q, dheads);
  require_sequences("linear_attention_backward", sequences, q.extent(0));
  const std::size_t h_count = q.extent(1), d_k = q.extent(2), d_v = dout.extent(2);
  const auto groups = detail::independent_heads(heads.readers);
  parallel_for(sequences.batch() * groups.size(), [&](std::size_t task) {
    const std::size_t b = task / groups.size();
    const detail::LinearRows rows(sequences, b);
    const std::vector<std::size_t>& group = groups[task % groups.size()];
    detail::clear_overwritten<T>(group, dheads, heads, sequences, b, d_k, d_v);
    for (std::size_t h : group) {
      const HeadPair<const T>& head = heads(h);
      std::vector<T> state(d_k * d_v, T(0)), scaled(d_k);
      for (std::size_t s = 0; s < rows.past + rows.count; ++s) {
        if (head.value.data) detail::add_outer(state.data(), head.key.at(b, s), d_k, head.value.at(b, s), d_v);
        if (s < rows.past) continue;
        const std::size_t at = (rows.begin + s - rows.past) * h_count + h;
        T* out = dq.data() + at * d_k;
        std::fill_n(out, d_k, T(0));
        detail::add_state_times(out, rows.factor<T>(s, scale, norm), state.data(), d_k, dout.data() + at * d_v, d_v);
      }
      if (!head.value.data) continue;
      std::fill(state.begin(), state.end(), T(0));  // now U
      for (std::size_t s = rows.past + rows.count; s-- > 0;) {
        if (s >= rows.past) {
          const std::size_t at = (rows.begin + s - rows.past) * h_count + h;
          const T factor = rows.factor<T>(s, scale, norm);
          for (std::size_t i = 0; i < d_k; ++i) scaled[i] = factor * q.data()[at * d_k + i];
          detail::add_outer(state.data(), scaled.data(), d_k, dout.data() + at * d_v, d_v);
        }
        detail::add_state_times(dheads(h).key.at(b, s), T(1), state.data(), d_k, head.value.at(b, s), d_v);
        detail::add_transposed_state_times(dheads(h).value.at(b, s), T(1), state.data(), d_k, head.key.at(b, s), d_v);
      }
    }
  });
}

}  // namespace skipv1
