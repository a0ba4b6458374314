// The values that a layer owns: projected, mixed with the first layer's where the variant says so, cached; and the means that
// the table names. Forward beside backward (docs/spec/models.md, "Head routing", "Injections", "ResFormer").
#pragma once

#include "skipv1/model/activations.hpp"
#include "skipv1/model/resolved_heads.hpp"
#include "skipv1/model/weights.hpp"
#include "skipv1/ops/linear.hpp"
#include "skipv1/ops/scatter.hpp"
#include "skipv1/ops/value_mix.hpp"

namespace skipv1 {

/// For MLA the owned parts of the latent.
template <class T, class Space = Cpu>
class OwnedValues {
 public:
  using X = View<T, Space>;

  /// `mix` (1): the layer's lambda.
  OwnedValues(const LayerWeights<T, Space>& weights, const Routing& routing, std::size_t layer, X mix)
      : w_(weights), routing_(routing), l_(layer), mix_(mix) {}

  /// From `a.block_normed` into the cache, and the means of layer l's heads over everything in it.
  void forward(Cache<T, Space>& cache, Activations<T, Space>& a) const {
    if (!w_.value.empty()) store(cache, a);
    for (std::size_t m = 0; m < routing_.means.size(); ++m)
      if (const HeadName& mean = routing_.means[m]; mean.layer == l_)
        pool_forward(mean_head<T, Space>(a.pooled, m), cache.value({l_, mean.head}), cache.value({l_, mean.other}), a.batch,
                     a.sequences.max_keys, routing_.value_width);
  }

  /// Accumulates into dnormed (N, d) from the gradients in `dcache`, to which all readers have added theirs before. Returns those
  /// of the projections' outputs (N, w), or an empty view.
  X backward(X dnormed, const LayerWeights<T, Space>& dw, Cache<T, Space>& dcache, Activations<T, Space>& a) const {
    if (w_.value.empty()) return {};
    LayerActivations<T, Space>& s = a.layer(l_);
    const X dvalue = dcache.values(l_).reshape({a.rows, w_.value.extent(0)});
    for (std::size_t m = 0; m < routing_.means.size(); ++m)
      if (const HeadName& mean = routing_.means[m]; mean.layer == l_)
        pool_backward(dcache.value({l_, mean.head}), dcache.value({l_, mean.other}), mean_head<T, Space>(a.gradient.pooled, m),
                      a.batch, a.capacity, routing_.value_width);
    if (mixes()) {
      const X dfirst = dcache.values(0).reshape(a.first_value.shape()), own(s.own_value.data(), dvalue.shape());
      value_mix_backward(dvalue, dfirst, dw.value_mix, dvalue, own, a.first_value, mix_);
    }
    linear_backward_input(dnormed, dvalue, w_.value, WriteMode::accumulate);
    return dvalue;
  }

 private:
  bool mixes() const { return routing_.mixes_values && l_ > 0; }

  void store(Cache<T, Space>& cache, Activations<T, Space>& a) const {
    const X value = a.new_rows(cache.values(l_), a.new_value);
    const X own = mixes() ? X(a.layer(l_).own_value.data(), value.shape()) : value;
    linear_forward(own, a.block_normed, w_.value, w_.value_bias);
    if (mixes()) value_mix_forward(value, own, a.first_value, mix_);
    if (routing_.mixes_values && l_ == 0) copy(X(a.first_value), value);
    if (!a.in_cache) scatter_rows(cache.values(l_), value, a.sequences);
  }

  const LayerWeights<T, Space>& w_;
  const Routing& routing_;
  std::size_t l_;
  X mix_;
};

}  // namespace skipv1
