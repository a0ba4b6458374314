// Softmax cross-entropy with ignored targets (docs/spec/models.md, "Loss").
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "skipv1/core/parallel.hpp"
#include "skipv1/core/simd.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1 {

inline constexpr std::int32_t ignored_target = -1;

namespace reference {

/// `loss_n = -log softmax(logits_n)[target_n]`, `dlogits = scale (softmax(logits) - onehot(target))`; both zero for an ignored
/// target. loss (N), dlogits, logits (N, V), targets (N) in `-1 … V - 1`.
template <class T>
void cross_entropy(View<T> loss, View<T> dlogits, ConstView<T> logits, View<const std::int32_t> targets, double scale) {
  const std::size_t N = logits.extent(0), V = logits.extent(1);
  for (std::size_t n = 0; n < N; ++n) {
    T row_max = logits(n, 0u), row_sum(0);
    for (std::size_t v = 0; v < V; ++v) row_max = std::max(row_max, logits(n, v));
    for (std::size_t v = 0; v < V; ++v) row_sum += std::exp(logits(n, v) - row_max);
    const bool ignored = targets(n) == ignored_target;
    const std::size_t target = ignored ? 0 : static_cast<std::size_t>(targets(n));
    loss(n) = ignored ? T(0) : std::log(row_sum) + (row_max - logits(n, target));
    for (std::size_t v = 0; v < V; ++v) {
      const T p = std::exp(logits(n, v) - row_max) / row_sum;
      dlogits(n, v) = ignored ? T(0) : static_cast<T>(scale) * (p - T(v == target));
    }
  }
}

}  // namespace reference

/// As `reference::cross_entropy`; dlogits may be empty, or logits. Exponentials bound it: 2 per logit with dlogits, else 1.
template <class T>
void cross_entropy(View<T, Cpu> loss, View<T, Cpu> dlogits, ConstView<T, Cpu> logits, View<const std::int32_t, Cpu> targets,
                   double scale) {
  require_fit(loss.size() == logits.rows() && targets.size() == logits.rows() && (dlogits.empty() || same_rows(dlogits, logits)),
              "cross_entropy", "loss dlogits logits targets", "loss (N), dlogits (N, V) or none, logits (N, V), targets (N)",
              loss, dlogits, logits, targets);
  require_indices("cross_entropy: targets", targets, ignored_target, logits.width());
  const std::size_t vocab = logits.width();
  parallel_ranges(logits.rows(), 8, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n) {
      const T* in = logits.data() + n * vocab;
      T* out = dlogits.empty() ? nullptr : dlogits.data() + n * vocab;
      if (targets(n) == ignored_target) {
        loss.data()[n] = T(0);
        if (out) std::fill_n(out, vocab, T(0));
        continue;
      }
      const auto target = static_cast<std::size_t>(targets(n));
      const T row_max = largest_of(vocab, in), at_target = in[target];
      T row_sum(0);
      if (out) {
        if (out != in) std::copy_n(in, vocab, out);
        row_sum = exp_and_sum(vocab, out, T(1), row_max);
        const T factor = static_cast<T>(scale) / row_sum;
        for (std::size_t v = 0; v < vocab; ++v) out[v] *= factor;
        out[target] -= static_cast<T>(scale);
      } else {
        row_sum = sum_of_exp(vocab, in, row_max);
      }
      loss.data()[n] = std::log(row_sum) + (row_max - at_target);  // in this order large logits cancel exactly
    }
  });
}

/// `sum[0] = sum over n of loss[n]`, accumulated in double. sum (1), loss (N).
template <class T>
void total_loss(View<double, Cpu> sum, ConstView<T, Cpu> loss) {
  require_fit(sum.size() == 1, "total_loss", "sum loss", "sum (1), loss (N)", sum, loss);
  double all = 0;
  for (std::size_t n = 0; n < loss.size(); ++n) all += static_cast<double>(loss.data()[n]);
  sum.data()[0] = all;
}

}  // namespace skipv1
