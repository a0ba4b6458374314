// What a model of docs/spec/mesa.md is made of, and the names and shapes of its parameters.
#pragma once

#include <limits>
#include <string>

#include "skipv1/model/config.hpp"
#include "skipv1/model/parameters.hpp"

namespace skipv1::mesa {

inline constexpr std::size_t every_layer = std::numeric_limits<std::size_t>::max();

struct StackConfig {
  std::size_t width = 4, layers = 2, heads = 2, head_size = 4;  ///< width: of the residual stream
  std::size_t feed_forward = 0;                                 ///< width of SwiGLU; 0: blocks of attention alone
  std::size_t positions = 256;                                  ///< of a sequence, at most
  std::size_t softmax_layers = every_layer;  ///< how many of the first layers have softmax attention; the others: linear
  std::size_t rotary_layers = every_layer;   ///< how many of the first layers rotate queries and keys by RoPE
  bool norms = true;                         ///< RMSNorm; false: nothing is normalised
  double norm_epsilon = 1e-5, rope_theta = 10000;
  AttentionConfig attention = {};
};

namespace detail {
/// A configuration with the same table of heads.
inline Config table_config(const StackConfig& c) {
  Config table;
  table.architecture = c.rotary_layers ? Architecture::llama : Architecture::gpt2;  // the latter has heads of any width
  table.vocab_size = 1, table.num_hidden_layers = c.layers, table.hidden_size = c.heads * c.head_size;
  table.num_attention_heads = table.num_key_value_heads = c.heads, table.max_position_embeddings = c.positions;
  table.norm_epsilon = c.norm_epsilon, table.rope_theta = c.rope_theta;
  table.attention = c.attention;
  return table;
}
}  // namespace detail

/// Throws unless there is such a model; the line names what is wrong.
inline void validate(const StackConfig& c) {
  require(c.width >= 1 && c.head_size >= 1, "a stack of width ", c.width, " and heads of ", c.head_size, ": must be 1 or more");
  const Config table = detail::table_config(c);
  skipv1::validate(table);
  require(!table.latent() && !table.mixing().depth, "variant ", c.attention.variant, ": a stack routes heads alone");
}

/// Names and shapes of a stack's parameters, as a decoder calls them; there are no embeddings and no output head.
inline ParameterLayout stack_layout(const StackConfig& c) {
  const Routing routing = make_routing(detail::table_config(c));
  TensorList list;
  for (std::size_t l = 0; l < c.layers; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".";
    if (c.norms) list.add_norm(layer + "input_layernorm", c.width);
    list.add_attention(layer + "self_attn.", routing, l, c.width, {.learned_mix = c.attention.learn_value_mix});
    if (c.feed_forward == 0) continue;
    if (c.norms) list.add_norm(layer + "post_attention_layernorm", c.width);
    list.add_feed_forward(layer + "mlp.", c.width, c.feed_forward, {.gate = true});
  }
  if (c.norms) list.add_norm("model.norm", c.width);
  return ParameterLayout(list.entries);
}

}  // namespace skipv1::mesa
