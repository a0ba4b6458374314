// The decoder's loss and backward pass: the forward pass of decoder.hpp, read from its end.
#pragma once

#include "skipv1/model/decoder.hpp"
#include "skipv1/ops/cross_entropy.hpp"
#include "skipv1/ops/linear_attention.hpp"
#include "skipv1/ops/linear_gelu.hpp"

namespace skipv1 {

template <class T, class Space>
double Decoder<T, Space>::loss(const std::vector<std::int32_t>& targets, Activations<T, Space>& a) const {
  const double scale = place_targets(targets, a);
  run_loss(scale, a);
  return mean_loss(scale, a);
}

template <class T, class Space>
double Decoder<T, Space>::place_targets(const std::vector<std::int32_t>& targets, Activations<T, Space>& a) const {
  require(targets.size() == a.rows && a.last.empty(), targets.size(), " targets for ", a.last.empty() ? a.rows : a.last.size(),
          " rows of logits");
  std::size_t left = 0;
  for (std::size_t n = 0; n < targets.size(); ++n) {
    require(targets[n] == ignored_target || (targets[n] >= 0 && static_cast<std::size_t>(targets[n]) < config_.vocab_size),
            "target ", targets[n], " at ", n, " is outside the vocabulary of ", config_.vocab_size);
    left += targets[n] != ignored_target;
  }
  require(left > 0, "all ", targets.size(), " targets are ignored: the mean over none is undefined");
  upload(a.targets, targets);
  return 1.0 / static_cast<double>(left);
}

template <class T, class Space>
void Decoder<T, Space>::run_loss(double scale, Activations<T, Space>& a) const {
  require(a.wanted != Logits::in_parts, "loss: the forward pass left the logits to run_loss_backward");
  cross_entropy(a.loss, a.keep == Keep::for_backward ? X(a.logits) : X(), a.logits, a.targets, scale);
  total_loss<Sum<T>>(a.total_loss, a.loss);
}

template <class T, class Space>
double Decoder<T, Space>::mean_loss(double scale, const Activations<T, Space>& a) const {
  Tensor<double> sum({1});
  copy(sum, a.total_loss);
  return sum(0u) * scale;
}

template <class T, class Space>
void Decoder<T, Space>::backward(const Parameters<T, Space>& gradients, Cache<T, Space>& dcache, Activations<T, Space>& a) const {
  require(a.keep == Keep::for_backward, "backward: the forward pass kept nothing for it");
  require(a.wanted != Logits::in_parts, "backward: the forward pass left the logits to run_loss_backward");
  const Weights<T, Space> dw(gradients, config_);
  backward_head(a.gradient.normed, dw, a.logits, a.normed);
  backward_tokens(dw, dcache, a);
}

template <class T, class Space>
void Decoder<T, Space>::run_loss_backward(double scale, const Parameters<T, Space>& gradients, Cache<T, Space>& dcache,
                                          Activations<T, Space>& a) const {
  require(a.keep == Keep::for_backward && a.wanted == Logits::in_parts,
          "run_loss_backward: the forward pass was not one for backward in parts");
  const Weights<T, Space> dw(gradients, config_);
  const std::size_t part = a.logits.extent(0);
  for (std::size_t begin = 0; begin < a.rows; begin += part) {
    const std::size_t rows = std::min(part, a.rows - begin);
    const X logits = a.logits.slice(0, rows), normed = a.normed.slice(begin, rows);
    linear_forward(logits, normed, weights_.head, X());
    cross_entropy(a.loss.slice(begin, rows), logits, logits, a.targets.slice(begin, rows), scale);
    backward_head(a.gradient.normed.slice(begin, rows), dw, logits, normed);
  }
  total_loss<Sum<T>>(a.total_loss, a.loss);
  backward_tokens(dw, dcache, a);
}

template <class T, class Space>
void Decoder<T, Space>::backward_head(X dnormed, const Weights<T, Space>& dw, X dlogits, X normed) const {
  linear_backward_weight(dw.head, X(), dlogits, normed);
  linear_backward_input(dnormed, dlogits, weights_.head);
}

template <class T, class Space>
void Decoder<T, Space>::backward_tokens(const Weights<T, Space>& dw, Cache<T, Space>& dcache, Activations<T, Space>& a) const {
  const X dinputs = backward_blocks(a.gradient.normed, dw, dcache, a);
  embedding_backward(dw.tokens, dinputs, a.tokens);
}

template <class T, class Space>
View<T, Space> Decoder<T, Space>::backward_rows(ConstView<T, Space> doutputs, const Parameters<T, Space>& gradients,
                                                Cache<T, Space>& dcache, Activations<T, Space>& a) const {
  require(a.keep == Keep::for_backward, "backward: the forward pass kept nothing for it");
  copy(a.gradient.normed, doutputs);
  return backward_blocks(a.gradient.normed, Weights<T, Space>(gradients, config_), dcache, a);
}

template <class T, class Space>
void Decoder<T, Space>::resolve_gradients(const Cache<T, Space>& dcache, GradientScratch<T, Space>& g) const {
  dcache.require_routing(routing_);
  auto heads = resolve<T>(
      dcache, g.pooled, [&](std::size_t) -> X { return g.key; }, [&](std::size_t) -> X { return g.value; });
  if (heads == g.resolved) return;
  copy(g.heads, View<const HeadPair<T, Space>>(heads.data(), g.heads.shape()));
  g.resolved = std::move(heads);
}

template <class T, class Space>
View<T, Space> Decoder<T, Space>::backward_blocks(X dnormed, const Weights<T, Space>& dw, Cache<T, Space>& dcache,
                                                  Activations<T, Space>& a) const {
  GradientScratch<T, Space>& g = a.gradient;
  const std::size_t layers = config_.num_hidden_layers;
  const X dy = g.stream;
  // The gradient of the bias that block l adds last comes with its output's, by the next norm but for DenseFormer.
  const bool averages = !dw.depth.empty();
  const auto last_bias = [&](std::size_t l) {
    return config_.theory.feed_forward ? dw.layers[l].down_bias : dw.layers[l].output_bias;
  };
  zero(dy);
  normalize_backward(dy, dw.norm, dw.norm_bias, dnormed, a.block_input(layers), weights_.norm, a.norm_statistics,
                     averages ? X() : last_bias(layers - 1));

  if (!g.pooled.empty()) zero(X(g.pooled));
  if (!g.outputs.empty()) zero(X(g.outputs));
  resolve_gradients(dcache, g);
  for (std::size_t l = layers; l-- > 0;) {  // dy: the gradient of block l's output, then of its input
    if (averages) {
      depth_average_backward(g.outputs.slice(0, l + 2), dw.depth[l], dy, a.stream.slice(0, l + 2), weights_.depth[l]);
      copy(dy, g.outputs.slice(l + 1, 1).reshape(dy.shape()));
      linear_backward_bias(last_bias(l), dy);
    }
    backward_feed_forward(l, dw.layers[l], dy, a);
    for (std::size_t m = 0; m <= l; ++m) {  // gradients begin where their heads are read last
      if (routing_.last_key_reader(m) == l && !routing_.overwrites_keys(m)) zero(dcache.keys(m));
      if (routing_.last_value_reader(m) == l && !routing_.overwrites_values(m)) zero(dcache.values(m));
    }
    backward_attend(l, dw, dy, l > 0 && !averages ? last_bias(l - 1) : X(),
                    g.heads.slice(l, 1).reshape({config_.num_attention_heads}), dcache, a);
  }
  if (!g.outputs.empty()) add(dy, dy, g.outputs.slice(0, 1).reshape(dy.shape()));
  if (config_.gpt2()) embedding_backward(dw.positions, dy, a.positions);
  return dy;
}

template <class T, class Space>
void Decoder<T, Space>::backward_feed_forward(std::size_t l, const LayerWeights<T, Space>& dw, X dx,
                                              Activations<T, Space>& a) const {
  if (!config_.theory.feed_forward) return;
  const LayerWeights<T, Space>& w = weights_.layers[l];
  const LayerActivations<T, Space>& s = a.layer(l);
  const X dhidden = s.hidden, dgate = s.up, dnormed = a.gradient.normed;  // each in the place of what is not read again
  linear_backward_weight(dw.down, X(), dx, s.hidden);
  if (config_.gpt2()) {
    gelu_linear_backward(dhidden, dx, w.down, s.up);
  } else {
    linear_backward_input(dhidden, dx, w.down);
    swiglu_backward(dgate, dhidden, dhidden, s.gate, s.up);
    linear_backward_weight(dw.gate, X(), dgate, s.normed2);
  }
  linear_backward_weight(dw.up, dw.up_bias, dhidden, s.normed2);
  linear_backward_input(dnormed, dhidden, w.up);
  if (!config_.gpt2()) linear_backward_input(dnormed, dgate, w.gate, WriteMode::accumulate);
  normalize_backward(dx, dw.norm2, dw.norm2_bias, dnormed, s.middle, w.norm2, s.statistics2, dw.output_bias);
}

template <class T, class Space>
void Decoder<T, Space>::backward_attend(std::size_t l, const Weights<T, Space>& dweights, X dx, X stream_bias,
                                        View<const HeadPair<T, Space>, Space> dheads, Cache<T, Space>& dcache,
                                        Activations<T, Space>& a) const {
  const LayerWeights<T, Space>&w = weights_.layers[l], &dw = dweights.layers[l];
  const LayerActivations<T, Space>& s = a.layer(l);
  GradientScratch<T, Space>& g = a.gradient;
  const std::size_t n = a.rows;
  const X dout = g.attention.reshape({n, g.attention.size() / n}), dquery = g.query.reshape({n, g.query.size() / n});
  linear_backward_weight(dw.output, X(), dx, s.attention.reshape(dout.shape()));
  linear_backward_input(dout, dx, w.output);
  if (config_.linear(l))
    linear_attention_backward(g.query, dheads, g.attention, s.query, heads(a, l), a.sequences, scale(), LinearNorm::keys);
  else
    attention_backward(g.query, dheads, g.attention, s.attention, s.lse, s.query, heads(a, l), a.sequences, scale());
  if (config_.latent()) backward_expand(l, dw, dcache, a);

  if (config_.rotates(l)) rope(g.query, rope_, a.positions, Rotation::inverse);
  linear_backward_weight(dw.query, dw.query_bias, dquery, s.normed1);
  linear_backward_input(g.normed, dquery, w.query);
  if (!w.key.empty()) {
    const X dkey = dcache.keys(l).reshape({n, w.key.extent(0)});
    if (config_.rotates(l)) rope(dkey.reshape({n, owned_keys(l), w.key.extent(0) / owned_keys(l)}), rope_, a.positions, Rotation::inverse);
    linear_backward_weight(dw.key, dw.key_bias, dkey, s.normed1);
    linear_backward_input(g.normed, dkey, w.key, WriteMode::accumulate);
  }
  if (!w.value.empty()) backward_values(l, dw, g.normed, dcache, a);
  normalize_backward(dx, dw.norm1, dw.norm1_bias, g.normed, a.block_input(l), w.norm1, s.statistics1, stream_bias);
}

template <class T, class Space>
void Decoder<T, Space>::backward_values(std::size_t l, const LayerWeights<T, Space>& dw, X dnormed, Cache<T, Space>& dcache,
                                        Activations<T, Space>& a) const {
  const LayerWeights<T, Space>& w = weights_.layers[l];
  const LayerActivations<T, Space>& s = a.layer(l);
  const X dvalue = dcache.values(l).reshape({a.rows, w.value.extent(0)});
  const std::vector<HeadName>& means = routing_.means;
  for (std::size_t m = 0; m < means.size(); ++m)
    if (means[m].layer == l)
      pool_backward(dcache.value({l, means[m].head}), dcache.value({l, means[m].other}), mean(a.gradient.pooled, m), a.batch,
                    a.capacity, routing_.value_width);
  if (routing_.mixes_values && l > 0) {
    const X dfirst = dcache.values(0).reshape(a.first_value.shape()), own(s.own_value.data(), dvalue.shape());
    value_mix_backward(dvalue, dfirst, dw.value_mix, dvalue, own, a.first_value, mix(l));
  }
  linear_backward_weight(dw.value, dw.value_bias, dvalue, s.normed1);
  linear_backward_input(dnormed, dvalue, w.value, WriteMode::accumulate);
}

template <class T, class Space>
void Decoder<T, Space>::backward_expand(std::size_t l, const LayerWeights<T, Space>& dw, Cache<T, Space>& dcache,
                                        Activations<T, Space>& a) const {
  const LayerWeights<T, Space>& w = weights_.layers[l];
  const LayerActivations<T, Space>& s = a.layer(l);
  GradientScratch<T, Space>& g = a.gradient;
  const LatentRouting& latent_table = routing_.latent;
  const std::size_t d_h = config_.head_width(), keys = a.capacity, rows = a.rows;
  for (std::size_t h = 0; h < config_.num_attention_heads; ++h) {
    Head<T, Space> dkey = part(g.key, h, config_.query_width());
    copy_head(part(g.content, h, d_h), dkey, a.batch, keys, d_h);
    dkey.data += d_h;
    copy_head(dcache.rotary_key(l), dkey, a.batch, keys, latent_table.rotary_width, WriteMode::accumulate);
  }
  const X dcontent = g.content.reshape({rows, g.content.width()}), dvalue = g.value.reshape({rows, g.value.width()});
  const X latent = s.latent.reshape({rows, s.latent.width()}), dlatent = g.latent.reshape(latent.shape());
  linear_backward_weight(dw.key_up, X(), dcontent, latent);
  linear_backward_weight(dw.value_up, X(), dvalue, latent);
  linear_backward_input(dlatent, dcontent, w.key_up);
  linear_backward_input(dlatent, dvalue, w.value_up, WriteMode::accumulate);
  for (std::size_t p = 0; p < latent_table.parts; ++p)
    copy_head(dcache.part(latent_table.part(l, p)), part(g.latent, p, latent_table.part_width), a.batch, keys,
              latent_table.part_width, WriteMode::accumulate);
}

}  // namespace skipv1
