// Exercises of tutorial 02, as a reader finds them. Check one: sh tutorials/exercises.sh 02-1
#pragma once

#include <cstddef>
#include <vector>

#include "skipv1/routing/variants.hpp"

namespace exercise {

using skipv1::HeadName;
using skipv1::RoutingShape;

/// 02-1. SkipV1Former's values: for every layer and query head, row by row, the (layer, head) whose value it reads.
inline std::vector<HeadName> skipv1_values(std::size_t layers, std::size_t heads) {
  std::vector<HeadName> table;
  for (std::size_t l = 0; l < layers; ++l)
    for (std::size_t h = 0; h < heads; ++h) table.push_back({l, h});  // MHA's
  return table;
}

/// 02-2. Elements per token that SkipV1Former caches: keys and values, an even number of heads, d wide.
inline std::size_t skipv1_cache_elements(std::size_t layers, std::size_t heads, std::size_t d) { return 2 * layers * heads * d; }

/// 02-3. How many query heads of SkipV1Former read value head h of layer 0.
inline std::size_t readers_of_first_layer(std::size_t layers, std::size_t heads, std::size_t h) {
  (void)layers, (void)heads, (void)h;
  return 1;
}

/// 02-4. A variant of your own: heads from `s.own()` on read the same head of layer l / 2, the others their own layer's.
inline HeadName half_depth(const RoutingShape& s, std::size_t l, std::size_t g) {
  (void)s;
  return {l + 1, g};
}

}  // namespace exercise
