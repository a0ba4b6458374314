// A decoder, its weights and a cache as the one-kernel step reads them.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "skipv1/device/memory.cuh"
#include "skipv1/model/decoder.hpp"
#include "skipv1/model/one_kernel/arguments.cuh"

namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR {

template <class X>
void upload(Tensor<X, Device>& to, const std::vector<X>& from) {
  to = Tensor<X, Device>({from.size()});
  copy(to, View<const X>(from.data(), {from.size()}));
}

/// Device memory of the layers' structs, and what they point to.
template <class T>
class LayerTables {
 public:
  LayerTables(const Decoder<T, Device>& decoder, const Cache<T, Device>& cache) {
    const Routing& table = decoder.routing();
    for (std::size_t l = 0; l < table.layers; ++l)
      most_rows_ = std::max(most_rows_, table.key_columns(l) + table.value_columns(l));
    numbered_ = Tensor<std::uint32_t, Device>({table.layers, most_rows_});
    std::vector<std::uint32_t> group_count(table.layers), all_attend(table.layers, 1);
    for (std::size_t l = 0; l < table.layers; ++l) place_heads(table, cache, l, group_count[l], all_attend[l]);
    upload(heads_on_, heads_), upload(members_on_, members_), upload(groups_on_, groups_);
    for (std::size_t l = 0; l < table.layers; ++l) {
      Layer<T> layer = layer_of(decoder, cache, l);
      layer.heads = heads_on_.data() + l * table.heads;
      layer.members = members_on_.data() + l * table.heads;
      layer.group = groups_on_.data() + l * table.heads;
      layer.numbered = numbered_.data() + l * most_rows_;
      layer.groups = group_count[l], layer.all_attend = all_attend[l];
      most_projected_ = std::max<std::size_t>(most_projected_, layer.query.rows + layer.key.rows + layer.value.rows);
      most_groups_ = std::max<std::size_t>(most_groups_, layer.groups);
      layers_.push_back(layer);
    }
    upload(layers_on_, layers_);
  }
  const Layer<T>* layers() const { return layers_on_.data(); }
  /// The same in host memory.
  const std::vector<Layer<T>>& on_host() const { return layers_; }
  /// The most groups of a layer.
  std::size_t most_groups() const { return most_groups_; }
  /// Numbered words of all layers' newest keys and values.
  View<std::uint32_t, Device> numbered() const { return numbered_; }
  /// The most rows of a layer's queries, keys and values.
  std::size_t most_projected() const { return most_projected_; }
  /// Whether no two query heads read the same heads, none reads a mean, and every layer has one that reads a value.
  bool all_alone() const { return all_alone_; }

 private:
  static Matrix<T> matrix(View<T, Device> weight, View<T, Device> bias) {
    if (weight.empty()) return {};
    return {weight.data(), bias.empty() ? nullptr : bias.data(), static_cast<std::uint32_t>(weight.extent(0))};
  }

  static Layer<T> layer_of(const Decoder<T, Device>& decoder, const Cache<T, Device>& cache, std::size_t l) {
    const LayerWeights<T, Device>& w = decoder.weights().layers[l];
    const Routing& table = decoder.routing();
    const auto data = [](View<T, Device> x) { return x.empty() ? nullptr : x.data(); };
    Layer<T> layer;
    layer.norm1 = data(w.norm1), layer.norm1_bias = data(w.norm1_bias);
    layer.norm2 = data(w.norm2), layer.norm2_bias = data(w.norm2_bias);
    layer.query = matrix(w.query, w.query_bias), layer.key = matrix(w.key, w.key_bias);
    layer.value = matrix(w.value, w.value_bias), layer.output = matrix(w.output, w.output_bias);
    layer.gate = matrix(w.gate, w.gate_bias), layer.up = matrix(w.up, w.up_bias), layer.down = matrix(w.down, w.down_bias);
    layer.head = {decoder.weights().head.data(), nullptr, static_cast<std::uint32_t>(decoder.config().vocab_size)};
    layer.keys = cache.keys(l).data(), layer.values = cache.values(l).data();
    if (table.mixes_values && l > 0) layer.mix = decoder.blocks().value_mix(l).data();
    if (!decoder.weights().depth.empty()) layer.depth = decoder.weights().depth[l].data();
    return layer;
  }

  /// What layer l's query heads read, and their groups.
  void place_heads(const Routing& table, const Cache<T, Device>& cache, std::size_t l, std::uint32_t& count,
                   std::uint32_t& all_attend) {
    std::vector<std::pair<HeadName, HeadName>> pairs;  // in order of first use
    std::vector<std::vector<std::uint16_t>> groups;
    for (std::size_t h = 0; h < table.heads; ++h) {
      const HeadName &key = table.key(l, h), &value = table.value(l, h);
      ReadHeads<T> heads;
      heads.key = cache.key(key);
      heads.key_layer = static_cast<std::uint32_t>(key.layer);
      heads.newest_key = numbered_.data() + key.layer * most_rows_ + key.head * table.key_width;
      if (value.none()) {
        all_attend = 0;
      } else {
        heads.value = cache.value({value.layer, value.head});
        heads.value_layer = static_cast<std::uint32_t>(value.layer);
        heads.newest_value =
            numbered_.data() + value.layer * most_rows_ + table.key_columns(value.layer) + value.head * table.value_width;
        if (value.pooled()) heads.other = cache.value({value.layer, value.other}), all_alone_ = false;
        std::size_t i = 0;
        while (i < pairs.size() && !(pairs[i] == std::pair(key, value))) ++i;
        if (i == pairs.size()) pairs.emplace_back(key, value), groups.emplace_back();
        groups[i].push_back(static_cast<std::uint16_t>(h));
        if (groups[i].size() > 1) all_alone_ = false;
      }
      heads_.push_back(heads);
    }
    count = static_cast<std::uint32_t>(groups.size());
    if (groups.empty()) all_alone_ = false;
    std::uint32_t begin = 0;
    for (const std::vector<std::uint16_t>& group : groups) {
      groups_.push_back({heads_[l * table.heads + group[0]], begin, static_cast<std::uint32_t>(group.size()), group[0]});
      members_.insert(members_.end(), group.begin(), group.end());
      begin += groups_.back().count;
    }
    groups_.resize((l + 1) * table.heads);  // of the same length for every layer
    members_.resize((l + 1) * table.heads, 0);
  }

  std::vector<Layer<T>> layers_;        // (L)
  std::vector<ReadHeads<T>> heads_;     // (L, H)
  std::vector<Group<T>> groups_;        // (L, H)
  std::vector<std::uint16_t> members_;  // (L, H)
  Tensor<ReadHeads<T>, Device> heads_on_;
  Tensor<Group<T>, Device> groups_on_;
  Tensor<std::uint16_t, Device> members_on_;
  Tensor<Layer<T>, Device> layers_on_;
  Tensor<std::uint32_t, Device> numbered_;  // (L, most_rows_)
  std::size_t most_rows_ = 0;
  std::size_t most_groups_ = 1, most_projected_ = 0;
  bool all_alone_ = true;
};

}  // namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR
