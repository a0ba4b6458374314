// The models of docs/spec/mesa.md: a decoder's blocks on rows of continuous numbers, some layers with linear attention, with
// heads of any width, without norms or feed-forward layers where the theory has none.
#pragma once

#include "skipv1/mesa/stack_config.hpp"
#include "skipv1/model/blocks.hpp"
#include "skipv1/ops/linear_attention.hpp"

namespace skipv1::mesa {

/// Softmax attention, or linear attention whose sums are divided by the number of keys.
template <class T, class Space>
struct StackAttention {
  SoftmaxAttention<T, Space> softmax;
  bool linear;

  void forward(LayerActivations<T, Space>& s, const RoutedHeads<T, Space>& heads, const Sequences<Space>& sequences) const {
    if (!linear) return softmax.forward(s, heads, sequences);
    linear_attention_forward(s.attention, s.query, heads, sequences, softmax.scale, LinearNorm::keys);
  }
  void backward(GradientScratch<T, Space>& g, View<const HeadPair<T, Space>, Space> dheads, const LayerActivations<T, Space>& s,
                const RoutedHeads<T, Space>& heads, const Sequences<Space>& sequences) const {
    if (!linear) return softmax.backward(g, dheads, s, heads, sequences);
    linear_attention_backward(g.query, dheads, g.attention, s.query, heads, sequences, softmax.scale, LinearNorm::keys);
  }
};

/// From the residual stream's first rows to the final norm's.
template <class T, class Space = Cpu>
class Stack {
 public:
  using Observer = typename Blocks<T, Space>::Observer;
  using X = View<T, Space>;

  /// Over parameters of `stack_layout`, which it reads where they lie and which must outlive it. Throws if `c` is not valid.
  Stack(const StackConfig& c, const Parameters<T, Space>& parameters)
      : config_((validate(c), c)),
        norm_(norm_of(parameters)),
        blocks_(settings_of(c), make_routing(detail::table_config(c)), layers_of(parameters), {}) {}
  Stack(const StackConfig& c, const Parameters<T, Space>&& parameters) = delete;  // temporary ones

  const StackConfig& config() const { return config_; }
  const Routing& routing() const { return blocks_.routing(); }
  double scale() const { return 1.0 / std::sqrt(static_cast<double>(config_.head_size)); }

  /// inputs (N, width), sequence by sequence of `counts` rows; returns `a.normed` (N, width). Throws as `Decoder::forward`.
  X forward(ConstView<T, Space> inputs, const std::vector<std::size_t>& counts, Cache<T, Space>& cache, Activations<T, Space>& a,
            Keep keep = Keep::nothing, const Observer& observer = {}) const {
    const std::size_t n = inputs.extent(0);
    require(inputs.shape() == Shape{n, config_.width}, "stack: inputs ", inputs.shape(), " into a stream of width ",
            config_.width);
    blocks_.place(counts, n, cache, a, keep);
    copy(a.block_output(0), inputs);
    blocks_.forward(cache, a, kernels(), observer);
    cache.grow(counts);
    if (!(a.normed.shape() == inputs.shape())) {
      a.normed = Tensor<T, Space>(inputs.shape());
      a.norm_statistics = Tensor<Sum<T>, Space>(a.sizes.statistics(n));
    }
    norm_.forward(a.normed, a.norm_statistics, a.block_input(blocks_.count()));
    a.stage = Stage::forward;
    return a.normed;
  }

  /// From the gradient `doutputs` (N, width) of what `forward` returned: accumulates into `gradients` and returns the gradient of
  /// the inputs (N, width), which lies in `a`. Once per forward pass.
  X backward(ConstView<T, Space> doutputs, const Parameters<T, Space>& gradients, Cache<T, Space>& cache_gradients,
             Activations<T, Space>& a) const {
    require(a.keep == Keep::for_backward, "backward: the forward pass kept nothing for it");
    const X dx = a.gradient.stream;
    const std::vector<LayerWeights<T, Space>> dlayers = layers_of(gradients);
    zero(dx);
    copy(X(a.block_normed), doutputs);
    norm_.backward(dx, norm_of(gradients), a.block_normed, a.block_input(blocks_.count()), a.norm_statistics,
                   blocks_.last_bias(dlayers));
    blocks_.backward(dx, dlayers, {}, cache_gradients, a, kernels());
    return dx;
  }

 private:
  auto kernels() const {
    return [this](std::size_t l) { return StackAttention<T, Space>{{scale()}, l >= config_.softmax_layers}; };
  }
  Norm<T, Space> norm_of(const Parameters<T, Space>& p) const { return {p["model.norm.weight"], X(), config_.norm_epsilon}; }
  std::vector<LayerWeights<T, Space>> layers_of(const Parameters<T, Space>& p) const {
    std::vector<LayerWeights<T, Space>> layers;
    for (std::size_t l = 0; l < config_.layers; ++l) layers.push_back(layer_weights(p, l));
    return layers;
  }
  static BlockSettings<T, Space> settings_of(const StackConfig& c) {
    BlockSettings<T, Space> settings;
    settings.sizes.hidden = c.width, settings.sizes.intermediate = c.feed_forward, settings.sizes.gated = true;
    settings.max_positions = c.positions;
    settings.norm_epsilon = c.norm_epsilon, settings.value_mix = c.attention.value_mix;
    settings.rotary_layers = c.rotary_layers;
    if (c.rotary_layers == 0) return settings;
    const Tensor<Sum<T>> table = rope_table<Sum<T>>(c.positions, c.head_size, c.rope_theta);
    settings.rope = Tensor<Sum<T>, Space>(table.shape());
    copy(settings.rope, table);
    return settings;
  }

  StackConfig config_;
  Norm<T, Space> norm_;
  Blocks<T, Space> blocks_;
};

}  // namespace skipv1::mesa
