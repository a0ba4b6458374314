// A linear map with the GELU after or before it (docs/spec/models.md, "Feed-forward"): one pass where the device can.
#pragma once

#include "skipv1/ops/gelu.hpp"
#include "skipv1/ops/linear.hpp"

namespace skipv1 {

namespace reference {

/// `before = x W^T + b`, `y = gelu(before)`. y, before (N, out), x (N, in), weight (out, in), bias (out) or empty.
template <class T>
void linear_gelu_forward(View<T> y, View<T> before, ConstView<T> x, ConstView<T> weight, ConstView<T> bias) {
  reference::linear_forward<T>(before, x, weight, bias);
  reference::gelu_forward<T>(y, before);
}

/// The gradient of `before` in `y = gelu(before) W^T`: `dbefore = (dy W) gelu'(before)`. dbefore, before (N, in), dy (N, out),
/// weight (out, in).
template <class T>
void gelu_linear_backward(View<T> dbefore, ConstView<T> dy, ConstView<T> weight, ConstView<T> before) {
  reference::linear_backward_input<T>(dbefore, dy, weight);
  reference::gelu_backward<T>(dbefore, dbefore, before);
}

}  // namespace reference

/// As `reference::linear_gelu_forward`. Throws if the widths do not fit.
template <class T>
void linear_gelu_forward(View<T, Cpu> y, View<T, Cpu> before, ConstView<T, Cpu> x, ConstView<T, Cpu> weight,
                         ConstView<T, Cpu> bias) {
  linear_forward(before, x, weight, bias);
  gelu_forward(y, before);
}

/// As `reference::gelu_linear_backward`.
template <class T>
void gelu_linear_backward(View<T, Cpu> dbefore, ConstView<T, Cpu> dy, ConstView<T, Cpu> weight, ConstView<T, Cpu> before) {
  linear_backward_input(dbefore, dy, weight);
  gelu_backward(dbefore, dbefore, before);
}

}  // namespace skipv1
