// MLA: keys and values of all heads from the cached latent and rotary key, forward beside backward (docs/spec/models.md, "MLA",
// "SkipV1 on MLA").
#pragma once

#include "skipv1/model/activations.hpp"
#include "skipv1/model/resolved_heads.hpp"
#include "skipv1/model/weights.hpp"
#include "skipv1/ops/head_copy.hpp"
#include "skipv1/ops/linear.hpp"

namespace skipv1 {

template <class T, class Space = Cpu>
class Latent {
 public:
  using X = View<T, Space>;

  Latent(const LayerWeights<T, Space>& weights, const Routing& routing, std::size_t layer)
      : w_(weights), routing_(routing), l_(layer) {}

  /// Puts the latent together from its parts, then makes every head's key `[W_uk c | k_r]` and value `W_uv c`, over everything in
  /// the cache: in `a.layer(l)`.
  void forward(const Cache<T, Space>& cache, Activations<T, Space>& a) const {
    LayerActivations<T, Space>& s = a.layer(l_);
    const LatentRouting& table = routing_.latent;
    const std::size_t d_h = routing_.value_width, keys = a.sequences.max_keys;
    for (std::size_t p = 0; p < table.parts; ++p)
      copy_head(columns_as_head<T, Space>(s.latent, p, table.part_width), cache.part(table.part(l_, p)), a.batch, keys,
                table.part_width);
    for (std::size_t b = 0; b < a.batch; ++b) {
      linear_forward(positions_of(a.content, b, keys), positions_of(s.latent, b, keys), w_.key_up, X());
      linear_forward(positions_of(s.value, b, keys), positions_of(s.latent, b, keys), w_.value_up, X());
    }
    for (std::size_t h = 0; h < routing_.heads; ++h) {
      Head<T, Space> key = columns_as_head<T, Space>(s.key, h, routing_.key_width);
      copy_head(key, columns_as_head<T, Space>(a.content, h, d_h), a.batch, keys, d_h);
      key.data += d_h;
      copy_head(key, cache.rotary_key(l_), a.batch, keys, table.rotary_width);
    }
  }

  /// From `a.gradient.key` and `.value`: accumulates into dw and into the rotary key's and the parts' gradients in `dcache`.
  void backward(const LayerWeights<T, Space>& dw, Cache<T, Space>& dcache, Activations<T, Space>& a) const {
    GradientScratch<T, Space>& g = a.gradient;
    const LatentRouting& table = routing_.latent;
    const std::size_t d_h = routing_.value_width, keys = a.capacity, rows = a.rows;
    for (std::size_t h = 0; h < routing_.heads; ++h) {
      Head<T, Space> dkey = columns_as_head<T, Space>(g.key, h, routing_.key_width);
      copy_head(columns_as_head<T, Space>(g.content, h, d_h), dkey, a.batch, keys, d_h);
      dkey.data += d_h;
      copy_head(dcache.rotary_key(l_), dkey, a.batch, keys, table.rotary_width, WriteMode::accumulate);
    }
    const X saved = a.layer(l_).latent, latent = saved.reshape({rows, saved.width()});
    const X dcontent = g.content.reshape({rows, g.content.width()}), dvalue = g.value.reshape({rows, g.value.width()}),
            dlatent = g.latent.reshape(latent.shape());
    linear_backward_weight(dw.key_up, X(), dcontent, latent);
    linear_backward_weight(dw.value_up, X(), dvalue, latent);
    linear_backward_input(dlatent, dcontent, w_.key_up);
    linear_backward_input(dlatent, dvalue, w_.value_up, WriteMode::accumulate);
    for (std::size_t p = 0; p < table.parts; ++p)
      copy_head(dcache.part(table.part(l_, p)), columns_as_head<T, Space>(g.latent, p, table.part_width), a.batch, keys,
                table.part_width, WriteMode::accumulate);
  }

 private:
  /// Positions `0 … keys - 1` of sequence b of x (B, C, w), as rows (keys, w).
  static X positions_of(X x, std::size_t b, std::size_t keys) {
    return {x.data() + b * x.extent(1) * x.width(), {keys, x.width()}};
  }

  const LayerWeights<T, Space>& w_;
  const Routing& routing_;
  std::size_t l_;
};

}  // namespace skipv1
