// GELU on the device: see gelu.hpp.
#pragma once

#include "skipv1/ops/map.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {
/// `1 / (1 + exp(-2u))` of gelu.hpp's u; `2 sqrt(2/pi)` and the cubic term's factor.
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

/// As on the CPU.
template <class T>
void gelu_forward(View<T, Device> y, ConstView<T, Device> x, Version version = Version::fast) {
  detail::map("gelu_forward", y, detail::Gelu{}, version, x.data());
}
template <class T>
void gelu_backward(View<T, Device> dx, ConstView<T, Device> dy, ConstView<T, Device> x, Version version = Version::fast) {
  detail::map("gelu_backward", dx, detail::GeluBackward{}, version, dy.data(), x.data());
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
