// AdamW (Loshchilov and Hutter 2019) and the gradient norm that clipping needs, over all parameters at once.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "skipv1/core/bfloat16.hpp"
#include "skipv1/core/parallel.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1 {

/// AdamW's settings; the defaults are the paper's.
struct AdamW {
  double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0.1;
};

namespace detail {
/// A step's numbers, for parameters kept in `S`.
template <class S>
struct AdamWStep {
  S b1, b2, epsilon, scale, rate, root, decay;

  AdamWStep(const AdamW& s, std::size_t step, double gradient_scale)
      : b1(static_cast<S>(s.beta1)),
        b2(static_cast<S>(s.beta2)),
        epsilon(static_cast<S>(s.epsilon)),
        scale(static_cast<S>(gradient_scale)),
        rate(static_cast<S>(s.learning_rate / (1 - std::pow(s.beta1, static_cast<double>(step))))),
        root(static_cast<S>(1 / std::sqrt(1 - std::pow(s.beta2, static_cast<double>(step))))),
        decay(static_cast<S>(s.learning_rate * s.weight_decay)) {
    require(step > 0, "adamw: step 0: steps are counted from 1");
  }
};
}  // namespace detail

namespace reference {

/// Step `t = 1, 2, …` of every parameter p with gradient g (Loshchilov and Hutter 2019, algorithm 2):
///
///   g = gradient_scale gradient
///   m = beta1 m + (1 - beta1) g,    m_hat = m / (1 - beta1^t)
///   v = beta2 v + (1 - beta2) g^2,  v_hat = v / (1 - beta2^t)
///   p -= learning_rate (m_hat / (sqrt(v_hat) + epsilon) + weight_decay p)
///
/// Only the first `decayed` parameters decay. parameters, m, v, gradients (n).
template <class T>
void adamw(View<T> parameters, View<T> m, View<T> v, ConstView<T> gradients, const AdamW& s, std::size_t step,
           std::size_t decayed, double gradient_scale) {
  const double t = static_cast<double>(step);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const double g = gradient_scale * static_cast<double>(gradients(i)), p = static_cast<double>(parameters(i));
    m(i) = static_cast<T>(s.beta1 * static_cast<double>(m(i)) + (1 - s.beta1) * g);
    v(i) = static_cast<T>(s.beta2 * static_cast<double>(v(i)) + (1 - s.beta2) * g * g);
    const double m_hat = static_cast<double>(m(i)) / (1 - std::pow(s.beta1, t));
    const double v_hat = static_cast<double>(v(i)) / (1 - std::pow(s.beta2, t));
    const double decay = i < decayed ? s.weight_decay * p : 0;
    parameters(i) = static_cast<T>(p - s.learning_rate * (m_hat / (std::sqrt(v_hat) + s.epsilon) + decay));
  }
}

/// `sqrt(sum of x^2)`.
template <class T>
double norm(View<T> x) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += static_cast<double>(x.data()[i]) * static_cast<double>(x.data()[i]);
  return std::sqrt(sum);
}

}  // namespace reference

/// As `reference::adamw`. For bfloat16 the parameters are kept in float, `master`, and `parameters` are `master` rounded;
/// otherwise `master` is `parameters`. Memory bounds it: 4 numbers read and 3 written per parameter for about 14 operations.
template <class T>
void adamw(View<T, Cpu> parameters, View<Sum<T>, Cpu> master, View<Sum<T>, Cpu> m, View<Sum<T>, Cpu> v,
           ConstView<T, Cpu> gradients, const AdamW& s, std::size_t step, std::size_t decayed, double gradient_scale) {
  require_fit(master.size() == parameters.size() && m.size() == parameters.size() && v.size() == parameters.size() &&
                  gradients.size() == parameters.size() && decayed <= parameters.size(),
              "adamw", "parameters master m v gradients", "parameters, master, m, v, gradients (n)", parameters, master, m, v,
              gradients);
  using S = Sum<T>;
  const detail::AdamWStep<S> numbers(s, step, gradient_scale);
  parallel_ranges(parameters.size(), 1 << 15, [&](std::size_t begin, std::size_t end) {
    T* rounded = parameters.data();
    S *p = master.data(), *mi = m.data(), *vi = v.data();
    const T* gradient = gradients.data();
    for (std::size_t i = begin; i < end; ++i) {
      const S g = numbers.scale * static_cast<S>(gradient[i]);
      mi[i] = numbers.b1 * mi[i] + (S(1) - numbers.b1) * g;
      vi[i] = numbers.b2 * vi[i] + (S(1) - numbers.b2) * g * g;
      const S shrink = i < decayed ? numbers.decay * p[i] : S(0);
      p[i] -= numbers.rate * mi[i] / (std::sqrt(vi[i]) * numbers.root + numbers.epsilon) + shrink;
      if constexpr (!std::is_same_v<S, T>) rounded[i] = static_cast<T>(p[i]);
    }
  });
}
/// Without master weights.
template <class T>
void adamw(View<T, Cpu> parameters, View<T, Cpu> m, View<T, Cpu> v, ConstView<T, Cpu> gradients, const AdamW& s, std::size_t step,
           std::size_t decayed, double gradient_scale) {
  adamw<T>(parameters, parameters, m, v, gradients, s, step, decayed, gradient_scale);
}

/// The Euclidean norm of x, summed in double; the same bits for any number of threads.
template <class T>
double norm(View<T, Cpu> x) {
  constexpr std::size_t grain = 1 << 15;
  std::vector<double> parts((x.size() + grain - 1) / grain);
  parallel_ranges(x.size(), grain, [&](std::size_t begin, std::size_t end) {
    double lanes[8] = {};  // one sum alone would wait for each addition
    for (std::size_t i = begin; i < end; ++i) lanes[i % 8] += static_cast<double>(x.data()[i]) * static_cast<double>(x.data()[i]);
    parts[begin / grain] = std::accumulate(lanes, lanes + 8, 0.0);
  });
  double sum = 0;
  for (double part : parts) sum += part;
  return std::sqrt(sum);
}

/// The factor that clips gradients of norm `gradient_norm` to `limit` (none where `limit <= 0`); to be given to `adamw`.
constexpr double clip_scale(double gradient_norm, double limit) {
  return limit > 0 && gradient_norm > limit ? limit / gradient_norm : 1.0;
}

}  // namespace skipv1
