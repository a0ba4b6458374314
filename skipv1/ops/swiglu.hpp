// SwiGLU's product: silu(gate) * up (Shazeer 2020; docs/spec/models.md, "Feed-forward").
#pragma once

#include "skipv1/core/parallel.hpp"
#include "skipv1/core/simd.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1 {

/// `y = gate / (1 + exp(-gate)) * up`, element by element. y, gate, up of one shape.
template <class T>
void swiglu_forward(View<T, Cpu> y, ConstView<T, Cpu> gate, ConstView<T, Cpu> up) {
  parallel_ranges(y.size(), 1 << 14, [&](std::size_t begin, std::size_t end) {
    transform(
        end - begin, y.data() + begin, [](auto g, auto u) { return g / (T(1) + xsimd::exp(-g)) * u; }, gate.data() + begin,
        up.data() + begin);
  });
}

/// With `s = 1 / (1 + exp(-gate))`: `dgate = dy up s (1 + gate (1 - s))`, `dup = dy gate s`. Shapes as forward; dup may
/// be dy, dgate up.
template <class T>
void swiglu_backward(View<T, Cpu> dgate, View<T, Cpu> dup, ConstView<T, Cpu> dy, ConstView<T, Cpu> gate, ConstView<T, Cpu> up) {
  parallel_ranges(dy.size(), 1 << 14, [&](std::size_t begin, std::size_t end) {
    const T *d = dy.data() + begin, *g = gate.data() + begin, *u = up.data() + begin;
    transform(
        end - begin, dgate.data() + begin,
        [](auto dv, auto gv, auto uv) {
          const auto s = T(1) / (T(1) + xsimd::exp(-gv));
          return dv * uv * s * (T(1) + gv * (T(1) - s));
        },
        d, g, u);
    transform(
        end - begin, dup.data() + begin, [](auto dv, auto gv) { return dv * gv / (T(1) + xsimd::exp(-gv)); }, d, g);
  });
}

}  // namespace skipv1
