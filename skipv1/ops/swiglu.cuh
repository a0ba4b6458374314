// SwiGLU's product on the device: see swiglu.hpp.
#pragma once

#include "skipv1/ops/map.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// One thread, one output.
template <class T>
SKIPV1_KERNEL swiglu_forward_first(T* y, const T* gate, const T* up, std::size_t size) {
  using S = Sum<T>;
  const std::size_t i = global_thread();
  if (i >= size) return;
  const S g = static_cast<S>(gate[i]);
  y[i] = static_cast<T>(g / (S(1) + std::exp(-g)) * static_cast<S>(up[i]));
}

/// One thread, one element of both gradients.
template <class T>
SKIPV1_KERNEL swiglu_backward_first(T* dgate, T* dup, const T* dy, const T* gate, const T* up, std::size_t size) {
  using S = Sum<T>;
  const std::size_t i = global_thread();
  if (i >= size) return;
  const S d = static_cast<S>(dy[i]), g = static_cast<S>(gate[i]), u = static_cast<S>(up[i]), s = S(1) / (S(1) + std::exp(-g));
  dgate[i] = static_cast<T>(d * u * s * (S(1) + g * (S(1) - s)));
  dup[i] = static_cast<T>(d * g * s);
}

struct Swiglu {
  template <class S>
  SKIPV1_DEVICE_MEMBER S operator()(S gate, S up) const {
    return gate / (S(1) + std::exp(-gate)) * up;
  }
};
/// One thread, V elements of both gradients.
template <std::size_t V, class T>
SKIPV1_KERNEL swiglu_backward_fast(T* dgate, T* dup, const T* dy, const T* gate, const T* up, std::size_t n) {
  using S = Sum<T>;
  const std::size_t i = global_thread() * V;
  if (i >= n) return;
  const Vector<T, V> d = load_vector<V>(dy + i), g = load_vector<V>(gate + i), u = load_vector<V>(up + i);
  Vector<T, V> dg, du;
  for (std::size_t j = 0; j < V; ++j) {
    const S x = static_cast<S>(g[j]), s = S(1) / (S(1) + std::exp(-x)), dj = static_cast<S>(d[j]);
    dg[j] = static_cast<T>(dj * static_cast<S>(u[j]) * s * (S(1) + x * (S(1) - s)));
    du[j] = static_cast<T>(dj * x * s);
  }
  store_vector(dgate + i, dg);
  store_vector(dup + i, du);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU. Memory bounds it: 3 sizeof(T) bytes per element for 4 operations and one exponential.
template <class T>
void swiglu_forward(View<T, Device> y, ConstView<T, Device> gate, ConstView<T, Device> up, Version version = Version::fast) {
  if (version == Version::fast) return detail::map("swiglu_forward", y, detail::Swiglu{}, gate.data(), up.data());
  launch(one_thread_each("swiglu_forward_first", y.size()), detail::swiglu_forward_first<T>, y.data(), gate.data(), up.data(),
         y.size());
}
/// As on the CPU. Memory bounds it: 5 sizeof(T) bytes per element for 10 operations and one exponential.
template <class T>
void swiglu_backward(View<T, Device> dgate, View<T, Device> dup, ConstView<T, Device> dy, ConstView<T, Device> gate,
                     ConstView<T, Device> up, Version version = Version::fast) {
  constexpr std::size_t V = per_16_bytes<T>;
  const std::size_t n = dy.size();
  const auto run = [&](const char* name, std::size_t threads, auto kernel) {
    launch(one_thread_each(name, threads), kernel, dgate.data(), dup.data(), dy.data(), gate.data(), up.data(), n);
  };
  if (version == Version::first)
    run("swiglu_backward_first", n, detail::swiglu_backward_first<T>);
  else if (reads_16_bytes(n, dgate.data(), dup.data(), dy.data(), gate.data(), up.data()))
    run("swiglu_backward", n / V, detail::swiglu_backward_fast<V, T>);
  else
    run("swiglu_backward", n, detail::swiglu_backward_fast<1, T>);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
