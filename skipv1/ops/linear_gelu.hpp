// A linear map and the GELU behind or before it (docs/spec/models.md, "Feed-forward"): one pass where the device can.
#pragma once

#include "skipv1/ops/gelu.hpp"
#include "skipv1/ops/linear.hpp"

namespace skipv1 {

/// `before = x W^T + b`, `y = gelu(before)`. y, before (N, out), x (N, in), weight (out, in), bias (out), which may be empty.
/// Throws if the widths do not fit.
template <class T>
void linear_gelu_forward(View<T, Cpu> y, View<T, Cpu> before, ConstView<T, Cpu> x, ConstView<T, Cpu> weight,
                         ConstView<T, Cpu> bias) {
  linear_forward(before, x, weight, bias);
  gelu_forward(y, before);
}

/// The gradient of `before` in `y = gelu(before) W^T`: `dbefore = (dy W) gelu'(before)`. dbefore, before (N, in), dy (N, out),
/// weight (out, in).
template <class T>
void gelu_linear_backward(View<T, Cpu> dbefore, ConstView<T, Cpu> dy, ConstView<T, Cpu> weight, ConstView<T, Cpu> before) {
  linear_backward_input(dbefore, dy, weight);
  gelu_backward(dbefore, dbefore, before);
}

}  // namespace skipv1
