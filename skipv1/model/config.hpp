// The configuration of a model (docs/spec/formats.md, "config.json") and the rules it must
// obey (docs/spec/models.md, "Refused configurations").
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "skipv1/core/check.hpp"
#include "skipv1/model/rope_scaling.hpp"
#include "skipv1/routing/variants.hpp"

namespace skipv1 {

enum class Architecture { gpt2, llama };

/// `config.json`'s "attention". Fields that a variant does not use keep their defaults.
struct AttentionConfig {
  std::string variant = default_variant;
  double skip_ratio = 0.5;
  std::size_t source_layer = 0;
  Injection injection = Injection::second_half;
  double value_mix = 0.5;
  bool learn_value_mix = false;
  std::size_t kv_latent_size = 0;  ///< MLA's d_c
  std::size_t rotary_size = 0;     ///< MLA's d_r
  HeadTable table = {};            ///< of the variant that is one
  friend bool operator==(const AttentionConfig&, const AttentionConfig&) = default;
};

/// A model's configuration; the fields have the names of `config.json`'s keys.
struct Config {
  Architecture architecture = Architecture::llama;
  std::size_t vocab_size = 256, hidden_size = 64, intermediate_size = 172, num_hidden_layers = 4;
  std::size_t num_attention_heads = 4, num_key_value_heads = 4, max_position_embeddings = 256;
  double norm_epsilon = 1e-5, rope_theta = 10000;
  bool tie_word_embeddings = true;
  std::size_t head_dim = 0;                                 ///< d_h; 0: hidden_size / num_attention_heads
  bool qkv_bias = false, o_bias = false, mlp_bias = false;  ///< llama's: gpt2 has them all
  bool qk_norm = false;                                     ///< RMSNorm of every query and key head, before rotation
  RopeScaling rope_frequencies;
  AttentionConfig attention;
  friend bool operator==(const Config&, const Config&) = default;

