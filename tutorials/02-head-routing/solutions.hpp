// Solutions to exercises.hpp.
#pragma once

#include <cstddef>
#include <vector>

#include "skipv1/routing/variants.hpp"

namespace exercise {

using skipv1::HeadName;
using skipv1::RoutingShape;

/// The first half from the own layer, the second from layer 0.
inline std::vector<HeadName> skipv1_values(std::size_t layers, std::size_t heads) {
  std::vector<HeadName> table;
  for (std::size_t l = 0; l < layers; ++l)
    for (std::size_t h = 0; h < heads; ++h) table.push_back({h < heads / 2 ? l : 0, h});
  return table;
}

/// All keys; all values of layer 0, half of them in the others.
inline std::size_t skipv1_cache_elements(std::size_t layers, std::size_t heads, std::size_t d) {
  return (layers * heads + heads + (layers - 1) * heads / 2) * d;
}

/// The first half is layer 0's own; the second is read by query head h of every layer.
inline std::size_t readers_of_first_layer(std::size_t layers, std::size_t heads, std::size_t h) {
  return h < heads / 2 ? 1 : layers;
}

inline HeadName half_depth(const RoutingShape& s, std::size_t l, std::size_t g) { return {g < s.own() ? l : l / 2, g}; }

}  // namespace exercise
