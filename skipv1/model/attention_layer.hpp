// The attention layer of a block, forward beside backward: what a layer owns goes to the cache, each query head reads the heads
// that the table names (docs/spec/models.md, "Attention", "Norms of queries and keys").
#pragma once

#include "skipv1/model/latent.hpp"
#include "skipv1/model/norm.hpp"
#include "skipv1/model/values.hpp"
#include "skipv1/ops/attention/attention.hpp"
#include "skipv1/ops/linear.hpp"
#include "skipv1/ops/rope.hpp"
#include "skipv1/ops/scatter.hpp"

namespace skipv1 {

/// What an attention layer does with scores: softmax attention. Another type with these two functions makes another layer of the
/// same heads; both are called with a layer's activations after its queries, keys and values are in place.
template <class T, class Space = Cpu>
struct SoftmaxAttention {
  double scale;

  void forward(LayerActivations<T, Space>& s, const RoutedHeads<T, Space>& heads, const Sequences<Space>& sequences) const {
    attention_forward(s.attention, s.lse, s.query, heads, sequences, scale);
  }
  /// From `g.attention` to `g.query` and into `dheads`.
  void backward(GradientScratch<T, Space>& g, View<const HeadPair<T, Space>, Space> dheads, const LayerActivations<T, Space>& s,
                const RoutedHeads<T, Space>& heads, const Sequences<Space>& sequences) const {
    attention_backward(g.query, dheads, g.attention, s.attention, s.lse, s.query, heads, sequences, scale);
  }
};

/// `middle = x + W_O attention(norm1(x))`.
template <class T, class Space = Cpu>
class AttentionLayer {
 public:
  using X = View<T, Space>;

  /// `rope`: `rope_table`'s, of the width that is rotated; empty: queries and keys are not. `mix` (1): the layer's lambda.
  AttentionLayer(const LayerWeights<T, Space>& weights, const Routing& routing, std::size_t layer, double epsilon,
                 View<const Sum<T>, Space> rope, X mix)
      : w_(weights),
        routing_(routing),
        l_(layer),
        norm_{weights.norm1, weights.norm1_bias, epsilon},
        values_(weights, routing, layer, mix),
        latent_(weights, routing, layer),
        rope_(rope) {}

  /// From x (N, d) to `a.layer(l).middle`; what the layer owns of these rows is added to the cache.
  template <class Kernel>
  void forward(X x, Cache<T, Space>& cache, Activations<T, Space>& a, const RoutedHeads<T, Space>& heads,
               const Kernel& kernel) const {
    LayerActivations<T, Space>& s = a.layer(l_);
    const std::size_t n = a.rows;
    norm_.forward(a.block_normed, s.statistics1, x);
    project(s.query.reshape({n, s.query.size() / n}), a.block_normed, query_projection(w_), s.raw_query.data(),
            s.query_rms.data());
    if (!rope_.empty()) rope(s.query, rope_, a.positions);
    if (!w_.key.empty()) store_keys(cache, a);
    values_.forward(cache, a);
    if (routing_.has_latent()) latent_.forward(cache, a);
    kernel.forward(s, heads, a.sequences);
    linear_forward(s.middle, s.attention.reshape({n, s.attention.size() / n}), w_.output, w_.output_bias, x);
  }

  /// dx (N, d): the gradient of `middle`, then of x. The gradients of what this layer reads are written where `dheads` says;
  /// those of what it owns, which all readers have written by then, go to its projections. `stream_bias`: as
  /// `Norm::backward`. `joined` (N, W): where the gradients of queries, keys and values stand side by side, or empty.
  template <class Kernel>
  void backward(X dx, X x, X stream_bias, const LayerWeights<T, Space>& dw, View<const HeadPair<T, Space>, Space> dheads,
                X joined, Cache<T, Space>& dcache, Activations<T, Space>& a, const RoutedHeads<T, Space>& heads,
                const Kernel& kernel) const {
    LayerActivations<T, Space>& s = a.layer(l_);
    GradientScratch<T, Space>& g = a.gradient;
    const std::size_t n = a.rows;
    const X dout = g.attention.reshape({n, g.attention.size() / n});
    linear_backward_weight(dw.output, X(), dx, s.attention.reshape(dout.shape()));
    linear_backward_input(dout, dx, w_.output);
    if constexpr (std::is_same_v<Kernel, SoftmaxAttention<T, Space>> && !std::is_same_v<Space, Cpu>)
      if (!joined.empty()) return backward_joined(dx, x, stream_bias, dw, dheads, joined, a, heads, kernel.scale);
    const X dquery = g.query.reshape({n, g.query.size() / n});
    kernel.backward(g, dheads, s, heads, a.sequences);
    if (routing_.has_latent()) latent_.backward(dw, dcache, a);

    if (!rope_.empty()) rope(g.query, rope_, a.positions, Rotation::inverse);
    const X draw = backward_norm(dquery, g.raw_query, query_projection(dw), query_projection(w_), s.raw_query, s.query_rms);
    const X normed = a.block_normed;  // first its gradient, then the norm's output again, for the weights' gradients
    linear_backward_input(normed, draw, w_.query);
    const X dkey = w_.key.empty() ? X() : backward_keys(dw, dcache, a), dvalue = values_.backward(normed, dw, dcache, a);
    norm_.backward(dx, {dw.norm1, dw.norm1_bias}, normed, x, s.statistics1, stream_bias, normed);
    linear_backward_weight(dw.query, dw.query_bias, draw, normed);
    if (!dkey.empty()) linear_backward_weight(dw.key, dw.key_bias, dkey, normed);
    if (!dvalue.empty()) linear_backward_weight(dw.value, dw.value_bias, dvalue, normed);
  }

