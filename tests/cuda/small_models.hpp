// Small models of every variant, on the CPU and on the device with the same weights.
#pragma once

#include <algorithm>
#include <cmath>

#include "skipv1/device/memory.cuh"
#include "skipv1/model/decoder.hpp"

namespace skipv1::test {

/// The largest difference over the largest entry, of host tensors.
template <class A>
double difference(ConstView<A> a, View<const double> b) {
  double most = 0, worst = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double d = std::abs(static_cast<double>(a.data()[i]) - b.data()[i]);
    worst = d <= worst ? worst : d;  // a NaN stays
    most = std::max(most, std::abs(b.data()[i]));
  }
  return worst / most;
}

inline Config small_config(Architecture architecture, const Variant& variant) {
  Config c;
  c.architecture = architecture;
  c.vocab_size = 37, c.hidden_size = 32, c.intermediate_size = 40, c.num_hidden_layers = 4, c.num_attention_heads = 4;
  c.num_key_value_heads = variant.name == "mqa" ? 1 : variant.name == "gqa" ? 2 : 4;
  c.max_position_embeddings = 16;
  c.attention.variant = variant.name;
  c.attention.kv_latent_size = 16, c.attention.rotary_size = 8;
  c.attention.learn_value_mix = variant.fields.learn_value_mix;
  return c;
}

/// A table of no variant's: heads of one layer that read the same head, and several layers.
inline Config table_config(Architecture architecture) {
  Config c = small_config(architecture, table_variant());
  c.attention.table.values = {{{0, 0}, {0, 1}, {0, 2}, {0, 3}},
                              {{1, 0}, {0, 1}, {0, 1}, {0, 3}},
                              {{1, 0}, {1, 0}, {0, 1}, {0, 1}},
                              {{3, 0}, {3, 1}, {1, 0}, {0, 3}}};
  return c;
}

/// Parameters on the device, of any type, with the values of `from`.
template <class T>
void load(const Parameters<T, Device>& to, const Parameters<double>& from) {
  Tensor<T> host(to.flat().shape());
  for (std::size_t i = 0; i < host.size(); ++i) host.data()[i] = static_cast<T>(from.flat().data()[i]);
  copy(to.flat(), host);
}

}  // namespace skipv1::test
