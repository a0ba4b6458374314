// AdamW on the device, all parameters in one launch: see adamw.hpp.
#pragma once

#include "skipv1/ops/adamw.hpp"
#include "skipv1/ops/total.cuh"

namespace skipv1 {

namespace detail {

/// One thread, V parameters; V = 1 is the first kernel. Memory bounds it: for float 7 numbers, 28 bytes, a parameter; for bfloat16 with its
/// copy in float (`master`) 28 too.
template <class T, std::size_t V>
SKIPV1_KERNEL adamw_kernel(T* parameters, Sum<T>* master, Sum<T>* m, Sum<T>* v, const T* gradients, std::size_t n, std::size_t decayed,
                           AdamWStep<Sum<T>> s) {
  using S = Sum<T>;
  const std::size_t i = global_thread() * V;
  if (i >= n) return;
  Vector<T, V> p = load_vector<V>(parameters + i);
  Vector<S, V> mi = load_vector<V>(m + i), vi = load_vector<V>(v + i), kept = {};
  if (master) kept = load_vector<V>(master + i);
  const Vector<T, V> gradient = load_vector<V>(gradients + i);
  for (std::size_t j = 0; j < V; ++j) {
    const S g = s.scale * static_cast<S>(gradient[j]), pj = master ? kept[j] : static_cast<S>(p[j]);
    mi[j] = s.b1 * mi[j] + (S(1) - s.b1) * g;
    vi[j] = s.b2 * vi[j] + (S(1) - s.b2) * g * g;
    const S shrink = i + j < decayed ? s.decay * pj : S(0);
    kept[j] = pj - (s.rate * mi[j] / (std::sqrt(vi[j]) * s.root + s.epsilon) + shrink);
    p[j] = static_cast<T>(kept[j]);
  }
  if (master) store_vector(master + i, kept);
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

/// As on the CPU; without a `master` the parameters are kept as they are.
template <class T>
void adamw(View<T, Cuda> parameters, View<Sum<T>, Cuda> master, View<Sum<T>, Cuda> m, View<Sum<T>, Cuda> v,
           ConstView<T, Cuda> gradients, const AdamW& s, std::size_t step, std::size_t decayed, double gradient_scale,
           Version version = Version::fast) {
  using S = Sum<T>;
  constexpr std::size_t V = per_16_bytes<S>;
  const std::size_t n = parameters.size();
  Sum<T>* kept = static_cast<const void*>(master.data()) == parameters.data() ? nullptr : master.data();
  const bool wide = version == Version::fast && n % V == 0 && reads_16_bytes(n, m.data(), v.data(), kept) &&
                    reads_16_bytes(0, parameters.data(), gradients.data());
  const auto kernel = wide ? detail::adamw_kernel<T, V> : detail::adamw_kernel<T, 1>;
  launch(one_thread_each("adamw", wide ? n / V : n), kernel, parameters.data(), kept, m.data(), v.data(), gradients.data(), n,
         decayed, detail::AdamWStep<S>(s, step, gradient_scale));
}
template <class T>
void adamw(View<T, Cuda> parameters, View<Sum<T>, Cuda> m, View<Sum<T>, Cuda> v, ConstView<T, Cuda> gradients, const AdamW& s,
           std::size_t step, std::size_t decayed, double gradient_scale, Version version = Version::fast) {
  adamw<T>(parameters, {}, m, v, gradients, s, step, decayed, gradient_scale, version);
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
