// The decoder's forward pass, in the order in which it runs.
#pragma once

#include "skipv1/model/decoder.hpp"
#include "skipv1/ops/add.hpp"
#include "skipv1/ops/attention/attention.hpp"
#include "skipv1/ops/depth_average.hpp"
#include "skipv1/ops/embedding.hpp"
#include "skipv1/ops/head_copy.hpp"
#include "skipv1/ops/layer_norm.hpp"
#include "skipv1/ops/linear.hpp"
#include "skipv1/ops/linear_attention.hpp"
#include "skipv1/ops/linear_gelu.hpp"
#include "skipv1/ops/rms_norm.hpp"
#include "skipv1/ops/rope.hpp"
#include "skipv1/ops/scatter.hpp"
#include "skipv1/ops/swiglu.hpp"
#include "skipv1/ops/value_mix.hpp"

namespace skipv1 {

template <class T, class Space>
Decoder<T, Space>::Decoder(const Config& config, const Parameters<T, Space>& parameters, Routing routing)
    : config_(config), routing_(std::move(routing)), weights_(parameters, config), value_mix_({1}) {
  check_routing();
  invert(routing_);
  const std::size_t rotary = config.latent() ? config.attention.rotary_size : config.head_width();
  if (!config.gpt2()) {
    const Tensor<Sum<T>> table = rope_table<Sum<T>>(config.max_position_embeddings, rotary, config.rope_theta);
    rope_ = Tensor<Sum<T>, Space>(table.shape());
    copy(rope_, table);
  }
  Tensor<T> mix({1});
  mix(0u) = static_cast<T>(config.attention.value_mix);
  copy(value_mix_, mix);
}

template <class T, class Space>
View<T, Space> Decoder<T, Space>::forward(const Batch& batch, Cache<T, Space>& cache, Activations<T, Space>& a, Keep keep,
                                          Logits wanted, const Observer& observer) const {
  place(batch, cache, a, keep, wanted);
  const X logits = run(cache, a, observer);
  cache.grow(batch.counts);
  return logits;
}

template <class T, class Space>
void Decoder<T, Space>::place(const Batch& batch, const Cache<T, Space>& cache, Activations<T, Space>& a, Keep keep,
                              Logits wanted) const {
  check(batch.counts, batch.tokens.size(), cache, keep);
  check(batch.tokens);
  a.prepare(config_, routing_, cache, batch.tokens.size(), keep);
  place_rows(batch.counts, cache, a);
  upload(a.tokens, batch.tokens);
  resolve_heads(cache, a);
  a.wanted = wanted;
  a.last.clear();
  std::size_t row = 0;
  for (std::size_t count : batch.counts) {
    row += count;
    if (count) a.last.push_back(row - 1);
  }
  if (wanted != Logits::last || a.last.size() == a.rows) a.last.clear();
}

template <class T, class Space>
View<T, Space> Decoder<T, Space>::run(Cache<T, Space>& cache, Activations<T, Space>& a, const Observer& observer) const {
  embedding_forward(a.block_output(0), weights_.tokens, a.tokens);
  if (config_.gpt2()) embedding_forward(a.block_output(0), weights_.positions, a.positions, WriteMode::accumulate);
  run_blocks(cache, a, observer);
  return output(a);
}

template <class T, class Space>
View<T, Space> Decoder<T, Space>::forward_rows(ConstView<T, Space> inputs, const std::vector<std::size_t>& counts,
                                               Cache<T, Space>& cache, Activations<T, Space>& a, Keep keep,
                                               const Observer& observer) const {
  const std::size_t n = inputs.extent(0), d = config_.hidden_size;
  require(inputs.shape() == Shape{n, d}, "decoder: inputs ", inputs.shape(), " into a stream of width ", d);
  check(counts, n, cache, keep);
  a.prepare(config_, routing_, cache, n, keep);
  place_rows(counts, cache, a);
  resolve_heads(cache, a);
  copy(a.block_output(0), inputs);
  if (config_.gpt2()) embedding_forward(a.block_output(0), weights_.positions, a.positions, WriteMode::accumulate);
  run_blocks(cache, a, observer);
  cache.grow(counts);
  if (!(a.normed.shape() == Shape{n, d})) {
    a.normed = Tensor<T, Space>({n, d});
    a.norm_statistics = Tensor<Sum<T>, Space>(config_.gpt2() ? Shape{n, 2} : Shape{n});
  }
  normalize(a.normed, a.norm_statistics, a.block_input(config_.num_hidden_layers), weights_.norm, weights_.norm_bias);
  return a.normed;
}

template <class T, class Space>
void Decoder<T, Space>::run_blocks(Cache<T, Space>& cache, Activations<T, Space>& a, const Observer& observer) const {
  for (std::size_t l = 0; l < config_.num_hidden_layers; ++l) {
    attend(l, cache, a);
    if (observer) observer(l);
    feed_forward(l, a);
    if (!weights_.depth.empty()) {
      const std::size_t j = l + 2;
      depth_average_forward(a.block_input(l + 1), a.stream.slice(0, j), weights_.depth[l]);
    }
  }
}

template <class T, class Space>
void Decoder<T, Space>::check_routing() const {
  const Routing own = make_routing(config_);
  require(routing_.layers == own.layers && routing_.heads == own.heads && routing_.owned_keys == own.owned_keys &&
              routing_.owned_values == own.owned_values && routing_.key_width == own.key_width &&
              routing_.value_width == own.value_width && routing_.mixes_values == own.mixes_values &&
              routing_.latent == own.latent,
          "the routing table given does not own the heads of variant ", config_.attention.variant);
  for (std::size_t l = 0; l < own.layers; ++l) {
    for (std::size_t h = 0; h < own.heads; ++h) {
      const HeadName &key = routing_.key(l, h), &value = routing_.value(l, h);
      const auto held = [&](std::size_t layer, std::size_t head, const std::vector<std::size_t>& owned) {
        return layer <= l && head < owned[layer];
      };
      require(held(key.layer, key.head, own.owned_keys) && (value.none() || held(value.layer, value.head, own.owned_values)) &&
                  (!value.pooled() || (!value.none() && held(value.layer, value.other, own.owned_values))),
              "the routing table given: layer ", l, " head ", h, " reads what neither it nor an earlier layer owns");
    }
  }
}

template <class T, class Space>
void Decoder<T, Space>::check(const std::vector<std::size_t>& counts, std::size_t rows, const Cache<T, Space>& cache,
                              Keep keep) const {
  std::size_t sum = 0;
  cache.require_routing(routing_);
  require(counts.size() == cache.batch(), "batch of ", counts.size(), " sequences with a cache of ", cache.batch());
  for (std::size_t b = 0; b < counts.size(); ++b) {
    const std::size_t count = counts[b], length = cache.lengths()[b] + count;
    require(length <= config_.max_position_embeddings, "sequence ", b, " would be ", length,
            " tokens long: max_position_embeddings is ", config_.max_position_embeddings);
    require(length <= cache.capacity(), "sequence ", b, " would be ", length, " tokens long: the cache holds ", cache.capacity());
    require(keep == Keep::nothing || (cache.lengths()[b] == 0 && count == cache.capacity()), "sequence ", b,
            ": a pass kept for backward starts from an empty cache and fills it");
    sum += count;
  }
  require(sum == rows && rows > 0, "batch of ", rows, " tokens whose counts sum to ", sum, ": must be equal and positive");
}

template <class T, class Space>
void Decoder<T, Space>::check(const std::vector<std::int32_t>& tokens) const {
  for (std::size_t n = 0; n < tokens.size(); ++n)
    require(tokens[n] >= 0 && static_cast<std::size_t>(tokens[n]) < config_.vocab_size, "token ", tokens[n], " at ", n,
            " is outside the vocabulary of ", config_.vocab_size);
}

template <class T, class Space>
void Decoder<T, Space>::place_rows(const std::vector<std::size_t>& counts, const Cache<T, Space>& cache,
                                   Activations<T, Space>& a) const {
  if (a.counts == counts && a.pasts == cache.lengths()) return;
  a.counts = counts, a.pasts = cache.lengths();
  std::vector<std::int32_t> positions, row_begin{0}, past;
  std::size_t max_rows = 0, max_keys = 0;
  for (std::size_t b = 0; b < counts.size(); ++b) {
    const std::size_t length = cache.lengths()[b], count = counts[b];
    for (std::size_t i = 0; i < count; ++i) positions.push_back(static_cast<std::int32_t>(length + i));
    row_begin.push_back(static_cast<std::int32_t>(positions.size()));
    past.push_back(static_cast<std::int32_t>(length));
    max_rows = std::max(max_rows, count);
    max_keys = std::max(max_keys, length + count);
  }
  upload(a.positions, positions);
  upload(a.row_begin, row_begin);
  upload(a.past, past);
  if constexpr (!std::is_same_v<Space, Cpu>) max_keys = cache.capacity();  // so that launches are the same for any lengths
  a.sequences = {a.row_begin, a.past, max_rows, max_keys};
}

template <class T, class Space>
template <class U, class LatentKey, class LatentValue>
std::vector<HeadPair<U, Space>> Decoder<T, Space>::resolve(const Cache<T, Space>& cache, X pooled, const LatentKey& latent_key,
                                                           const LatentValue& latent_value) const {
  std::vector<HeadPair<U, Space>> table;
  for (std::size_t l = 0; l < config_.num_hidden_layers; ++l) {
    for (std::size_t h = 0; h < config_.num_attention_heads; ++h) {
      if (config_.latent()) {
        table.push_back({part(latent_key(l), h, config_.query_width()), part(latent_value(l), h, config_.head_width())});
        continue;
      }
      const HeadName& name = routing_.value(l, h);
      Head<T, Space> value;
      if (name.pooled())
        value = mean(pooled, routing_.mean_of[l * routing_.heads + h]);
      else if (!name.none())
        value = cache.value(name);
      table.push_back({cache.key(routing_.key(l, h)), value});
    }
  }
  return table;
}

template <class T, class Space>
void Decoder<T, Space>::resolve_heads(const Cache<T, Space>& cache, Activations<T, Space>& a) const {
  auto table = resolve<const T>(
      cache, a.pooled, [&](std::size_t l) -> X { return a.layer(l).key; }, [&](std::size_t l) -> X { return a.layer(l).value; });
  const Shape shape{config_.num_hidden_layers, config_.num_attention_heads};
  if (a.placed_readers != routing_.readers) {
    if (!(a.readers.shape() == shape)) a.readers = Tensor<HeadReader, Space>(shape);
    copy(a.readers, View<const HeadReader>(routing_.readers.data(), shape));
    a.placed_readers = routing_.readers;
  }
  if (table == a.resolved) return;
  if (!(a.heads.shape() == shape)) a.heads = Tensor<HeadPair<const T, Space>, Space>(shape);
  copy(a.heads, View<const HeadPair<const T, Space>>(table.data(), shape));
  a.resolved = std::move(table);
}

template <class T, class Space>
void Decoder<T, Space>::attend(std::size_t l, Cache<T, Space>& cache, Activations<T, Space>& a) const {
  const LayerWeights<T, Space>& w = weights_.layers[l];
  LayerActivations<T, Space>& s = a.layer(l);
  const std::size_t n = a.rows;
  normalize(s.normed1, s.statistics1, a.block_input(l), w.norm1, w.norm1_bias);
  linear_forward(s.query.reshape({n, s.query.size() / n}), s.normed1, w.query, w.query_bias);
  if (config_.rotates(l)) rope(s.query, rope_, a.positions);
  if (!w.key.empty()) store_keys(l, cache, a);
  if (!w.value.empty()) store_values(l, cache, a);
  pool(l, cache, a);
  if (config_.latent()) expand(l, cache, a);
  if (config_.linear(l))
    linear_attention_forward(s.attention, s.query, heads(a, l), a.sequences, scale(), LinearNorm::keys);
  else
    attention_forward(s.attention, s.lse, s.query, heads(a, l), a.sequences, scale());
  linear_forward(s.middle, s.attention.reshape({n, s.attention.size() / n}), w.output, w.output_bias, a.block_input(l));
}

template <class T, class Space>
void Decoder<T, Space>::store_keys(std::size_t l, Cache<T, Space>& cache, Activations<T, Space>& a) const {
  const LayerWeights<T, Space>& w = weights_.layers[l];
  const Shape shape{a.rows, w.key.extent(0)};
  const X key = a.fills_cache() ? cache.keys(l).reshape(shape) : X(a.new_key.data(), shape);
  linear_forward(key, a.layer(l).normed1, w.key, w.key_bias);
  if (config_.rotates(l)) rope(key.reshape({a.rows, owned_keys(l), w.key.extent(0) / owned_keys(l)}), rope_, a.positions);
  if (!a.fills_cache()) scatter_rows(cache.keys(l), key, a.sequences);
}

template <class T, class Space>
void Decoder<T, Space>::store_values(std::size_t l, Cache<T, Space>& cache, Activations<T, Space>& a) const {
  const LayerWeights<T, Space>& w = weights_.layers[l];
  const bool mixes = routing_.mixes_values;
  const Shape shape{a.rows, w.value.extent(0)};
  const X value = a.fills_cache() ? cache.values(l).reshape(shape) : X(a.new_value.data(), shape);
  const X own = mixes && l > 0 ? X(a.layer(l).own_value.data(), shape) : value;
  linear_forward(own, a.layer(l).normed1, w.value, w.value_bias);
  if (mixes) l == 0 ? copy(X(a.first_value), value) : value_mix_forward(value, own, a.first_value, mix(l));
  if (!a.fills_cache()) scatter_rows(cache.values(l), value, a.sequences);
}

template <class T, class Space>
void Decoder<T, Space>::pool(std::size_t l, const Cache<T, Space>& cache, Activations<T, Space>& a) const {
  const std::vector<HeadName>& means = routing_.means;
  for (std::size_t m = 0; m < means.size(); ++m)
    if (means[m].layer == l)
      pool_forward(mean(a.pooled, m), cache.value({l, means[m].head}), cache.value({l, means[m].other}), a.batch,
                   a.sequences.max_keys, routing_.value_width);
}

template <class T, class Space>
void Decoder<T, Space>::expand(std::size_t l, const Cache<T, Space>& cache, Activations<T, Space>& a) const {
  const LayerWeights<T, Space>& w = weights_.layers[l];
  LayerActivations<T, Space>& s = a.layer(l);
  const std::size_t d_h = config_.head_width(), keys = a.sequences.max_keys;
  const LatentRouting& latent = routing_.latent;
  for (std::size_t p = 0; p < latent.parts; ++p)
    copy_head(part(s.latent, p, latent.part_width), cache.part(latent.part(l, p)), a.batch, keys, latent.part_width);
  for (std::size_t b = 0; b < a.batch; ++b) {
    linear_forward(positions_of(a.content, b, keys), positions_of(s.latent, b, keys), w.key_up, X());
    linear_forward(positions_of(s.value, b, keys), positions_of(s.latent, b, keys), w.value_up, X());
  }
  for (std::size_t h = 0; h < config_.num_attention_heads; ++h) {
    Head<T, Space> key = part(s.key, h, config_.query_width());
    copy_head(key, part(a.content, h, d_h), a.batch, keys, d_h);
    key.data += d_h;
    copy_head(key, cache.rotary_key(l), a.batch, keys, latent.rotary_width);
  }
}

template <class T, class Space>
void Decoder<T, Space>::feed_forward(std::size_t l, Activations<T, Space>& a) const {
  const LayerWeights<T, Space>& w = weights_.layers[l];
  LayerActivations<T, Space>& s = a.layer(l);
  if (!config_.theory.feed_forward) return copy(a.block_output(l + 1), s.middle);
  normalize(s.normed2, s.statistics2, s.middle, w.norm2, w.norm2_bias);
  if (config_.gpt2()) {
    linear_gelu_forward(s.hidden, s.up, s.normed2, w.up, w.up_bias);
  } else {
    linear_forward(s.up, s.normed2, w.up, w.up_bias);
    linear_forward(s.gate, s.normed2, w.gate, X());
    swiglu_forward(s.hidden, s.gate, s.up);
  }
  const X y = a.block_output(l + 1);
  linear_forward(y, s.hidden, w.down, w.down_bias, s.middle);
}

template <class T, class Space>
View<T, Space> Decoder<T, Space>::output(Activations<T, Space>& a) const {
  const X y = a.block_input(config_.num_hidden_layers);
  const bool in_parts = a.wanted == Logits::in_parts;
  const std::size_t rows = a.last.empty() ? a.rows : a.last.size(), d = config_.hidden_size;
  const Shape logits{in_parts ? a.part() : rows, config_.vocab_size};
  if (!(a.logits.shape() == logits) || a.normed.extent(0) != rows) {
    a.normed = Tensor<T, Space>({rows, d});
    a.norm_statistics = Tensor<Sum<T>, Space>(config_.gpt2() ? Shape{rows, 2} : Shape{rows});
    a.logits = Tensor<T, Space>(logits);
    a.loss = Tensor<Sum<T>, Space>({rows});
    a.total_loss = Tensor<double, Space>({1});
  }
  if (a.last.empty()) {
    normalize(a.normed, a.norm_statistics, y, weights_.norm, weights_.norm_bias);
  } else {
    const std::size_t kept = config_.gpt2() ? 2 : 1;
    for (std::size_t r = 0; r < rows; ++r)
      normalize(a.normed.slice(r, 1), View<Sum<T>, Space>(a.norm_statistics.data() + r * kept, {1, kept}), y.slice(a.last[r], 1),
                weights_.norm, weights_.norm_bias);
  }
  if (in_parts) return {};
  linear_forward(a.logits, a.normed, weights_.head, X());
  return a.logits;
}

}  // namespace skipv1