 private:
  /// The rest of `backward` where one product each makes the gradients of the three projections' weights and of their input.
  void backward_joined(X dx, X x, X stream_bias, const LayerWeights<T, Space>& dw, View<const HeadPair<T, Space>, Space> dheads,
                       X joined, Activations<T, Space>& a, const RoutedHeads<T, Space>& heads, double scale) const {
    LayerActivations<T, Space>& s = a.layer(l_);
    const X dquery(joined.data(), s.query.shape()), normed = a.block_normed;
    attention_backward_rows(dquery, joined.width(), dheads, a.gradient.attention, s.attention, s.lse, s.query, heads, a.sequences,
                            scale);
    const X turned(joined.data(), {a.rows, routing_.heads + routing_.owned_keys[l_], routing_.key_width});
    if (!rope_.empty()) rope_rows(turned, joined.width(), rope_, a.positions, Rotation::inverse);
    const JoinedWeights<T, Space> w = join(w_), d = join(dw);
    linear_backward_input(normed, joined, w.weight);
    norm_.backward(dx, {dw.norm1, dw.norm1_bias}, normed, x, s.statistics1, stream_bias, normed);
    linear_backward_weight(d.weight, d.bias, joined, normed);
  }

  /// A projection to heads, and the norm (d_k) that each of them goes through, or none.
  struct Projection {
    X weight, bias, norm;
    /// `x` (N, columns) as one row per head.
    X heads(X x) const { return x.reshape({x.size() / norm.size(), norm.size()}); }
  };
  static Projection query_projection(const LayerWeights<T, Space>& w) { return {w.query, w.query_bias, w.query_norm}; }
  static Projection key_projection(const LayerWeights<T, Space>& w) { return {w.key, w.key_bias, w.key_norm}; }

  /// y (N, columns) from x (N, d). Where there is a norm, `raw` and `rms` keep what the backward pass reads.
  void project(X y, X x, const Projection& p, T* raw, Sum<T>* rms) const {
    if (p.norm.empty()) return linear_forward(y, x, p.weight, p.bias);
    const X before(raw, y.shape()), heads = p.heads(y);
    linear_forward(before, x, p.weight, p.bias);
    rms_norm_forward(heads, View<Sum<T>, Space>(rms, {heads.extent(0)}), p.heads(before), p.norm, norm_.epsilon);
  }
  /// From dy, the gradient of `project`'s y: that of the projection's output before its norm, in `memory`; dy without a norm.
  X backward_norm(X dy, X memory, const Projection& dp, const Projection& p, X raw, View<Sum<T>, Space> rms) const {
    if (p.norm.empty()) return dy;
    const X draw(memory.data(), dy.shape()), heads = p.heads(dy);
    zero(draw);
    rms_norm_backward(p.heads(draw), dp.norm, heads, p.heads(X(raw.data(), dy.shape())), p.norm,
                      View<Sum<T>, Space>(rms.data(), {heads.extent(0)}));
    return draw;
  }

  /// Owned keys (N, owned columns) by heads; for MLA the one rotary key.
  X by_heads(X key) const {
    const std::size_t heads = routing_.has_latent() ? 1 : routing_.owned_keys[l_];
    return key.reshape({key.extent(0), heads, key.width() / heads});
  }
  void store_keys(Cache<T, Space>& cache, Activations<T, Space>& a) const {
    const X key = a.new_rows(cache.keys(l_), a.new_key);
    LayerActivations<T, Space>& s = a.layer(l_);
    project(key, a.block_normed, key_projection(w_), s.raw_key.data(), s.key_rms.data());
    if (!rope_.empty()) rope(by_heads(key), rope_, a.positions);
    if (!a.in_cache) scatter_rows(cache.keys(l_), key, a.sequences);
  }
  /// The gradient of the projection's output, accumulated into `a.block_normed`'s.
  X backward_keys(const LayerWeights<T, Space>& dw, Cache<T, Space>& dcache, Activations<T, Space>& a) const {
    const X dkey = dcache.keys(l_).reshape({a.rows, w_.key.extent(0)});
    if (!rope_.empty()) rope(by_heads(dkey), rope_, a.positions, Rotation::inverse);
    LayerActivations<T, Space>& s = a.layer(l_);
    const X draw = backward_norm(dkey, a.gradient.raw_key, key_projection(dw), key_projection(w_), s.raw_key, s.key_rms);
    linear_backward_input(a.block_normed, draw, w_.key, WriteMode::accumulate);
    return draw;
  }

  const LayerWeights<T, Space>& w_;
  const Routing& routing_;
  std::size_t l_;
  Norm<T, Space> norm_;
  OwnedValues<T, Space> values_;
  Latent<T, Space> latent_;
  View<const Sum<T>, Space> rope_;
};

}  // namespace skipv1
