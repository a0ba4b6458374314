// Every variant of docs/spec/models.md: one descriptor each, with its routing table, the fields that it reads, the rules that a
// configuration must obey, and what it mixes besides.
#pragma once

#include <string>
#include <vector>

#include "skipv1/routing/routing.hpp"

namespace skipv1 {

/// Which fields of `config.json`'s "attention" a variant reads. `source_layer`, `injection` and `learn_value_mix` must stay at
/// their defaults where they are not read, and so must `table`; others are accepted without effect.
struct VariantFields {
  bool skip_ratio = false, source_layer = false, injection = false, value_mix = false, learn_value_mix = false, table = false;
};

/// The steps around attention that no table can express (docs/spec/models.md, "Variants that mix").
struct Mixing {
  bool values = false;  ///< values that layers `l >= 1` own become `lambda V_l + (1 - lambda) V_0` (ResFormer, eq. (9))
  bool depth = false;   ///< a block reads a weighted average of all earlier outputs (DenseFormer, eq. (10))
};

/// MLA: keys and values are made of a cached latent, cut into equally wide parts that the layers share by a table of their own.
struct LatentParts {
  std::size_t count = 0;                                            ///< 0: no latent
  PartName (*read)(std::size_t layer, std::size_t part) = nullptr;  ///< whose part stands there
};

/// A variant. All that the library knows of it stands here, for those below and for a user's (`register_variant`) alike.
struct Variant {
  std::string name = {}, summary = {};
  std::string title = {};                           ///< as tables and figures call it; empty: by its name
  Routing (*route)(const RoutingShape&) = nullptr;  ///< fills its table
  VariantFields fields = {};
  Mixing (*mixing)(const RoutingShape&) = nullptr;  ///< null: mixes nothing
  LatentParts latent = {};                          ///< of llama alone, with `H_kv = H`
  bool even_layers = false;                         ///< the number of layers must be even
  void (*check)(const RoutingShape&) = nullptr;     ///< throws where its further rules are broken; null: it has none

