// GELU in its tanh form (Hendrycks and Gimpel 2016; docs/spec/models.md, eq. (6)).
#pragma once

#include <cmath>

#include "skipv1/core/parallel.hpp"
#include "skipv1/core/simd.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1 {

namespace reference {

/// `y = x / 2 (1 + tanh(u))`, `u = sqrt(2/pi) (x + 0.044715 x^3)`, element by element. y and x of one shape.
template <class T>
void gelu_forward(View<T> y, ConstView<T> x) {
  const T root = static_cast<T>(0.79788456080286535588), cubic = static_cast<T>(0.044715);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const T v = x.data()[i], u = root * (v + cubic * v * v * v);
    y.data()[i] = v / T(2) * (T(1) + std::tanh(u));
  }
}

/// `dx = dy (1/2 (1 + tanh(u)) + x/2 (1 - tanh(u)^2) du/dx)`, `du/dx = sqrt(2/pi) (1 + 3 * 0.044715 x^2)`.
template <class T>
void gelu_backward(View<T> dx, ConstView<T> dy, ConstView<T> x) {
  const T root = static_cast<T>(0.79788456080286535588), cubic = static_cast<T>(0.044715);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const T v = x.data()[i], t = std::tanh(root * (v + cubic * v * v * v)), du = root * (T(1) + T(3) * cubic * v * v);
    dx.data()[i] = dy.data()[i] * ((T(1) + t) / T(2) + v / T(2) * (T(1) - t * t) * du);
  }
}

}  // namespace reference

namespace detail {
template <class T>
constexpr T gelu_twice_root = T(2 * 0.79788456080286535588);  // 2 sqrt(2/pi)
template <class T>
constexpr T gelu_cubic = T(0.044715);
}  // namespace detail

/// As `reference::gelu_forward`, written as `x / (1 + exp(-2u))`, which is equal: one vectorised exponential per element bounds
/// it.
template <class T>
void gelu_forward(View<T, Cpu> y, ConstView<T, Cpu> x) {
  require_fit(y.size() == x.size(), "gelu_forward", "y x", "y, x of one shape", y, x);
  using detail::gelu_cubic, detail::gelu_twice_root;
  parallel_ranges(x.size(), 1 << 14, [&](std::size_t begin, std::size_t end) {
    transform(
        end - begin, y.data() + begin,
        [](auto v) { return v / (T(1) + exp(-gelu_twice_root<T> * v * (T(1) + gelu_cubic<T> * v * v))); }, x.data() + begin);
  });
}

/// As `reference::gelu_backward`: `dx = dy (s + x s (1 - s) 2 du/dx)`, `s = 1 / (1 + exp(-2u))`. dx may be dy. One vectorised
/// exponential per element bounds it.
template <class T>
void gelu_backward(View<T, Cpu> dx, ConstView<T, Cpu> dy, ConstView<T, Cpu> x) {
  require_fit(dx.size() == x.size() && dy.size() == x.size(), "gelu_backward", "dx dy x", "dx, dy, x of one shape", dx, dy, x);
  using detail::gelu_cubic, detail::gelu_twice_root;
  parallel_ranges(x.size(), 1 << 14, [&](std::size_t begin, std::size_t end) {
    transform(
        end - begin, dx.data() + begin,
        [](auto g, auto v) {
          const auto s = T(1) / (T(1) + exp(-gelu_twice_root<T> * v * (T(1) + gelu_cubic<T> * v * v)));
          return g * (s + v * s * (T(1) - s) * gelu_twice_root<T> * (T(1) + T(3) * gelu_cubic<T> * v * v));
        },
        dy.data() + begin, x.data() + begin);
  });
}

}  // namespace skipv1
