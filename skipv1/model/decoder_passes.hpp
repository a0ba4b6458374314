// The decoder's passes: embeddings, blocks, output head and loss, each step forward beside its way back.
#pragma once

#include "skipv1/model/decoder.hpp"
#include "skipv1/ops/cross_entropy.hpp"
#include "skipv1/ops/embedding.hpp"

namespace skipv1 {

template <class T, class Space>
Decoder<T, Space>::Decoder(const Config& config, const Parameters<T, Space>& parameters, Routing routing)
    : config_(config),
      weights_(parameters, config),
      blocks_(settings_of(config), (check_routing(routing), invert(routing), std::move(routing)), weights_.layers,
              weights_.depth),
      parameters_life_(parameters.lifetime()) {}

template <class T, class Space>
BlockSettings<T, Space> Decoder<T, Space>::settings_of(const Config& c) {
  BlockSettings<T, Space> settings;
  settings.sizes.hidden = c.hidden_size, settings.sizes.intermediate = c.intermediate_size;
  settings.sizes.layer_norm = c.gpt2(), settings.sizes.gated = !c.gpt2(), settings.sizes.averages_depth = c.mixing().depth;
  settings.sizes.norms_heads = c.qk_norm;
  settings.max_positions = c.max_position_embeddings;
  settings.norm_epsilon = c.norm_epsilon, settings.value_mix = c.attention.value_mix;
  if (c.gpt2()) return settings;
  const RopeScaling& scaling = c.rope_frequencies;
  const Tensor<Sum<T>> table = rope_table<Sum<T>>(
      c.max_position_embeddings, rope_frequencies(scaling, c.rope_theta, c.rotary_width()), scaling.attention_factor);
  settings.rope = Tensor<Sum<T>, Space>(table.shape());
  copy(settings.rope, table);
  settings.rotary_layers = c.num_hidden_layers;
  return settings;
}

template <class T, class Space>
void Decoder<T, Space>::check_routing(const Routing& given) const {
  const Routing own = make_routing(config_);
  require(given.layers == own.layers && given.heads == own.heads && given.owned_keys == own.owned_keys &&
              given.owned_values == own.owned_values && given.key_width == own.key_width &&
              given.value_width == own.value_width && given.mixes_values == own.mixes_values && given.latent == own.latent,
          "the routing table given does not own the heads of variant ", config_.attention.variant);
  require(given.keys.size() == own.keys.size() && given.values.size() == own.values.size(),
          "the routing table given: ", given.keys.size(), " keys and ", given.values.size(), " values: must be ", own.keys.size(),
          " each");
  for (std::size_t l = 0; l < own.layers; ++l) {
    for (std::size_t h = 0; h < own.heads; ++h) {
      const HeadName &key = given.key(l, h), &value = given.value(l, h);
      const auto held = [&](std::size_t layer, std::size_t head, const std::vector<std::size_t>& owned) {
        return layer <= l && head < owned[layer];
      };
      require(!key.pooled(), "the routing table given: layer ", l, " head ", h,
              " reads the mean of two keys: only values have means");
      require(held(key.layer, key.head, own.owned_keys) && (value.none() || held(value.layer, value.head, own.owned_values)) &&
                  (!value.pooled() || (!value.none() && held(value.layer, value.other, own.owned_values))),
              "the routing table given: layer ", l, " head ", h, " reads what neither it nor an earlier layer owns");
    }
  }
}

template <class T, class Space>
void Decoder<T, Space>::check_gradients(const Weights<T, Space>& dw, const Cache<T, Space>& dcache,
                                        const Activations<T, Space>& a) const {
  check_pass(a, "backward");
  require(dw.tokens.data() != weights_.tokens.data(), "backward: the gradients given are the model's own parameters");
  blocks_.check_gradients(dcache, a);
}

template <class T, class Space>
void Decoder<T, Space>::check_tokens(const std::vector<std::int32_t>& tokens) const {
  for (std::size_t n = 0; n < tokens.size(); ++n)
    require(tokens[n] >= 0 && static_cast<std::size_t>(tokens[n]) < config_.vocab_size, "token ", tokens[n], " at ", n,
            " is outside the vocabulary of ", config_.vocab_size);
}

template <class T, class Space>
View<T, Space> Decoder<T, Space>::forward(const Batch& batch, Cache<T, Space>& cache, Activations<T, Space>& a, Keep keep,
                                          Logits wanted, const Observer& observer) const {
  place(batch, cache, a, keep, wanted);
  // A single sequence is consecutive in the cache. `run` may be recorded and must not depend on lengths, so this is outside it.
  if (cache.batch() == 1) a.in_cache = true, a.cache_row = cache.lengths()[0];
  const X logits = run(cache, a, observer);
  cache.grow(batch.counts);
  return logits;
}

template <class T, class Space>
void Decoder<T, Space>::place(const Batch& batch, const Cache<T, Space>& cache, Activations<T, Space>& a, Keep keep,
                              Logits wanted) const {
  require(blocks_.count() == 0 || !parameters_life_.over(), "forward: the parameters that this decoder reads are gone");
  check_tokens(batch.tokens);
  require(keep == Keep::nothing || wanted != Logits::none, "a pass kept for backward: needs logits");
  blocks_.place(batch.counts, batch.tokens.size(), cache, a, keep);
  upload(a.tokens, batch.tokens);
  a.placed_model = weights_.tokens.data();
  a.vocab = config_.vocab_size;
  a.wanted = wanted;
  a.last.clear();
  std::size_t row = 0;
  for (std::size_t count : batch.counts) {
    row += count;
    if (count) a.last.push_back(row - 1);
  }
  if (wanted != Logits::last || a.last.size() == a.rows) a.last.clear();
  a.stage = Stage::placed;
}

template <class T, class Space>
View<T, Space> Decoder<T, Space>::run(Cache<T, Space>& cache, Activations<T, Space>& a, const Observer& observer) const {
  return run_with(softmax(), cache, a, observer);
}

template <class T, class Space>
template <class KernelOf>
View<T, Space> Decoder<T, Space>::run_with(const KernelOf& kernel_of, Cache<T, Space>& cache, Activations<T, Space>& a,
                                           const Observer& observer) const {
  require(a.stage == Stage::placed, "run: a batch is placed first, once per pass");
  check_pass(a, "run");
  a.stage = Stage::none;  // until all is done: an observer may throw
  embedding_forward(a.block_output(0), weights_.tokens, a.tokens);
  if (config_.gpt2()) embedding_forward(a.block_output(0), weights_.positions, a.positions, WriteMode::accumulate);
  blocks_.forward(cache, a, kernel_of, observer);
  const X logits = output(a);
  a.stage = Stage::forward;
  return logits;
}

template <class T, class Space>
template <class KernelOf>
void Decoder<T, Space>::backward_blocks(const KernelOf& kernel_of, const Weights<T, Space>& dw, Cache<T, Space>& dcache,
                                        Activations<T, Space>& a, const Observer& ready) const {
  const X dx = a.gradient.stream;
  zero(dx);
  final_norm(weights_).backward(dx, final_norm(dw), a.block_normed, a.block_input(blocks_.count()), a.norm_statistics,
                                blocks_.last_bias(dw.layers));
  blocks_.backward(dx, dw.layers, dw.depth, dcache, a, kernel_of, ready);
  if (config_.gpt2()) embedding_backward(dw.positions, dx, a.positions);
  embedding_backward(dw.tokens, dx, a.tokens);
}

template <class T, class Space>
View<T, Space> Decoder<T, Space>::output(Activations<T, Space>& a) const {
  if (a.wanted == Logits::none) return {};
  const X y = a.block_input(blocks_.count());
  const bool in_parts = a.wanted == Logits::in_parts;
  const std::size_t rows = a.last.empty() ? a.rows : a.last.size(), d = config_.hidden_size;
  const Shape logits{in_parts ? a.part() : rows, config_.vocab_size};
  if (!(a.logits.shape() == logits) || a.normed.extent(0) != rows) {
    a.normed = Tensor<T, Space>({rows, d});
    a.norm_statistics = Tensor<Sum<T>, Space>(a.sizes.statistics(rows));
    a.logits = Tensor<T, Space>(logits);
    a.loss = Tensor<Sum<T>, Space>({rows});
    a.total_loss = Tensor<double, Space>({1});
  }
  const Norm<T, Space> norm = final_norm(weights_);
  const std::size_t kept = a.sizes.statistics(1).size();
  if (a.last.empty()) norm.forward(a.normed, a.norm_statistics, y);
  for (std::size_t r = 0; r < a.last.size(); ++r)
    norm.forward(a.normed.slice(r, 1), View<Sum<T>, Space>(a.norm_statistics.data() + r * kept, {1, kept}),
                 y.slice(a.last[r], 1));
  if (in_parts) return {};
  linear_forward(a.logits, a.normed, weights_.head, X());
  return a.logits;
}

template <class T, class Space>
void Decoder<T, Space>::backward_head(X dnormed, const Weights<T, Space>& dw, X dlogits, X normed) const {
  linear_backward_weight(dw.head, X(), dlogits, normed);
  linear_backward_input(dnormed, dlogits, weights_.head);
}

template <class T, class Space>
double Decoder<T, Space>::loss(const std::vector<std::int32_t>& targets, Activations<T, Space>& a) const {
  const double scale = place_targets(targets, a);
  run_loss(scale, a);
  return mean_loss(scale, a);
}

template <class T, class Space>
double Decoder<T, Space>::place_targets(const std::vector<std::int32_t>& targets, Activations<T, Space>& a) const {
  check_pass(a, "loss");
  require(a.wanted != Logits::none, "loss: the forward pass made no logits");
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
  require(a.wanted != Logits::none, "loss: the forward pass made no logits");
  require(a.wanted != Logits::in_parts, "loss: the forward pass left the logits to run_loss_backward");
  require(a.stage == Stage::forward, "loss: comes after a forward pass, once where that was kept for backward");
  const bool keeps = a.keep == Keep::for_backward;
  cross_entropy(a.loss, keeps ? X(a.logits) : X(), a.logits, a.targets, scale);
  total_loss<Sum<T>>(a.total_loss, a.loss);
  if (keeps) a.stage = Stage::loss;
}

template <class T, class Space>
double Decoder<T, Space>::mean_loss(double scale, const Activations<T, Space>& a) const {
  Tensor<double> sum({1});
  copy(sum, a.total_loss);
  return sum(0u) * scale;
}

template <class T, class Space>
void Decoder<T, Space>::backward(const Parameters<T, Space>& gradients, Cache<T, Space>& dcache, Activations<T, Space>& a) const {
  backward_with(softmax(), gradients, dcache, a);
}

template <class T, class Space>
template <class KernelOf>
void Decoder<T, Space>::backward_with(const KernelOf& kernel_of, const Parameters<T, Space>& gradients, Cache<T, Space>& dcache,
                                      Activations<T, Space>& a) const {
  require(a.keep == Keep::for_backward, "backward: the forward pass kept nothing for it");
  require(a.wanted != Logits::in_parts, "backward: the forward pass left the logits to run_loss_backward");
  require(a.stage == Stage::loss, "backward: comes after the loss, once per forward pass");
  const Weights<T, Space> dw(gradients, config_);
  check_gradients(dw, dcache, a);
  a.stage = Stage::none;
  backward_head(a.block_normed, dw, a.logits, a.normed);
  backward_blocks(kernel_of, dw, dcache, a);
}

template <class T, class Space>
void Decoder<T, Space>::backward(ConstView<T, Space> dlogits, const Parameters<T, Space>& gradients, Cache<T, Space>& dcache,
                                 Activations<T, Space>& a) const {
  check_pass(a, "backward");
  require(a.stage == Stage::forward || a.stage == Stage::loss, "backward: comes after a forward pass, once");
  require(dlogits.shape() == a.logits.shape(), "backward: dlogits ", dlogits.shape(), " of logits ", a.logits.shape());
  if (dlogits.data() != a.logits.data()) copy(X(a.logits), dlogits);
  a.stage = Stage::loss;
  backward(gradients, dcache, a);
}

template <class T, class Space>
void Decoder<T, Space>::run_loss_backward(double scale, const Parameters<T, Space>& gradients, Cache<T, Space>& dcache,
                                          Activations<T, Space>& a, const Observer& ready) const {
  require(a.keep == Keep::for_backward && a.wanted == Logits::in_parts,
          "run_loss_backward: the forward pass was not one for backward in parts");
  require(a.stage == Stage::forward, "run_loss_backward: comes after a forward pass, once");
  const Weights<T, Space> dw(gradients, config_);
  check_gradients(dw, dcache, a);
  a.stage = Stage::none;
  const std::size_t part = a.logits.extent(0);
  for (std::size_t begin = 0; begin < a.rows; begin += part) {
    const std::size_t rows = std::min(part, a.rows - begin);
    const X logits = a.logits.slice(0, rows), normed = a.normed.slice(begin, rows);
    linear_forward(logits, normed, weights_.head, X());
    cross_entropy(a.loss.slice(begin, rows), logits, logits, a.targets.slice(begin, rows), scale);
    backward_head(a.block_normed.slice(begin, rows), dw, logits, normed);
  }
  total_loss<Sum<T>>(a.total_loss, a.loss);
  if (ready) ready(blocks_.count());
  backward_blocks(softmax(), dw, dcache, a, ready);
}

}  // namespace skipv1
