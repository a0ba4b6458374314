// The tensors of a model by role: `Parameters`' names, looked up once.
#pragma once

#include <vector>

#include "skipv1/model/parameters.hpp"

namespace skipv1 {

/// One layer's tensors (or their gradients); what the configuration lacks is empty. `key` and `value` project to what the layer
/// owns: for MLA the rotary key (`k_rotary_proj`) and the latent (`kv_down_proj`).
template <class T, class Space = Cpu>
struct LayerWeights {
  View<T, Space> norm1, norm1_bias, query, query_bias, query_norm, key, key_bias, key_norm, value, value_bias, key_up, value_up,
      value_mix, output, output_bias;
  View<T, Space> norm2, norm2_bias, gate, gate_bias, up, up_bias, down, down_bias;
};

/// Layer l's tensors among `p`.
template <class T, class Space>
SKIPV1_COLD LayerWeights<T, Space> layer_weights(const Parameters<T, Space>& p, std::size_t l) {
  const std::string layer = "model.layers." + std::to_string(l) + ".", attention = layer + "self_attn.", mlp = layer + "mlp.";
  const bool latent = !p[attention + "k_up_proj.weight"].empty();
  const std::string key = attention + (latent ? "k_rotary_proj" : "k_proj"),
                    value = attention + (latent ? "kv_down_proj" : "v_proj");
  return {.norm1 = p[layer + "input_layernorm.weight"],
          .norm1_bias = p[layer + "input_layernorm.bias"],
          .query = p[attention + "q_proj.weight"],
          .query_bias = p[attention + "q_proj.bias"],
          .query_norm = p[attention + "q_norm.weight"],
          .key = p[key + ".weight"],
          .key_bias = p[key + ".bias"],
          .key_norm = p[attention + "k_norm.weight"],
          .value = p[value + ".weight"],
          .value_bias = p[value + ".bias"],
          .key_up = p[attention + "k_up_proj.weight"],
          .value_up = p[attention + "v_up_proj.weight"],
          .value_mix = p[attention + "value_mix"],
          .output = p[attention + "o_proj.weight"],
          .output_bias = p[attention + "o_proj.bias"],
          .norm2 = p[layer + "post_attention_layernorm.weight"],
          .norm2_bias = p[layer + "post_attention_layernorm.bias"],
          .gate = p[mlp + "gate_proj.weight"],
          .gate_bias = p[mlp + "gate_proj.bias"],
          .up = p[mlp + "up_proj.weight"],
          .up_bias = p[mlp + "up_proj.bias"],
          .down = p[mlp + "down_proj.weight"],
          .down_bias = p[mlp + "down_proj.bias"]};
}

/// The projections to queries, keys and values as one: weight (W, d), bias (W) or none.
template <class T, class Space = Cpu>
struct JoinedWeights {
  View<T, Space> weight, bias;
};
/// The joined projections of `w` if their weights are consecutive in memory; else empty views.
template <class T, class Space>
JoinedWeights<T, Space> join(const LayerWeights<T, Space>& w) {
  using X = View<T, Space>;
  const auto adjacent = [](X a, X b, X c) {
    return !a.empty() && !b.empty() && !c.empty() && b.data() == a.data() + a.size() && c.data() == b.data() + b.size();
  };
  if (!adjacent(w.query, w.key, w.value)) return {};
  const std::size_t width = w.query.extent(0) + w.key.extent(0) + w.value.extent(0);
  const X weight(w.query.data(), {width, w.query.width()});
  if (w.query_bias.empty() && w.key_bias.empty() && w.value_bias.empty()) return {weight, {}};
  if (!adjacent(w.query_bias, w.key_bias, w.value_bias)) return {};
  return {weight, X(w.query_bias.data(), {width})};
}

/// All tensors of a model (or their gradients).
template <class T, class Space = Cpu>
struct Weights {
  View<T, Space> tokens, positions, norm, norm_bias, head;  ///< `head` is `tokens` where the head is tied
  std::vector<LayerWeights<T, Space>> layers;
  std::vector<View<T, Space>> depth;

  /// Throws if `p` are the parameters of another configuration; names the first tensor that differs.
  SKIPV1_COLD Weights(const Parameters<T, Space>& p, const Config& config) {
    require_layout("parameters", p.layout(), ParameterLayout(config));
    tokens = p["model.embed_tokens.weight"];
    positions = p["model.embed_positions.weight"];
    norm = p["model.norm.weight"];
    norm_bias = p["model.norm.bias"];
    head = config.tie_word_embeddings ? tokens : p["lm_head.weight"];
    layers = std::vector<LayerWeights<T, Space>>(config.num_hidden_layers);
    if (config.mixing().depth) depth = std::vector<View<T, Space>>(config.num_hidden_layers);
    for (std::size_t l = 0; l < config.num_hidden_layers; ++l) {
      layers[l] = layer_weights(p, l);
      if (!depth.empty()) depth[l] = p["model.depth_weights." + std::to_string(l)];
    }
  }
};

}  // namespace skipv1
