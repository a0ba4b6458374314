// AdamW on the device, all parameters in one launch: see adamw.hpp.
#pragma once

#include "skipv1/ops/adamw.hpp"
#include "skipv1/ops/total.cuh"

namespace skipv1 {

namespace detail {

/// The step's numbers, as in adamw.hpp.
template <class S>
struct AdamWStep {
  S b1, b2, epsilon, scale, rate, root, decay;
};

/// One thread, V parameters; V = 1 is the first kernel. Memory bounds it: for float 7 numbers, 28 bytes, a parameter.
template <class T, std::size_t V>
SKIPV1_KERNEL adamw_kernel(T* parameters, Sum<T>* m, Sum<T>* v, const T* gradients, std::size_t n, std::size_t decayed,
                           AdamWStep<Sum<T>> s) {
  using S = Sum<T>;
  const std::size_t i = global_thread() * V;
  if (i >= n) return;
  Vector<T, V> p = load_vector<V>(parameters + i);
  Vector<S, V> mi = load_vector<V>(m + i), vi = load_vector<V>(v + i);
  const Vector<T, V> gradient = load_vector<V>(gradients + i);
  for (std::size_t j = 0; j < V; ++j) {
    const S g = s.scale * static_cast<S>(gradient[j]), pj = static_cast<S>(p[j]);
    mi[j] = s.b1 * mi[j] + (S(1) - s.b1) * g;
    vi[j] = s.b2 * vi[j] + (S(1) - s.b2) * g * g;
    const S shrink = i + j < decayed ? s.decay * pj : S(0);
    p[j] = static_cast<T>(pj - (s.rate * mi[j] / (std::sqrt(vi[j]) * s.root + s.epsilon) + shrink));
  }
  store_vector(parameters + i, p);
  store_vector(m + i, mi);
  store_vector(v + i, vi);
}

template <class T>
struct Square {
  const T* x;
  SKIPV1_DEVICE_MEMBER double operator()(std::size_t, std::size_t i) const {
    return static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
};

}  // namespace detail

/// As on the CPU; the moments are Sum<T>.
template <class T>
void adamw(View<T, Cuda> parameters, View<Sum<T>, Cuda> m, View<Sum<T>, Cuda> v, ConstView<T, Cuda> gradients, const AdamW& s,
           std::size_t step, std::size_t decayed, double gradient_scale, Version version = Version::fast) {
  using S = Sum<T>;
  constexpr std::size_t V = per_16_bytes<S>;
  const std::size_t n = parameters.size();
  const double c1 = 1 - std::pow(s.beta1, static_cast<double>(step)), c2 = 1 - std::pow(s.beta2, static_cast<double>(step));
  const detail::AdamWStep<S> numbers{static_cast<S>(s.beta1),
                                     static_cast<S>(s.beta2),
                                     static_cast<S>(s.epsilon),
                                     static_cast<S>(gradient_scale),
                                     static_cast<S>(s.learning_rate / c1),
                                     static_cast<S>(1 / std::sqrt(c2)),
                                     static_cast<S>(s.learning_rate * s.weight_decay)};
  const bool wide = version == Version::fast && n % V == 0 && reads_16_bytes(n, m.data(), v.data()) &&
                    reads_16_bytes(0, parameters.data(), gradients.data());
  const auto kernel = wide ? detail::adamw_kernel<T, V> : detail::adamw_kernel<T, 1>;
  launch(one_thread_each("adamw", wide ? n / V : n), kernel, parameters.data(), m.data(), v.data(), gradients.data(), n, decayed,
         numbers);
}

/// As on the CPU. Waits for the device.
template <class T>
double norm(View<T, Cuda> x) {
  static thread_local Tensor<double, Cuda> sum({1});
  zero<double>(sum);
  detail::total<double>("norm", sum.data(), 1, x.size(), detail::Square<std::remove_const_t<T>>{x.data()});
  return std::sqrt(to_host<double>(sum).data()[0]);
}

}  // namespace skipv1
