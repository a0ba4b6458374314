// AdamW (Loshchilov and Hutter 2019) and the gradient norm that clipping needs, over all parameters at once.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "skipv1/core/parallel.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1 {

/// AdamW's settings; the defaults are the paper's.
struct AdamW {
  double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0.1;
};

/// One step, `step = 1, 2, …`: with `g = gradient_scale * gradients`, `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`,
/// `p -= lr (m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + epsilon) + weight_decay p)`; only the first `decayed` parameters
/// decay. All of one length.
template <class T>
void adamw(View<T, Cpu> parameters, View<T, Cpu> m, View<T, Cpu> v, ConstView<T, Cpu> gradients, const AdamW& s, std::size_t step,
           std::size_t decayed, double gradient_scale) {
  const double c1 = 1 - std::pow(s.beta1, static_cast<double>(step)), c2 = 1 - std::pow(s.beta2, static_cast<double>(step));
  const T b1 = static_cast<T>(s.beta1), b2 = static_cast<T>(s.beta2), e = static_cast<T>(s.epsilon), scale = static_cast<T>(gradient_scale);
  const T rate = static_cast<T>(s.learning_rate / c1), root = static_cast<T>(1 / std::sqrt(c2));
  const T decay = static_cast<T>(s.learning_rate * s.weight_decay);
  parallel_ranges(parameters.size(), 1 << 15, [&](std::size_t begin, std::size_t end) {
    T *p = parameters.data(), *mi = m.data(), *vi = v.data();
    const T* gradient = gradients.data();
    for (std::size_t i = begin; i < end; ++i) {
      const T g = scale * gradient[i];
      mi[i] = b1 * mi[i] + (T(1) - b1) * g;
      vi[i] = b2 * vi[i] + (T(1) - b2) * g * g;
      const T shrink = i < decayed ? decay * p[i] : T(0);
      p[i] -= rate * mi[i] / (std::sqrt(vi[i]) * root + e) + shrink;
    }
  });
}

/// The Euclidean norm of x, summed in double.
template <class T>
double norm(View<T, Cpu> x) {
  constexpr std::size_t grain = 1 << 15;
  std::vector<double> parts((x.size() + grain - 1) / grain);
  parallel_ranges(x.size(), grain, [&](std::size_t begin, std::size_t end) {
    double sum = 0;
    for (std::size_t i = begin; i < end; ++i) sum += static_cast<double>(x.data()[i]) * static_cast<double>(x.data()[i]);
    parts[begin / grain] = sum;
  });
  double sum = 0;
  for (double part : parts) sum += part;
  return std::sqrt(sum);
}

/// The factor that clips gradients of norm `gradient_norm` to `limit` (none where `limit <= 0`); to be given to `adamw`.
inline double clip_scale(double gradient_norm, double limit) {
  return limit > 0 && gradient_norm > limit ? limit / gradient_norm : 1.0;
}

}  // namespace skipv1
