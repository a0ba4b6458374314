// The feed-forward layer of a block, forward beside backward (docs/spec/models.md, "Feed-forward").
#pragma once

#include "skipv1/model/activations.hpp"
#include "skipv1/model/norm.hpp"
#include "skipv1/model/weights.hpp"
#include "skipv1/ops/linear.hpp"
#include "skipv1/ops/linear_gelu.hpp"
#include "skipv1/ops/swiglu.hpp"

namespace skipv1 {

/// `y = x + W_down act(norm(x))`: SwiGLU where there is a gate, GELU where there is none.
template <class T, class Space = Cpu>
class FeedForward {
 public:
  using X = View<T, Space>;

  FeedForward(const LayerWeights<T, Space>& weights, double epsilon)
      : w_(weights), norm_{weights.norm2, weights.norm2_bias, epsilon} {}

  /// y (N, d) from `s.middle`; what the backward pass reads is left in `s`. normed (N, d) is scratch.
  void forward(X y, LayerActivations<T, Space>& s, X normed) const {
    if (w_.up.empty()) return copy(y, s.middle);  // a block of attention alone
    norm_.forward(normed, s.statistics2, s.middle);
    if (w_.gate.empty()) {
      linear_gelu_forward(s.hidden, s.up, normed, w_.up, w_.up_bias);
    } else {
      linear_forward(s.up, normed, w_.up, w_.up_bias);
      linear_forward(s.gate, normed, w_.gate, w_.gate_bias);
      swiglu_forward(s.hidden, s.gate, s.up);
    }
    linear_forward(y, s.hidden, w_.down, w_.down_bias, s.middle);
  }

  /// dx (N, d): the gradient of y, then of `s.middle`. Overwrites `s`; normed (N, d) is scratch. The norm's backward pass makes
  /// the input of `up` and `gate` again, so their weights' gradients come last. The next layer's norm makes the gradient of
  /// `down_bias`; this layer's makes that of attention's `output_bias`.
  void backward(X dx, const LayerWeights<T, Space>& dw, LayerActivations<T, Space>& s, X normed) const {
    if (w_.up.empty()) return;
    const X dhidden = s.hidden, dgate = s.up;  // each in the place of what is not read again
    linear_backward_weight(dw.down, X(), dx, s.hidden);
    if (w_.gate.empty()) {
      gelu_linear_backward(dhidden, dx, w_.down, s.up);
    } else {
      linear_backward_input(dhidden, dx, w_.down);
      swiglu_backward(dgate, dhidden, dhidden, s.gate, s.up);
    }
    linear_backward_input(normed, dhidden, w_.up);
    if (!w_.gate.empty()) linear_backward_input(normed, dgate, w_.gate, WriteMode::accumulate);
    norm_.backward(dx, {dw.norm2, dw.norm2_bias}, normed, s.middle, s.statistics2, dw.output_bias, normed);
    linear_backward_weight(dw.up, dw.up_bias, dhidden, normed);
    if (!w_.gate.empty()) linear_backward_weight(dw.gate, dw.gate_bias, dgate, normed);
  }

 private:
  const LayerWeights<T, Space>& w_;
  Norm<T, Space> norm_;
};

}  // namespace skipv1
