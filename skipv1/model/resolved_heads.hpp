// The routing table resolved to memory: where each head that a query head reads lies, or its gradient.
#pragma once

#include <vector>

#include "skipv1/model/cache.hpp"

namespace skipv1 {

/// Columns `i width … ` of x (B, C, w) as a head.
template <class T, class Space>
Head<T, Space> columns_as_head(View<T, Space> x, std::size_t i, std::size_t width) {
  return {x.data() + i * width, x.extent(1) * x.width(), x.width()};
}
/// Mean number m of pooled (P, B, C, d_v).
template <class T, class Space>
Head<T, Space> mean_head(View<T, Space> pooled, std::size_t m) {
  return {pooled.data() + m * (pooled.size() / pooled.extent(0)), pooled.extent(2) * pooled.width(), pooled.width()};
}

/// The pairs of a table (L, H): in `cache`, means in `pooled`; for MLA in the keys and values that are made of the latent, which
/// `latent_key(l)` (B, C, H d_k) and `latent_value(l)` (B, C, H d_v) return.
template <class U, class T, class Space, class LatentKey, class LatentValue>
std::vector<HeadPair<U, Space>> resolve(const Routing& routing, const Cache<T, Space>& cache, View<T, Space> pooled,
                                        const LatentKey& latent_key, const LatentValue& latent_value) {
  std::vector<HeadPair<U, Space>> table(routing.layers * routing.heads);
  for (std::size_t l = 0; l < routing.layers; ++l) {
    for (std::size_t h = 0; h < routing.heads; ++h) {
      if (routing.has_latent()) {
        table[l * routing.heads + h] = {columns_as_head<T, Space>(latent_key(l), h, routing.key_width),
                                        columns_as_head<T, Space>(latent_value(l), h, routing.value_width)};
        continue;
      }
      const HeadName& name = routing.value(l, h);
      Head<T, Space> value;
      if (name.pooled())
        value = mean_head(pooled, routing.mean_of[l * routing.heads + h]);
      else if (!name.none())
        value = cache.value(name);
      table[l * routing.heads + h] = {cache.key(routing.key(l, h)), value};
    }
  }
  return table;
}

}  // namespace skipv1
