// The norm in front of a layer, forward beside backward (docs/spec/models.md, "Norms").
#pragma once

#include "skipv1/core/bfloat16.hpp"
#include "skipv1/ops/add.hpp"
#include "skipv1/ops/layer_norm.hpp"
#include "skipv1/ops/linear.hpp"
#include "skipv1/ops/rms_norm.hpp"

namespace skipv1 {

/// LayerNorm where there is a bias, RMSNorm where there is only a weight, the identity where there is neither.
template <class T, class Space = Cpu>
struct Norm {
  using X = View<T, Space>;

  X weight, bias;
  double epsilon = 0;

  /// y = norm(x), both (N, d); `statistics` (N, 2) or (N): what the backward pass reads.
  void forward(X y, View<Sum<T>, Space> statistics, X x) const {
    if (weight.empty())
      copy(y, x);
    else if (bias.empty())
      rms_norm_forward(y, statistics, x, weight, epsilon);
    else
      layer_norm_forward(y, statistics, x, weight, bias, epsilon);
  }
  /// Accumulates into dx (N, d), the gradient of the residual stream before the norm, and the sum of its rows into `stream_bias`,
  /// the gradient of the bias that was last added there, if any. `d` has the gradients of weight and bias. Sets y, if given, to
  /// norm(x) again; y may be dy.
  void backward(X dx, const Norm& d, X dy, X x, View<Sum<T>, Space> statistics, X stream_bias, X y = {}) const {
    if (weight.empty()) {
      add(dx, dx, dy);
      linear_backward_bias(stream_bias, dx);
      if (!y.empty()) copy(y, x);
    } else if (bias.empty()) {
      rms_norm_backward(dx, d.weight, dy, x, weight, statistics, stream_bias, y);
    } else {
      layer_norm_backward(dx, d.weight, d.bias, dy, x, weight, statistics, stream_bias, y, bias);
    }
  }
};

}  // namespace skipv1
