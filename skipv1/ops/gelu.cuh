// GELU on the device: see gelu.hpp.
#pragma once

#include "skipv1/ops/map.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// One thread, one output.
template <class T>
SKIPV1_KERNEL gelu_forward_first(T* y, const T* x, std::size_t size) {
  using S = Sum<T>;
  constexpr S root = S(0.79788456080286535588), cubic = S(0.044715);
  const std::size_t i = global_thread();
  if (i >= size) return;
  const S v = static_cast<S>(x[i]), u = root * (v + cubic * v * v * v);
  y[i] = static_cast<T>(v / S(2) * (S(1) + std::tanh(u)));
}

/// One thread, one output.
template <class T>
SKIPV1_KERNEL gelu_backward_first(T* dx, const T* dy, const T* x, std::size_t size) {
  using S = Sum<T>;
  constexpr S root = S(0.79788456080286535588), cubic = S(0.044715);
  const std::size_t i = global_thread();
  if (i >= size) return;
  const S v = static_cast<S>(x[i]), t = std::tanh(root * (v + cubic * v * v * v)), du = root * (S(1) + S(3) * cubic * v * v);
  dx[i] = static_cast<T>(static_cast<S>(dy[i]) * ((S(1) + t) / S(2) + v / S(2) * (S(1) - t * t) * du));
}

/// `s = 1 / (1 + exp(-2u))` of gelu.hpp's u: `y = x s`, without a tanh.
template <class S>
SKIPV1_DEVICE S gelu_gate(S x) {
  constexpr S twice_root = S(2 * 0.79788456080286535588), cubic = S(0.044715);
  return S(1) / (S(1) + std::exp(-twice_root * x * (S(1) + cubic * x * x)));
}
struct Gelu {
  template <class S>
  SKIPV1_DEVICE_MEMBER S operator()(S x) const {
    return x * gelu_gate(x);
  }
};
/// `dx = dy (s + x s (1 - s) 2 du/dx)`.
struct GeluBackward {
  template <class S>
  SKIPV1_DEVICE_MEMBER S operator()(S dy, S x) const {
    constexpr S twice_root = S(2 * 0.79788456080286535588), cubic = S(0.044715);
    const S s = gelu_gate(x);
    return dy * (s + x * s * (S(1) - s) * twice_root * (S(1) + S(3) * cubic * x * x));
  }
};

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU. Memory bounds it: 2 sizeof(T) bytes per element for about 8 operations and one exponential.
template <class T>
void gelu_forward(View<T, Device> y, ConstView<T, Device> x, Version version = Version::fast) {
  if (version == Version::fast) return detail::map("gelu_forward", y, detail::Gelu{}, x.data());
  launch(one_thread_each("gelu_forward_first", x.size()), detail::gelu_forward_first<T>, y.data(), x.data(), x.size());
}
/// As on the CPU. Memory bounds it: 3 sizeof(T) bytes per element for about 16 operations and one exponential.
template <class T>
void gelu_backward(View<T, Device> dx, ConstView<T, Device> dy, ConstView<T, Device> x, Version version = Version::fast) {
  if (version == Version::fast) return detail::map("gelu_backward", dx, detail::GeluBackward{}, dy.data(), x.data());
  launch(one_thread_each("gelu_backward_first", x.size()), detail::gelu_backward_first<T>, dx.data(), dy.data(), x.data(),
         x.size());
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
