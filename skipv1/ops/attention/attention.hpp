// The one attention: causal softmax attention whose query heads read key and value heads wherever they lie (the paper's section
// 3; docs/spec/models.md, "Head routing"). Nothing is concatenated, and no (B, H, T, T) tensor exists: each row's log-sum-exp is
// kept, and the backward pass recomputes probabilities from it (Dao et al. 2022, FlashAttention, algorithms 1 and 4).
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "skipv1/core/uninitialized.hpp"
#include "skipv1/core/blas.hpp"
#include "skipv1/ops/head.hpp"
#include "skipv1/core/simd.hpp"
#include "skipv1/ops/attention/decode.hpp"

namespace skipv1 {

namespace detail {

constexpr std::size_t attention_rows = 64;  ///< queries of one block: their scores against all keys fit the L2 cache

/// One block of queries of one head: where its rows are, and how many keys it sees.
struct AttentionBlock {
  std::size_t row, rows, keys;  ///< first row n, number of rows, keys of the last of them

  std::size_t keys_of(std::size_t i) const { return keys - (rows - 1 - i); }
};

/// Calls `f(block)` for the blocks of sequence b, in order.
template <class F>
void for_each_block(const Sequences<Cpu>& sequences, std::size_t b, const F& f) {
  const auto at = [](View<const std::int32_t, Cpu> v, std::size_t i) { return static_cast<std::size_t>(v(i)); };
  const std::size_t begin = at(sequences.row_begin, b), end = at(sequences.row_begin, b + 1), past = at(sequences.past, b);
  for (std::size_t row = begin; row < end; row += attention_rows) {
    const std::size_t rows = std::min(attention_rows, end - row);
    f(AttentionBlock{row, rows, past + (row - begin) + rows});
  }
}

/// Query heads that read a common key or value head, in a chain too, in order; their gradients go to that head, so one task does
/// them all.
inline std::vector<std::vector<std::size_t>> independent_heads(View<const HeadReader> readers) {
  std::vector<std::size_t> group(readers.size());
  for (std::size_t h = 0; h < group.size(); ++h) {
    group[h] = h;
    for (const std::size_t first : {readers(h).key_first, readers(h).value_first}) {
      if (first == HeadReader::none || group[first] == group[h]) continue;
      const std::size_t low = std::min(group[first], group[h]), high = std::max(group[first], group[h]);
      for (std::size_t other = 0; other <= h; ++other)
        if (group[other] == high) group[other] = low;
    }
  }
  std::size_t groups = 0;
  std::vector<std::size_t> number(group.size());  // of the group whose first head is h
  for (std::size_t h = 0; h < group.size(); ++h)
    if (group[h] == h) number[h] = groups++;
  std::vector<std::vector<std::size_t>> heads_of(groups);
  for (std::size_t h = 0; h < group.size(); ++h) heads_of[number[group[h]]].push_back(h);
  return heads_of;
}

/// Zeroes those gradients, of sequence b, that query heads of `group` overwrite: its new rows accumulate onto zeros then.
template <class T>
void clear_overwritten(const std::vector<std::size_t>& group, View<const HeadPair<T>, Cpu> dheads, const RoutedHeads<T>& heads,
                       const Sequences<Cpu>& sequences, std::size_t b, std::size_t key_width, std::size_t value_width) {
  const std::int32_t rows = sequences.row_begin(b + 1) - sequences.row_begin(b);
  const auto keys = static_cast<std::size_t>(sequences.past(b) + rows);
  const auto clear = [&](const Head<T>& head, std::size_t width) {
    for (std::size_t s = 0; rows > 0 && s < keys; ++s) std::fill_n(head.at(b, s), width, T(0));
  };
  for (std::size_t h : group) {
    const HeadReader& reader = heads.readers(h);
    if (reader.key_first == h && reader.key == WriteMode::overwrite) clear(dheads(h).key, key_width);
    if (reader.value_first == h && reader.value == WriteMode::overwrite) clear(dheads(h).value, value_width);
  }
}

/// Dimensions of a call: H heads, query and key width, value width; row strides of (N, H, width) tensors follow from them.
struct AttentionWidths {
  std::size_t heads, key, value;
};

/// Throws unless q (N, H, d_k) and out (N, H, d_v) fit the routed heads, each of which has a key where it has a value.
template <class T>
void require_routed(const char* who, ConstView<T, Cpu> q, ConstView<T, Cpu> out, const RoutedHeads<T>& heads) {
  require_fit(q.shape().rank() == 3 && out.shape().rank() == 3 && out.extent(0) == q.extent(0) && out.extent(1) == q.extent(1) &&
                  heads.size() == q.extent(1),
              who, "q out heads", "q (N, H, d_k), out (N, H, d_v), heads (H)", q, out, heads.pairs);
  for (std::size_t h = 0; h < heads.size(); ++h)
    require(heads(h).key.data || !heads(h).value.data, who, ": query head ", h, " reads a value head without a key head");
}

template <class T>
void attention_forward_block(T* out, T* lse, const T* q, const Head<const T>& key, const Head<const T>& value, std::size_t b,
                             const AttentionBlock& block, const AttentionWidths& width, T scale, T* scores) {
  const std::size_t keys = block.keys;
  gemm(Transpose::no, Transpose::yes, block.rows, keys, width.key, T(1), q, width.heads * width.key, key.at(b, 0), key.row_stride,
       T(0), scores, keys);
  for (std::size_t i = 0; i < block.rows; ++i) {
    T* row = scores + i * keys;
    const std::size_t seen = block.keys_of(i);
    const T most = largest_of(seen, row, scale);
    const T sum = exp_and_sum(seen, row, scale, most);
    for (std::size_t j = 0; j < seen; ++j) row[j] /= sum;
    std::fill(row + seen, row + keys, T(0));
    lse[i * width.heads] = most + std::log(sum);
  }
  gemm(Transpose::no, Transpose::no, block.rows, width.value, keys, T(1), scores, keys, value.at(b, 0), value.row_stride, T(0),
       out, width.heads * width.value);
}

}  // namespace detail

/// `out[n, h] = sum over s of p_s v_s`, `p = softmax over s of scale q[n, h] . k_s`, keys and values of the heads that `heads[h]`
/// names, `s` over the positions that row n sees (`Sequences`). A query head whose value has no data gives zero.
/// out (N, H, d_v), lse (N, H): log of the softmax's denominator, q (N, H, d_k), heads (H), key rows d_k and value rows d_v wide.
template <class T>
void attention_forward(View<T, Cpu> out, View<T, Cpu> lse, ConstView<T, Cpu> q, const RoutedHeads<std::type_identity_t<T>>& heads,
                       const Sequences<Cpu>& sequences, double scale) {
  const detail::AttentionWidths width{q.extent(1), q.extent(2), out.extent(2)};
  detail::require_routed("attention_forward", q, out, heads);
  require_fit(lse.size() == q.extent(0) * q.extent(1), "attention_forward", "lse q", "lse (N, H), q (N, H, d_k)", lse, q);
  require_sequences("attention_forward", sequences, q.extent(0));
  if (sequences.max_rows <= 1) return detail::attention_decode<T>(out, lse, q, heads.pairs, sequences, static_cast<T>(scale));
  parallel_for(sequences.batch() * width.heads, [&](std::size_t task) {
    const std::size_t b = task / width.heads, h = task % width.heads;
    const auto scores = uninitialized<T>(std::min(detail::attention_rows, sequences.max_rows) * sequences.max_keys);
    detail::for_each_block(sequences, b, [&](const detail::AttentionBlock& block) {
      T* o = out.data() + (block.row * width.heads + h) * width.value;
      T* log_sum = lse.data() + block.row * width.heads + h;
      if (!heads(h).value.data) {
        for (std::size_t i = 0; i < block.rows; ++i) {
          std::fill_n(o + i * width.heads * width.value, width.value, T(0));
          log_sum[i * width.heads] = T(0);
        }
        return;
      }
      detail::attention_forward_block(o, log_sum, q.data() + (block.row * width.heads + h) * width.key, heads(h).key,
                                      heads(h).value, b, block, width, static_cast<T>(scale), scores.get());
    });
  });
}

namespace detail {

/// Pointers of one query head's block in the backward pass.
template <class T>
struct AttentionBackward {
  T* dq;
  const T *dout, *out, *lse, *q;
  Head<const T> key, value;
  Head<T> dkey, dvalue;
};

template <class T>
void attention_backward_block(const AttentionBackward<T>& a, std::size_t b, const AttentionBlock& block,
                              const AttentionWidths& width, T scale, T* p, T* dp) {
  const std::size_t keys = block.keys, q_stride = width.heads * width.key, v_stride = width.heads * width.value;
  gemm(Transpose::no, Transpose::yes, block.rows, keys, width.key, T(1), a.q, q_stride, a.key.at(b, 0), a.key.row_stride, T(0), p,
       keys);
  gemm(Transpose::no, Transpose::yes, block.rows, keys, width.value, T(1), a.dout, v_stride, a.value.at(b, 0), a.value.row_stride,
       T(0), dp, keys);
  for (std::size_t i = 0; i < block.rows; ++i) {
    const std::size_t seen = block.keys_of(i);
    const T log_sum = a.lse[i * width.heads];
    T *pi = p + i * keys, *di = dp + i * keys;
    transform(
        seen, pi, [=](auto s) { return exp(scale * s - log_sum); }, pi);
    T dot(0);  // sum over s of p_s dp_s, which is dout . out
    for (std::size_t j = 0; j < width.value; ++j) dot += a.dout[i * v_stride + j] * a.out[i * v_stride + j];
    for (std::size_t j = 0; j < seen; ++j) di[j] = scale * pi[j] * (di[j] - dot);
    std::fill(pi + seen, pi + keys, T(0));
    std::fill(di + seen, di + keys, T(0));
  }
  gemm(Transpose::yes, Transpose::no, keys, width.value, block.rows, T(1), p, keys, a.dout, v_stride, T(1), a.dvalue.at(b, 0),
       a.dvalue.row_stride);
  gemm(Transpose::yes, Transpose::no, keys, width.key, block.rows, T(1), dp, keys, a.q, q_stride, T(1), a.dkey.at(b, 0),
       a.dkey.row_stride);
  gemm(Transpose::no, Transpose::no, block.rows, width.key, keys, T(1), dp, keys, a.key.at(b, 0), a.key.row_stride, T(0), a.dq,
       q_stride);
}

}  // namespace detail

/// Gradients of `attention_forward`. Overwrites dq (N, H, d_k). Accumulates dk and dv into the heads of `dheads` (H), which are
/// laid out as those of `heads`; where `heads.readers` says overwrite, they replace what stands at all keys of sequences that
/// have new rows. Throws without readers. dout, out (N, H, d_v), lse (N, H), q, heads, scale as forward.
template <class T>
void attention_backward(View<T, Cpu> dq, View<const HeadPair<std::type_identity_t<T>>, Cpu> dheads, ConstView<T, Cpu> dout,
                        ConstView<T, Cpu> out, ConstView<T, Cpu> lse, ConstView<T, Cpu> q,
                        const RoutedHeads<std::type_identity_t<T>>& heads, const Sequences<Cpu>& sequences, double scale) {
  const detail::AttentionWidths width{q.extent(1), q.extent(2), out.extent(2)};
  heads.require_readers("attention_backward");
  detail::require_routed("attention_backward", q, out, heads);
  require_fit(dq.shape() == q.shape() && dout.shape() == out.shape() && lse.size() == q.extent(0) * q.extent(1) &&
                  dheads.size() == heads.size(),
              "attention_backward", "dq q dout out lse dheads",
              "dq, q (N, H, d_k), dout, out (N, H, d_v), lse (N, H), dheads (H)", dq, q, dout, out, lse, dheads);
  require_sequences("attention_backward", sequences, q.extent(0));
  const auto groups = detail::independent_heads(heads.readers);
  parallel_for(sequences.batch() * groups.size(), [&](std::size_t task) {
    const std::size_t b = task / groups.size();
    const std::size_t size = std::min(detail::attention_rows, sequences.max_rows) * sequences.max_keys;
    const auto p = uninitialized<T>(size), dp = uninitialized<T>(size);
    const std::vector<std::size_t>& group = groups[task % groups.size()];
    detail::clear_overwritten<T>(group, dheads, heads, sequences, b, width.key, width.value);
    for (std::size_t h : group) {
      detail::for_each_block(sequences, b, [&](const detail::AttentionBlock& block) {
        const std::size_t at = block.row * width.heads + h;
        if (!heads(h).value.data) {
          for (std::size_t i = 0; i < block.rows; ++i)
            std::fill_n(dq.data() + (at + i * width.heads) * width.key, width.key, T(0));
          return;
        }
        const detail::AttentionBackward<T> pointers{dq.data() + at * width.key,
                                                    dout.data() + at * width.value,
                                                    out.data() + at * width.value,
                                                    lse.data() + at,
                                                    q.data() + at * width.key,
                                                    heads(h).key,
                                                    heads(h).value,
                                                    dheads(h).key,
                                                    dheads(h).value};
        detail::attention_backward_block(pointers, b, block, width, static_cast<T>(scale), p.get(), dp.get());
      });
    }
  });
}

}  // namespace skipv1
