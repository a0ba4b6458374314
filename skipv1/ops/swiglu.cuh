// SwiGLU's product on the device: see swiglu.hpp.
#pragma once

#include "skipv1/ops/map.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {
struct Swiglu {
  template <class S>
  SKIPV1_DEVICE_MEMBER S operator()(S gate, S up) const {
    return gate / (S(1) + std::exp(-gate)) * up;
  }
};
/// One thread, V elements of both gradients: 5 sizeof(T) bytes per element.
template <std::size_t V, class T>
SKIPV1_KERNEL swiglu_backward_kernel(T* dgate, T* dup, const T* dy, const T* gate, const T* up, std::size_t n) {
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

/// As on the CPU.
template <class T>
void swiglu_forward(View<T, Device> y, ConstView<T, Device> gate, ConstView<T, Device> up, Version version = Version::fast) {
  detail::map("swiglu_forward", y, detail::Swiglu{}, version, gate.data(), up.data());
}
template <class T>
void swiglu_backward(View<T, Device> dgate, View<T, Device> dup, ConstView<T, Device> dy, ConstView<T, Device> gate,
                     ConstView<T, Device> up, Version version = Version::fast) {
  constexpr std::size_t V = per_16_bytes<T>;
  const std::size_t n = dy.size();
  const auto run = [&](std::size_t threads, auto kernel) {
    launch(one_thread_each("swiglu_backward", threads), kernel, dgate.data(), dup.data(), dy.data(), gate.data(), up.data(), n);
  };
  if (version == Version::fast && reads_16_bytes(n, dgate.data(), dup.data(), dy.data(), gate.data(), up.data())) {
    run(n / V, detail::swiglu_backward_kernel<V, T>);
  } else {
    run(n, detail::swiglu_backward_kernel<1, T>);
  }
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