  Mixing mixing_of(const RoutingShape& shape) const { return mixing ? mixing(shape) : Mixing{}; }
};

namespace routing {

/// Each group reads its own layer (MHA, GQA, MQA: by `H_kv`).
inline Routing own_layer(const RoutingShape& s) {
  const auto own = [](std::size_t l, std::size_t g) { return HeadName{l, g}; };
  return fill_routing(s, own, own);
}

/// Keys of the own layer, values by `value(l, g)`.
inline Routing own_keys(const RoutingShape& s, const HeadOf& value) {
  return fill_routing(
      s,
      [](std::size_t l, std::size_t g) {
        return HeadName{l, g};
      },
      value);
}

/// The value that SkipV1 reads: the first `H_own` heads from the own layer, the others from the source layer, there
/// chosen by the injection.
inline HeadName skipped(const RoutingShape& s, std::size_t l, std::size_t g) {
  const std::size_t own = s.own(), source = s.source_layer;
  if (l <= source || g < own) return {l, g};
  const std::size_t j = g - own;
  switch (s.injection) {
    case Injection::second_half:
    case Injection::resformer:
      return {source, g};
    case Injection::pooling:
      return {source, j, g};
    case Injection::dynamic:
      return {source, (l + j) % s.heads};
    case Injection::odd_even:
      return {source, l % 2 == 0 ? j : g};
  }
  return {};
}

/// SkipV1Former (the paper, section 3): half of the values of every later layer are the first layer's.
inline Routing skipv1(const RoutingShape& s) {
  return own_keys(s, [&](std::size_t l, std::size_t g) { return skipped(s, l, g); });
}

/// The ablation "SkipV0": halved as SkipV1, but nothing is routed in.
inline Routing skipv0(const RoutingShape& s) {
  return own_keys(s, [&](std::size_t l, std::size_t g) { return l == 0 || g < s.own() ? HeadName{l, g} : HeadName{}; });
}

/// SVFormer: all layers read the first layer's values.
inline Routing svformer(const RoutingShape& s) {
  return own_keys(s, [](std::size_t, std::size_t g) { return HeadName{0, g}; });
}

/// The last layer of the first half, for the second half (YOCO).
inline HeadName first_half(const RoutingShape& s, std::size_t l, std::size_t g) { return {std::min(l, s.layers / 2 - 1), g}; }

inline Routing yoco_v(const RoutingShape& s) {
  return own_keys(s, [&](std::size_t l, std::size_t g) { return first_half(s, l, g); });
}
inline Routing yoco(const RoutingShape& s) {
  const auto shared = [&](std::size_t l, std::size_t g) { return first_half(s, l, g); };
  return fill_routing(s, shared, shared);
}

/// Pairs of layers share (CLA).
inline Routing cla_v(const RoutingShape& s) {
  return own_keys(s, [](std::size_t l, std::size_t g) { return HeadName{l - l % 2, g}; });
}
inline Routing cla(const RoutingShape& s) {
  const auto shared = [](std::size_t l, std::size_t g) { return HeadName{l - l % 2, g}; };
  return fill_routing(s, shared, shared);
}

/// Keys skipped as SkipV1's values are.
inline Routing skipkv1(const RoutingShape& s) {
  const auto both = [&](std::size_t l, std::size_t g) { return skipped(s, l, g); };
  return fill_routing(s, both, both);
}

/// YOCO's keys with SkipV1's values.
inline Routing skipv1_yoco(const RoutingShape& s) {
  return fill_routing(
      s, [&](std::size_t l, std::size_t g) { return first_half(s, l, g); },
      [&](std::size_t l, std::size_t g) { return skipped(s, l, g); });
}

/// Of the latent: every layer its own; or the second part of layer 0's.
inline PartName own_latent(std::size_t l, std::size_t part) { return {l, part}; }
inline PartName first_latent_half(std::size_t l, std::size_t part) { return {part == 0 ? l : 0, part}; }

/// The configuration's own table.
SKIPV1_COLD inline Routing given(const RoutingShape& s) {
  require(s.table, "variant table: no values are given: name the file of a table, which ends in .json");
  check_table(*s.table, s.layers, s.kv_heads);
  return fill_routing(
      s,
      [&](std::size_t l, std::size_t g) {
        return s.table->keys.empty() ? HeadName{l, g} : s.table->keys[l][g];
      },
      [&](std::size_t l, std::size_t g) { return s.table->values[l][g]; });
}
inline void check_given(const RoutingShape& s) { given(s); }

inline Mixing mixes_values(const RoutingShape&) { return {.values = true}; }
inline Mixing mixes_values_by_injection(const RoutingShape& s) { return {.values = s.injection == Injection::resformer}; }
inline Mixing averages_depth(const RoutingShape&) { return {.depth = true}; }

SKIPV1_COLD inline void check_ungrouped(const RoutingShape& s) {
  require(!s.grouped(), "variant mha: num_key_value_heads ", s.kv_heads, " must equal num_attention_heads ", s.heads,
          " (fewer is gqa)");
}
SKIPV1_COLD inline void check_one_group(const RoutingShape& s) {
  require(s.kv_heads == 1, "variant mqa: num_key_value_heads is ", s.kv_heads, ": must be 1");
}
/// SkipV1's injections are defined for `H_kv = H` and source layer 0 (docs/spec/models.md, "Injections").
SKIPV1_COLD inline void check_injection(const RoutingShape& s) {
  require(s.injection == Injection::second_half || (!s.grouped() && s.source_layer == 0), "injection ", to_string(s.injection),
          ": only skipv1 with num_key_value_heads equal to num_attention_heads and source_layer 0 has it");
  require(s.injection != Injection::pooling || s.skip_ratio == 0.5, "injection pooling with skip_ratio ", s.skip_ratio,
          ": must be 0.5");
}

}  // namespace routing

/// What a configuration has that names none.
inline constexpr const char* default_variant = "mha";

/// All known variants; those of docs/spec/models.md first. Not to be changed while other threads read it.
SKIPV1_COLD inline std::vector<Variant>& variants() {
  static constexpr VariantFields skips = {.skip_ratio = true};
  static std::vector<Variant> all = {
      {.name = "mha",
       .summary = "every head reads its own layer",
       .title = "MHA",
       .route = routing::own_layer,
       .check = routing::check_ungrouped},
      {.name = "gqa",
       .summary = "groups of query heads share a key and a value head",
       .title = "GQA",
       .route = routing::own_layer},
      {.name = "mqa",
       .summary = "all query heads share one key and one value head",
       .title = "MQA",
       .route = routing::own_layer,
       .check = routing::check_one_group},
      {.name = "skipv1",
       .summary = "a share of each layer's value heads is the first layer's",
       .title = "SkipV1",
       .route = routing::skipv1,
       .fields = {.skip_ratio = true, .source_layer = true, .injection = true, .value_mix = true},
       .mixing = routing::mixes_values_by_injection,
       .check = routing::check_injection},
      {.name = "skipv0",
       .summary = "SkipV1's halving with nothing routed in",
       .title = "SkipV0",
       .route = routing::skipv0,
       .fields = skips},
      {.name = "svformer",
       .summary = "all layers read the first layer's values",
       .title = "SVFormer",
       .route = routing::svformer},
      {.name = "yoco_v",
       .summary = "the second half reads the values of the first half's last layer",
       .title = "YOCO-V",
       .route = routing::yoco_v,
       .even_layers = true},
      {.name = "yoco",
       .summary = "the second half reads keys and values of the first half's last layer",
       .title = "YOCO",
       .route = routing::yoco,
       .even_layers = true},
      {.name = "cla_v", .summary = "pairs of layers share values", .title = "CLA-V", .route = routing::cla_v},
      {.name = "cla", .summary = "pairs of layers share keys and values", .title = "CLA", .route = routing::cla},
      {.name = "skipkv1", .summary = "SkipV1 for keys too", .title = "SkipKV1", .route = routing::skipkv1, .fields = skips},
      {.name = "skipv1_yoco",
       .summary = "YOCO's keys with SkipV1's values",
       .title = "SkipV1-YOCO",
       .route = routing::skipv1_yoco,
       .fields = skips,
       .even_layers = true},
      {.name = "resformer",
       .summary = "values are mixed with the first layer's",
       .title = "ResFormer",
       .route = routing::own_layer,
       .fields = {.value_mix = true, .learn_value_mix = true},
       .mixing = routing::mixes_values},
      {.name = "denseformer",
       .summary = "blocks read a learned average over depth",
       .title = "DenseFormer",
       .route = routing::own_layer,
       .mixing = routing::averages_depth},
      {.name = "mla",
       .summary = "keys and values come from a cached latent",
       .title = "MLA",
       .route = routing::own_layer,
       .latent = {1, routing::own_latent}},
      {.name = "skipv1_mla",
       .summary = "half of each later latent is the first layer's",
       .title = "SkipV1-MLA",
       .route = routing::own_layer,
       .latent = {2, routing::first_latent_half}},
  };
  return all;
}

/// The variant that is a table, which the configuration holds; not among `variants`, as it is nothing without one.
SKIPV1_COLD inline const Variant& table_variant() {
  static const Variant table = {.name = "table",
                                .summary = "the table that the configuration holds",
                                .route = routing::given,
                                .fields = {.table = true},
                                .check = routing::check_given};
  return table;
}

/// The variants that read a field, by name: "skipv1, mine".
SKIPV1_COLD inline std::string variants_with(bool VariantFields::*field) {
  std::string names;
  for (const Variant& variant : variants())
    if (variant.fields.*field) names += (names.empty() ? "" : ", ") + variant.name;
  return names;
}

/// All variants that have a name, in their order: "mha, gqa, …".
SKIPV1_COLD inline std::string variant_names() {
  std::string names;
  for (const Variant& variant : variants()) names += (names.empty() ? "" : ", ") + variant.name;
  return names;
}

/// The variant called `name`; throws if there is none, listing those there are.
SKIPV1_COLD inline const Variant& find_variant(const std::string& name) {
  if (name == table_variant().name) return table_variant();
  for (const Variant& variant : variants())
    if (variant.name == name) return variant;
  fail("attention variant \"", name, "\" is unknown; known are ", variant_names(), ", ", table_variant().name);
}

/// What tables and figures call a variant, or a run named after some: "SkipV1-GQA 2" for "skipv1_gqa-2". Other names stay.
SKIPV1_COLD inline std::string title_of(const std::string& name) {
  const auto exact = [](const std::string& part) {
    for (const Variant& variant : variants())
      if (variant.name == part) return variant.title.empty() ? variant.name : variant.title;
    return std::string();
  };
  const std::size_t dash = std::min(name.find('-'), name.size());
  const std::string stem = name.substr(0, dash), rest = dash < name.size() ? " " + name.substr(dash + 1) : "";
  if (const std::string title = exact(stem); !title.empty()) return title + rest;
  std::string title;
  for (std::size_t begin = 0; begin <= stem.size();) {
    const std::size_t end = std::min(stem.find('_', begin), stem.size());
    const std::string part = exact(stem.substr(begin, end - begin));
    if (part.empty()) return name;
    title += (begin ? "-" : "") + part;
    begin = end + 1;
  }
  return title + rest;
}

/// Makes a variant known by its name; throws if the name is taken or empty, or it fills no table.
SKIPV1_COLD inline void register_variant(Variant variant) {
  require(!variant.name.empty() && variant.route, "variant \"", variant.name, "\": must have a name and a route");
  require((variant.latent.count == 0) == !variant.latent.read, "variant \"", variant.name,
          "\": a latent has one part or more and a table that routes them");
  const auto require_free = [&](const Variant& known) {
    require(known.name != variant.name, "variant \"", variant.name, "\" exists already");
  };
  require_free(table_variant());
  for (const Variant& known : variants()) require_free(known);
  variants().push_back(std::move(variant));
}

}  // namespace skipv1
