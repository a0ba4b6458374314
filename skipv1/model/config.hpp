// The configuration of a model (docs/spec/formats.md, "config.json") and the rules it must
// obey (docs/spec/models.md, "Refused configurations").
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "skipv1/core/check.hpp"
#include "skipv1/routing/variants.hpp"

namespace skipv1 {

enum class Architecture { gpt2, llama };

/// `config.json`'s "attention". Fields that a variant does not use keep their defaults.
struct AttentionConfig {
  std::string variant = "mha";
  double skip_ratio = 0.5;
  std::size_t source_layer = 0;
  Injection injection = Injection::second_half;
  double value_mix = 0.5;
  bool learn_value_mix = false;
  std::size_t kv_latent_size = 0;  ///< MLA's d_c
  std::size_t rotary_size = 0;     ///< MLA's d_r
  friend bool operator==(const AttentionConfig&, const AttentionConfig&) = default;
};

inline constexpr std::size_t every_layer = std::numeric_limits<std::size_t>::max();

/// What the models of the paper's section 4 have and `config.json` has no keys for; as it stands, a model of docs/spec/models.md.
struct TheoryConfig {
  std::size_t head_size = 0;                 ///< d_h; 0: hidden_size / num_attention_heads
  std::size_t softmax_layers = every_layer;  ///< so many first layers have softmax attention, the others linear attention
  std::size_t rotary_layers = every_layer;   ///< so many first layers turn queries and keys by RoPE (llama)
  bool norms = true;                         ///< false: nothing is normalised
  bool feed_forward = true;                  ///< false: blocks of attention alone
  friend bool operator==(const TheoryConfig&, const TheoryConfig&) = default;
};

/// A model's configuration; the fields have the names of `config.json`'s keys.
struct Config {
  Architecture architecture = Architecture::llama;
  std::size_t vocab_size = 256, hidden_size = 64, intermediate_size = 172, num_hidden_layers = 4;
  std::size_t num_attention_heads = 4, num_key_value_heads = 4, max_position_embeddings = 256;
  double norm_epsilon = 1e-5, rope_theta = 10000;
  bool tie_word_embeddings = true;
  AttentionConfig attention;
  TheoryConfig theory = {};
  friend bool operator==(const Config&, const Config&) = default;

