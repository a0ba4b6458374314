// SwiGLU's product: silu(gate) * up (Shazeer 2020; docs/spec/models.md, "Feed-forward").
#pragma once

#include <cmath>
#include <utility>

#include "skipv1/core/parallel.hpp"
#include "skipv1/core/simd.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1 {

namespace reference {

/// `y = silu(gate) up`, `silu(g) = g s(g)`, `s(g) = 1 / (1 + exp(-g))`, element by element. y, gate, up of one shape.
template <class T>
void swiglu_forward(View<T> y, ConstView<T> gate, ConstView<T> up) {
  for (std::size_t i = 0; i < y.size(); ++i) {
    const T g = gate.data()[i];
    y.data()[i] = g / (T(1) + std::exp(-g)) * up.data()[i];
  }
}

/// `dgate = dy up s (1 + gate (1 - s))`, `dup = dy gate s`. Shapes as forward.
template <class T>
void swiglu_backward(View<T> dgate, View<T> dup, ConstView<T> dy, ConstView<T> gate, ConstView<T> up) {
  for (std::size_t i = 0; i < dy.size(); ++i) {
    const T d = dy.data()[i], g = gate.data()[i], u = up.data()[i], s = T(1) / (T(1) + std::exp(-g));
    dgate.data()[i] = d * u * s * (T(1) + g * (T(1) - s));
    dup.data()[i] = d * g * s;
  }
}

}  // namespace reference

/// As `reference::swiglu_forward`. One vectorised exponential per element bounds it.
template <class T>
void swiglu_forward(View<T, Cpu> y, ConstView<T, Cpu> gate, ConstView<T, Cpu> up) {
  require_fit(gate.size() == y.size() && up.size() == y.size(), "swiglu_forward", "y gate up", "y, gate, up of one shape", y,
              gate, up);
  parallel_ranges(y.size(), 1 << 14, [&](std::size_t begin, std::size_t end) {
    transform(
        end - begin, y.data() + begin, [](auto g, auto u) { return g / (T(1) + exp(-g)) * u; }, gate.data() + begin,
        up.data() + begin);
  });
}

/// As `reference::swiglu_backward`; dup may lie where dy does, dgate where up does. One vectorised exponential per element bounds
/// it.
template <class T>
void swiglu_backward(View<T, Cpu> dgate, View<T, Cpu> dup, ConstView<T, Cpu> dy, ConstView<T, Cpu> gate, ConstView<T, Cpu> up) {
  require_fit(dgate.size() == dy.size() && dup.size() == dy.size() && gate.size() == dy.size() && up.size() == dy.size(),
              "swiglu_backward", "dgate dup dy gate up", "dgate, dup, dy, gate, up of one shape", dgate, dup, dy, gate, up);
  parallel_ranges(dy.size(), 1 << 14, [&](std::size_t begin, std::size_t end) {
    transform_to_two(
        end - begin, dgate.data() + begin, dup.data() + begin,
        [](auto d, auto g, auto u) {
          const auto s = T(1) / (T(1) + exp(-g));
          return std::pair(d * u * s * (T(1) + g * (T(1) - s)), d * g * s);
        },
        dy.data() + begin, gate.data() + begin, up.data() + begin);
  });
}

}  // namespace skipv1
