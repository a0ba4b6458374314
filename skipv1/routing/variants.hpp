// Every variant of docs/spec/models.md by name: its routing table, and what it mixes besides.
#pragma once

#include <string>
#include <vector>

#include "skipv1/routing/routing.hpp"

namespace skipv1 {

/// A variant: a function that fills its table, and the steps around attention that no table can express.
struct Variant {
  std::string name, summary;
  Routing (*route)(const RoutingShape&);
  bool mixes_values = false;     ///< owned values become `lambda V_l + (1 - lambda) V_0` (ResFormer)
  bool averages_depth = false;   ///< a block reads a weighted average of all earlier outputs (DenseFormer)
  std::size_t latent_parts = 0;  ///< MLA: the table routes this many parts of the latent `c`, not heads; 0: no latent
  bool even_layers = false;      ///< the number of layers must be even
};

namespace routing {

/// Each group reads its own layer (MHA, GQA, MQA: by `H_kv`).
inline Routing own_layer(const RoutingShape& s) {
  const auto own = [](std::size_t l, std::size_t g) { return HeadName{l, g}; };
  return fill_routing(s, own, own);
}

/// Keys of the own layer, values by `value(l, g)`.
template <class Value>
Routing own_keys(const RoutingShape& s, const Value& value) {
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

/// MLA's one shared rotary key; of the latent, each part by `value(l, part)`.
template <class Value>
Routing latent(const RoutingShape& s, const Value& value) {
  return fill_routing(
      s,
      [](std::size_t l, std::size_t) {
        return HeadName{l, 0};
      },
      value);
}
inline Routing mla(const RoutingShape& s) {
  return latent(s, [](std::size_t l, std::size_t part) { return HeadName{l, part}; });
}
inline Routing skipv1_mla(const RoutingShape& s) {
  return latent(s, [](std::size_t l, std::size_t part) { return HeadName{part == 0 ? l : 0, part}; });
}

}  // namespace routing

/// All known variants; those of docs/spec/models.md first. Not to be changed while other threads read it.
inline std::vector<Variant>& variants() {
  static std::vector<Variant> all = {
      {"mha", "every head reads its own layer", routing::own_layer},
      {"gqa", "groups of query heads share a key and a value head", routing::own_layer},
      {"mqa", "all query heads share one key and one value head", routing::own_layer},
      {"skipv1", "a share of each layer's value heads is the first layer's", routing::skipv1},
      {"skipv0", "SkipV1's halving with nothing routed in", routing::skipv0},
      {"svformer", "all layers read the first layer's values", routing::svformer},
      {"yoco_v", "the second half reads the values of the first half's last layer", routing::yoco_v, false, false, 0, true},
      {"yoco", "the second half reads keys and values of the first half's last layer", routing::yoco, false, false, 0, true},
      {"cla_v", "pairs of layers share values", routing::cla_v},
      {"cla", "pairs of layers share keys and values", routing::cla},
      {"skipkv1", "SkipV1 for keys too", routing::skipkv1},
      {"skipv1_yoco", "YOCO's keys with SkipV1's values", routing::skipv1_yoco, false, false, 0, true},
      {"resformer", "values are mixed with the first layer's", routing::own_layer, true},
      {"denseformer", "blocks read a learned average over depth", routing::own_layer, false, true},
      {"mla", "keys and values come from a cached latent", routing::mla, false, false, 1},
      {"skipv1_mla", "half of each later latent is the first layer's", routing::skipv1_mla, false, false, 2},
  };
  return all;
}

/// The variant called `name`; throws if there is none, listing those there are.
inline const Variant& find_variant(const std::string& name) {
  std::string known;
  for (const Variant& variant : variants()) {
    if (variant.name == name) return variant;
    known += (known.empty() ? "" : ", ") + variant.name;
  }
  fail("attention variant \"", name, "\" is unknown; known are ", known);
}

/// Makes a variant known by its name; throws if the name is taken.
inline void register_variant(Variant variant) {
  for (const Variant& known : variants()) require(known.name != variant.name, "variant \"", variant.name, "\" exists already");
  variants().push_back(std::move(variant));
}

}  // namespace skipv1