  /// d_h.
  std::size_t head_width() const { return head_dim ? head_dim : hidden_size / num_attention_heads; }
  bool gpt2() const { return architecture == Architecture::gpt2; }
  bool has_qkv_bias() const { return gpt2() || qkv_bias; }
  bool has_o_bias() const { return gpt2() || o_bias; }
  bool has_mlp_bias() const { return gpt2() || mlp_bias; }
  const Variant& variant() const { return find_variant(attention.variant); }
  bool latent() const { return variant().latent.count != 0; }
  /// What the variant's table is filled from; it points into this.
  RoutingShape routing_shape() const {
    return {.layers = num_hidden_layers,
            .heads = num_attention_heads,
            .kv_heads = num_key_value_heads,
            .skip_ratio = attention.skip_ratio,
            .source_layer = attention.source_layer,
            .injection = attention.injection,
            .table = attention.table.empty() ? nullptr : &attention.table};
  }
  /// What the variant mixes besides what its table routes.
  Mixing mixing() const { return variant().mixing_of(routing_shape()); }
  /// Width of a query and key head: `d_h`, for MLA `d_h + d_r`.
  std::size_t query_width() const { return head_width() + (latent() ? attention.rotary_size : 0); }
  /// Entries of a head that are rotated: `d_h`, for MLA `d_r`; gpt2 rotates none.
  std::size_t rotary_width() const { return gpt2() ? 0 : latent() ? attention.rotary_size : head_width(); }
};

inline const char* to_string(Architecture a) { return a == Architecture::gpt2 ? "gpt2" : "llama"; }
/// The injection called `name`; throws if there is none.
SKIPV1_COLD inline Injection parse_injection(const std::string& name) {
  std::string known;
  for (std::size_t i = 0; i < std::size(injection_names); ++i) {
    if (name == injection_names[i]) return static_cast<Injection>(i);
    known += std::string(i == 0 ? "" : ", ") + injection_names[i];
  }
  fail("injection \"", name, "\" is unknown; known are ", known);
}

namespace detail {
SKIPV1_COLD inline void check_sizes(const Config& c) {
  const auto positive = [](const char* key, std::size_t value, std::size_t most = 0x7fffffff) {
    require(value >= 1 && value <= most, key, " is ", value, ": must be 1 to ", most);
  };
  positive("vocab_size", c.vocab_size);
  positive("hidden_size", c.hidden_size);
  positive("intermediate_size", c.intermediate_size);
  positive("num_hidden_layers", c.num_hidden_layers, 4096);
  positive("num_attention_heads", c.num_attention_heads, 4096);
  positive("num_key_value_heads", c.num_key_value_heads, 4096);
  positive("max_position_embeddings", c.max_position_embeddings);
  require(c.head_dim || c.hidden_size % c.num_attention_heads == 0, "hidden_size ", c.hidden_size,
          " is not a multiple of num_attention_heads ", c.num_attention_heads);
  require(c.head_dim <= 1u << 20, "head_dim is ", c.head_dim, ": at most ", 1u << 20);
  require(c.num_attention_heads % c.num_key_value_heads == 0, "num_attention_heads ", c.num_attention_heads,
          " is not a multiple of num_key_value_heads ", c.num_key_value_heads);
  require(std::isfinite(c.norm_epsilon) && c.norm_epsilon > 0, "norm_epsilon is ", c.norm_epsilon, ": must be positive");
  require(c.gpt2() || (std::isfinite(c.rope_theta) && c.rope_theta > 0), "rope_theta is ", c.rope_theta, ": must be positive");
  require(!c.gpt2() || c.tie_word_embeddings, "tie_word_embeddings is false: a gpt2 model's output head is tied");
}

/// What llama may have and gpt2 has not, or always.
SKIPV1_COLD inline void check_llama_features(const Config& c) {
  const std::pair<const char*, bool> features[] = {
      {"head_dim", c.head_dim != 0}, {"qkv_bias", c.qkv_bias}, {"o_bias", c.o_bias},
      {"mlp_bias", c.mlp_bias},      {"qk_norm", c.qk_norm},   {"rope_frequencies", c.rope_frequencies.kind != RopeKind::plain}};
  for (const auto& [key, set] : features) require(!set || !c.gpt2(), key, " with architecture gpt2: only llama has a choice");
  validate(c.rope_frequencies, c.rope_theta);
}

SKIPV1_COLD inline void check_latent(const Config& c) {
  const AttentionConfig& a = c.attention;
  require(!c.qkv_bias && !c.qk_norm, c.qkv_bias ? "qkv_bias" : "qk_norm", " with variant ", a.variant,
          ": only heads that are projected directly have it");
  require(!c.gpt2(), "variant ", a.variant, " with architecture gpt2: only llama has it");
  require(c.num_key_value_heads == c.num_attention_heads, "variant ", a.variant, ": num_key_value_heads ", c.num_key_value_heads,
          " must equal num_attention_heads ", c.num_attention_heads);
  require(a.kv_latent_size >= 1 && a.kv_latent_size <= 1u << 20, "kv_latent_size is ", a.kv_latent_size, ": must be 1 to ",
          1u << 20);
  const std::size_t parts = c.variant().latent.count;
  require(a.kv_latent_size % parts == 0, "kv_latent_size ", a.kv_latent_size, " is not a multiple of ", parts, ": variant ",
          a.variant, " routes so many parts of it");
  require(a.rotary_size >= 2 && a.rotary_size % 2 == 0 && a.rotary_size <= 1u << 20, "rotary_size is ", a.rotary_size,
          ": must be even and at least 2");
}
}  // namespace detail

/// Throws unless `c` is a model that docs/spec/models.md allows; the line names the field, its value and the rule.
SKIPV1_COLD inline void validate(const Config& c) {
  detail::check_sizes(c);
  detail::check_llama_features(c);
  const AttentionConfig& a = c.attention;
  const Variant& variant = find_variant(a.variant);
  require(!variant.even_layers || c.num_hidden_layers % 2 == 0, "variant ", a.variant, ": num_hidden_layers ",
          c.num_hidden_layers, " is odd: must be even");
  require(a.skip_ratio >= 0 && a.skip_ratio <= 1, "skip_ratio is ", a.skip_ratio, ": must be 0 to 1");
  require(std::isfinite(a.value_mix), "value_mix is ", a.value_mix, ": must be finite");
  require(a.source_layer == 0 || variant.fields.source_layer, "source_layer ", a.source_layer, " with variant ", a.variant,
          ": only ", variants_with(&VariantFields::source_layer), " has one");
  require(a.source_layer < c.num_hidden_layers, "source_layer ", a.source_layer, ": there are only ", c.num_hidden_layers,
          " layers");
  require(a.injection == AttentionConfig{}.injection || variant.fields.injection, "injection ", to_string(a.injection),
          " with variant ", a.variant, ": only ", variants_with(&VariantFields::injection), " has one");
  require(!a.learn_value_mix || variant.fields.learn_value_mix, "learn_value_mix with variant ", a.variant, ": only ",
          variants_with(&VariantFields::learn_value_mix), " learns it");
  require(a.table.empty() || variant.fields.table, "table with variant ", a.variant, ": only ", table_variant().name, " has one");
  if (variant.check) variant.check(c.routing_shape());
  if (variant.latent.count) {
    detail::check_latent(c);
  } else {
    require(c.gpt2() || c.head_width() % 2 == 0, c.head_dim ? "head_dim is " : "hidden_size / num_attention_heads is ",
            c.head_width(), ": RoPE needs an even head width");
  }
}

namespace detail {
SKIPV1_COLD inline LatentRouting make_latent(const Config& c) {
  const auto [parts, read] = c.variant().latent;
  LatentRouting latent;
  if (parts == 0) return latent;
  latent.parts = parts;
  latent.part_width = c.attention.kv_latent_size / parts, latent.rotary_width = c.attention.rotary_size;
  latent.owned.assign(c.num_hidden_layers, 0);
  for (std::size_t l = 0; l < c.num_hidden_layers; ++l) {
    for (std::size_t p = 0; p < parts; ++p) {
      const PartName name = read(l, p);
      require(name.layer <= l && name.part < parts, "variant ", c.attention.variant, ": part ", p, " of layer ", l,
              "'s latent is part ", name.part, " of layer ", name.layer, ": must be one of ", parts,
              " of this or an earlier layer");
      latent.reads.push_back(name);
      latent.owned[name.layer] = std::max(latent.owned[name.layer], name.part + 1);
    }
  }
  return latent;
}
}  // namespace detail

/// The routing table of a configuration, with its inverse. Throws if that is not valid, or a registered variant's own table
/// cannot be served.
SKIPV1_COLD inline Routing make_routing(const Config& c) {
  validate(c);
  const Variant& variant = c.variant();
  const RoutingShape shape = c.routing_shape();
  require(variant.route, "variant ", variant.name, " has no route: a function that fills its table");
  Routing table = variant.route(shape);
  require(table.layers == shape.layers && table.heads == shape.heads, "variant ", variant.name, " fills a table of ",
          table.layers, " layers and ", table.heads, " heads instead of ", shape.layers, " and ", shape.heads);
  table.mixes_values = c.mixing().values;
  count_owned(table);
  for (std::size_t l = 1; l < shape.layers && table.mixes_values; ++l)
    require(table.owned_values[l] <= table.owned_values[0], "variant ", variant.name, ": layer ", l, " mixes ",
            table.owned_values[l], " values with layer 0's ", table.owned_values[0]);
  table.latent = detail::make_latent(c);
  table.key_width = c.query_width();
  table.value_width = c.head_width();
  return table;
}

}  // namespace skipv1
