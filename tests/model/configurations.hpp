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