  /// d_h.
  std::size_t head_width() const { return theory.head_size ? theory.head_size : hidden_size / num_attention_heads; }
  bool gpt2() const { return architecture == Architecture::gpt2; }
  const Variant& variant() const { return find_variant(attention.variant); }
  bool latent() const { return variant().latent_parts != 0; }
  /// Width of a query and key head: `d_h`, for MLA `d_h + d_r`.
  std::size_t query_width() const { return head_width() + (latent() ? attention.rotary_size : 0); }
  bool rotates(std::size_t l) const { return !gpt2() && l < theory.rotary_layers; }  ///< layer l's queries and keys, by RoPE
  bool linear(std::size_t l) const { return l >= theory.softmax_layers; }            ///< layer l's attention
  /// Whether the values that layers `l >= 1` own are mixed with layer 0's.
  bool mixes_values() const { return variant().mixes_values || attention.injection == Injection::resformer; }
};

inline const char* to_string(Architecture a) { return a == Architecture::gpt2 ? "gpt2" : "llama"; }
inline const char* to_string(Injection injection) {
  constexpr const char* names[] = {"second_half", "pooling", "dynamic", "odd_even", "resformer"};
  return names[static_cast<std::size_t>(injection)];
}
/// The injection called `name`; throws if there is none.
inline Injection parse_injection(const std::string& name) {
  for (std::size_t i = 0; i < 5; ++i)
    if (name == to_string(static_cast<Injection>(i))) return static_cast<Injection>(i);
  fail("injection \"", name, "\" is unknown; known are second_half, pooling, dynamic, odd_even, resformer");
}

namespace detail {
inline void check_sizes(const Config& c) {
  static constexpr std::size_t most = std::numeric_limits<std::int32_t>::max();
  const auto positive = [](const char* key, std::size_t value) {
    require(value >= 1 && value <= most, key, " is ", value, ": must be 1 to ", most);
  };
  positive("vocab_size", c.vocab_size);
  positive("hidden_size", c.hidden_size);
  positive("intermediate_size", c.intermediate_size);
  positive("num_hidden_layers", c.num_hidden_layers);
  positive("num_attention_heads", c.num_attention_heads);
  positive("num_key_value_heads", c.num_key_value_heads);
  positive("max_position_embeddings", c.max_position_embeddings);
  require(c.num_hidden_layers <= 4096 && c.num_attention_heads <= 4096, "num_hidden_layers ", c.num_hidden_layers,
          " and num_attention_heads ", c.num_attention_heads, ": at most 4096 each");
  require(c.theory.head_size <= most, "head_size is ", c.theory.head_size, ": must be at most ", most);
  require(c.theory.head_size || c.hidden_size % c.num_attention_heads == 0, "hidden_size ", c.hidden_size,
          " is not a multiple of num_attention_heads ", c.num_attention_heads);
  require(c.num_attention_heads % c.num_key_value_heads == 0, "num_attention_heads ", c.num_attention_heads,
          " is not a multiple of num_key_value_heads ", c.num_key_value_heads);
  require(std::isfinite(c.norm_epsilon) && c.norm_epsilon > 0, "norm_epsilon is ", c.norm_epsilon, ": must be positive");
  require(c.gpt2() || (std::isfinite(c.rope_theta) && c.rope_theta > 0), "rope_theta is ", c.rope_theta, ": must be positive");
  require(!c.gpt2() || c.tie_word_embeddings, "tie_word_embeddings is false: a gpt2 model's output head is tied");
}

inline void check_latent(const Config& c) {
  const AttentionConfig& a = c.attention;
  require(!c.gpt2(), "variant ", a.variant, " with architecture gpt2: only llama has it");
  require(c.num_key_value_heads == c.num_attention_heads, "variant ", a.variant, ": num_key_value_heads ", c.num_key_value_heads,
          " must equal num_attention_heads ", c.num_attention_heads);
  require(a.kv_latent_size >= 1 && a.kv_latent_size <= 1u << 20, "kv_latent_size is ", a.kv_latent_size, ": must be 1 to ",
          1u << 20);
  require(a.kv_latent_size % c.variant().latent_parts == 0, "kv_latent_size ", a.kv_latent_size, " is odd: variant ", a.variant,
          " halves it");
  require(a.rotary_size >= 2 && a.rotary_size % 2 == 0 && a.rotary_size <= 1u << 20, "rotary_size is ", a.rotary_size,
          ": must be even and at least 2");
}
}  // namespace detail

/// Throws unless `c` is a model that docs/spec/models.md allows; the line names the field, its value and the rule.
inline void validate(const Config& c) {
  detail::check_sizes(c);
  const AttentionConfig& a = c.attention;
  const Variant& variant = find_variant(a.variant);
  const bool grouped = c.num_key_value_heads != c.num_attention_heads;
  require(a.variant != "mha" || !grouped, "variant mha: num_key_value_heads ", c.num_key_value_heads,
          " must equal num_attention_heads ", c.num_attention_heads, " (fewer is gqa)");
  require(a.variant != "mqa" || c.num_key_value_heads == 1, "variant mqa: num_key_value_heads is ", c.num_key_value_heads,
          ": must be 1");
  require(!variant.even_layers || c.num_hidden_layers % 2 == 0, "variant ", a.variant, ": num_hidden_layers ",
          c.num_hidden_layers, " is odd: must be even");
  require(a.skip_ratio >= 0 && a.skip_ratio <= 1, "skip_ratio is ", a.skip_ratio, ": must be 0 to 1");
  require(std::isfinite(a.value_mix), "value_mix is ", a.value_mix, ": must be finite");
  require(a.source_layer == 0 || a.variant == "skipv1", "source_layer ", a.source_layer, " with variant ", a.variant,
          ": only skipv1 has one");
  require(a.source_layer < c.num_hidden_layers, "source_layer ", a.source_layer, ": there are only ", c.num_hidden_layers,
          " layers");
  require(a.injection == Injection::second_half || (a.variant == "skipv1" && !grouped && a.source_layer == 0), "injection ",
          to_string(a.injection),
          ": only skipv1 with num_key_value_heads equal to num_attention_heads and source_layer 0 has it");
  require(a.injection != Injection::pooling || a.skip_ratio == 0.5, "injection pooling with skip_ratio ", a.skip_ratio,
          ": must be 0.5");
  require(!a.learn_value_mix || variant.mixes_values, "learn_value_mix with variant ", a.variant, ": only resformer learns it");
  if (variant.latent_parts) {
    detail::check_latent(c);
  } else {
    require(!c.rotates(0) || c.head_width() % 2 == 0, c.theory.head_size ? "head_size" : "hidden_size / num_attention_heads",
            " is ", c.head_width(), ": RoPE needs an even head width");
  }
}

/// The routing table of a valid configuration. Throws if a registered variant's own table cannot be served.
inline Routing make_routing(const Config& c) {
  const Variant& variant = c.variant();
  RoutingShape shape{c.num_hidden_layers,    c.num_attention_heads,    c.num_key_value_heads,
                     c.attention.skip_ratio, c.attention.source_layer, c.attention.injection};
  if (variant.latent_parts) shape.heads = shape.kv_heads = variant.latent_parts;
  Routing table = variant.route(shape);
  require(table.layers == shape.layers && table.heads == shape.heads, "variant ", variant.name, " fills a table of ",
          table.layers, " layers and ", table.heads, " heads instead of ", shape.layers, " and ", shape.heads);
  for (std::size_t l = 1; l < shape.layers && c.mixes_values(); ++l)
    require(table.owned_values[l] <= table.owned_values[0], "variant ", variant.name, ": layer ", l, " mixes ",
            table.owned_values[l], " values with layer 0's ", table.owned_values[0]);
  table.key_width = variant.latent_parts ? c.attention.rotary_size : c.head_width();
  table.value_width = variant.latent_parts ? c.attention.kv_latent_size / variant.latent_parts : c.head_width();
  return table;
}

}  // namespace skipv1
