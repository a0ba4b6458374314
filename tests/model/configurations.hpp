// The small models that the decoder's tests go through: every variant, with weights and tokens.
#pragma once

#include <sstream>

#include "skipv1/conformance/draw.hpp"

namespace skipv1 {

inline constexpr std::uint64_t sample_seed = 20;

inline Config base(Architecture architecture, const char* variant, std::size_t layers, std::size_t heads, std::size_t kv_heads) {
  Config c;
  c.architecture = architecture;
  c.vocab_size = 19, c.intermediate_size = 9, c.max_position_embeddings = 9;
  c.num_hidden_layers = layers, c.num_attention_heads = heads, c.num_key_value_heads = kv_heads;
  c.hidden_size = 4 * heads;
  c.tie_word_embeddings = c.gpt2() || layers % 2 == 0;
  c.rope_theta = 100;
  c.attention.variant = variant;
  c.attention.value_mix = 0.3;
  return c;
}

inline Config skipped(Config c, double ratio, std::size_t source = 0, Injection injection = Injection::second_half) {
  c.attention.skip_ratio = ratio, c.attention.source_layer = source, c.attention.injection = injection;
  return c;
}

/// llama's features of its own: heads of width `head_dim` (0: as ever), biases, norms of queries and keys, scaled frequencies.
inline Config featured(Config c, std::size_t head_dim, const char* biases, bool qk_norm, RopeKind kind = RopeKind::plain) {
  const std::string with = biases;
  c.head_dim = head_dim, c.qk_norm = qk_norm;
  c.qkv_bias = with.find("qkv") != with.npos, c.o_bias = with.find('o') != with.npos, c.mlp_bias = with.find("mlp") != with.npos;
  c.rope_frequencies.kind = kind;
  if (kind != RopeKind::plain) c.rope_frequencies.factor = 4;
  if (kind == RopeKind::llama3 || kind == RopeKind::yarn) c.rope_frequencies.original_max_position_embeddings = 8;
  if (kind == RopeKind::llama3) c.rope_frequencies.low_freq_factor = 0.1, c.rope_frequencies.high_freq_factor = 1;
  if (kind == RopeKind::yarn) {
    c.rope_frequencies.beta_fast = 1, c.rope_frequencies.beta_slow = 0.1;
    c.rope_frequencies.attention_factor = 1.3, c.rope_frequencies.truncate = head_dim > 6;
  }
  return c;
}

/// Each feature with variants that own, share, mix and average.
inline std::vector<Config> featured_configurations() {
  const Architecture a = Architecture::llama;
  std::vector<Config> all = {featured(base(a, "gqa", 2, 4, 2), 6, "qkv", false),
                             featured(base(a, "mqa", 2, 3, 1), 2, "qkv o", true, RopeKind::linear),
                             featured(base(a, "mha", 2, 3, 3), 8, "o mlp", true, RopeKind::llama3),
                             featured(skipped(base(a, "skipv1", 3, 4, 4), 0.5), 8, "qkv o mlp", true, RopeKind::yarn),
                             featured(skipped(base(a, "skipv1", 3, 6, 3), 0.75), 6, "qkv", false, RopeKind::yarn),
                             featured(skipped(base(a, "skipv1", 3, 4, 4), 0.5, 0, Injection::pooling), 6, "qkv o", true),
                             featured(skipped(base(a, "skipkv1", 3, 6, 3), 0.5), 0, "qkv", true, RopeKind::llama3),
                             featured(base(a, "yoco", 4, 4, 2), 6, "qkv mlp", true),
                             featured(base(a, "svformer", 3, 3, 3), 0, "qkv o mlp", false, RopeKind::linear),
                             featured(base(a, "resformer", 3, 4, 2), 6, "qkv", true, RopeKind::yarn),
                             featured(base(a, "denseformer", 3, 3, 3), 0, "qkv o mlp", true),
                             featured(base(a, "cla", 3, 4, 4), 6, "o", true, RopeKind::llama3)};
  all.push_back(featured(base(a, "skipv1_mla", 3, 3, 3), 6, "o mlp", false, RopeKind::yarn));
  all.back().attention.kv_latent_size = 6, all.back().attention.rotary_size = 4;
  all[1].hidden_size = 10, all[2].hidden_size = 7;  // no multiples of the heads
  return all;
}

/// Every variant on an architecture, at several sizes, ratios, sources and injections.
inline std::vector<Config> configurations(Architecture a) {
  std::vector<Config> all = {base(a, "mha", 2, 3, 3),       base(a, "gqa", 3, 6, 3),         base(a, "mqa", 2, 4, 1),
                             base(a, "mqa", 1, 3, 1),       base(a, "svformer", 3, 6, 3),    base(a, "svformer", 3, 5, 5),
                             base(a, "cla", 3, 4, 4),       base(a, "cla", 4, 4, 2),         base(a, "cla_v", 5, 3, 3),
                             base(a, "yoco", 6, 4, 2),      base(a, "yoco_v", 4, 3, 3),      base(a, "resformer", 3, 4, 2),
                             base(a, "resformer", 3, 3, 3), base(a, "denseformer", 4, 3, 3), base(a, "denseformer", 1, 4, 2)};
  all[12].attention.learn_value_mix = true;
  for (double ratio : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    all.push_back(skipped(base(a, "skipv1", 3, 5, 5), ratio));
    all.push_back(skipped(base(a, "skipv1", 4, 6, 3), ratio, 1));
    all.push_back(skipped(base(a, "skipv0", 3, 6, 6), ratio));
    all.push_back(skipped(base(a, "skipkv1", 3, 6, 3), ratio));
    all.push_back(skipped(base(a, "skipv1_yoco", 4, 4, 4), ratio));
    for (Injection injection : {Injection::dynamic, Injection::odd_even, Injection::resformer})
      all.push_back(skipped(base(a, "skipv1", 4, 4, 4), ratio, 0, injection));
  }
  all.push_back(skipped(base(a, "skipv1", 5, 4, 2), 0.5, 2));
  all.push_back(skipped(base(a, "skipv1", 5, 4, 4), 0.5, 3));
  for (std::size_t heads : {4u, 6u}) all.push_back(skipped(base(a, "skipv1", 3, heads, heads), 0.5, 0, Injection::pooling));
  if (a == Architecture::llama) {
    for (const char* variant : {"mla", "skipv1_mla"}) {
      all.push_back(base(a, variant, 3, 3, 3));
      all.back().attention.kv_latent_size = 6, all.back().attention.rotary_size = 2;
      all.push_back(base(a, variant, 2, 5, 5));
      all.back().hidden_size = 15, all.back().attention.kv_latent_size = 8, all.back().attention.rotary_size = 6;
    }
  }
  return all;
}

inline std::string title(const Config& c) {
  std::ostringstream s;
  s << to_string(c.architecture) << ' ' << c.attention.variant << " L " << c.num_hidden_layers << " H " << c.num_attention_heads
    << " H_kv " << c.num_key_value_heads << " ratio " << c.attention.skip_ratio << " source " << c.attention.source_layer << ' '
    << to_string(c.attention.injection);
  if (c.head_dim) s << " head_dim " << c.head_dim;
  s << (c.qkv_bias ? " qkv_bias" : "") << (c.o_bias ? " o_bias" : "") << (c.mlp_bias ? " mlp_bias" : "")
    << (c.qk_norm ? " qk_norm " : " ") << to_string(c.rope_frequencies.kind);
  return s.str();
}

/// Weights and tokens of a configuration.
struct Sample {
  explicit Sample(const Config& c)
      : config(c), weights(c), tokens(conformance::draw_tokens(batch * length, c.vocab_size, sample_seed)) {
    conformance::draw_weights(weights, config, sample_seed);
  }
  static constexpr std::size_t batch = 2, length = 7;
  Config config;
  Parameters<double> weights;
  std::vector<std::int32_t> tokens;  // (B, T)
};

}  // namespace skipv1
