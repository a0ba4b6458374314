// Checks the exercises of this tutorial; each throws what is wrong.
#pragma once

#if defined(SKIPV1_SOLUTIONS)
#include "solutions.hpp"
#else
#include "exercises.hpp"
#endif
#include "skipv1/core/check.hpp"

namespace exercise {

inline skipv1::Routing skipv1_table(std::size_t layers, std::size_t heads) {
  return skipv1::routing::skipv1({.layers = layers, .heads = heads, .kv_heads = heads});
}

inline void check_02_1() {
  for (const auto& [layers, heads] : {std::pair<std::size_t, std::size_t>{3, 4}, {5, 6}}) {
    const skipv1::Routing right = skipv1_table(layers, heads);
    const std::vector<HeadName> own = skipv1_values(layers, heads);
    skipv1::require(own.size() == layers * heads, "the table has ", own.size(), " entries; ", layers, " layers of ", heads,
                    " query heads have ", layers * heads);
    for (std::size_t i = 0; i < own.size(); ++i)
      skipv1::require(own[i] == right.values[i], "layer ", i / heads, ", query head ", i % heads, " reads value ", own[i].layer,
                      '.', own[i].head, "; in SkipV1Former it reads ", right.values[i].layer, '.', right.values[i].head);
  }
}

inline void check_02_2() {
  for (const std::size_t layers : {std::size_t{1}, std::size_t{2}, std::size_t{12}}) {
    const std::size_t own = skipv1_cache_elements(layers, 12, 64), right = skipv1::cache_elements_per_token([&] {
                                                                     skipv1::Routing table = skipv1_table(layers, 12);
                                                                     table.key_width = table.value_width = 64;
                                                                     return table;
                                                                   }());
    skipv1::require(layers == 1 || own != 2 * layers * 12 * 64, own,
                    " elements are MHA's: layers after the first own half of their values");
    skipv1::require(own == right, layers, layers == 1 ? " layer" : " layers", ", 12 heads of 64: ", own,
                    " elements per token, must be ", right, layers == 1 ? ": the first layer owns all its values" : "");
  }
}

inline void check_02_3() {
  const skipv1::Routing table = skipv1_table(6, 4);
  for (std::size_t h = 0; h < 4; ++h) {
    const std::size_t own = readers_of_first_layer(6, 4, h), right = table.value_readers[0][h].all.size();
    skipv1::require(own == right, "6 layers, 4 heads: value head 0.", h, " is read by ", right, " query heads, not ", own,
                    h >= 2 ? ": count the layers that route it in" : ": later layers own their first half");
  }
}

inline void check_02_4() {
  const RoutingShape shape{.layers = 6, .heads = 4, .kv_heads = 4};
  const skipv1::Routing table = skipv1::fill_routing(
      shape,
      [](std::size_t l, std::size_t g) {
        return HeadName{l, g};
      },
      [&](std::size_t l, std::size_t g) { return half_depth(shape, l, g); });
  for (std::size_t l = 0; l < shape.layers; ++l) {
    for (std::size_t h = 0; h < shape.heads; ++h) {
      const HeadName right{h < shape.own() ? l : l / 2, h}, own = table.value(l, h);
      skipv1::require(own == right, "layer ", l, ", query head ", h, " reads value ", own.layer, '.', own.head, ", must be ",
                      right.layer, '.', right.head);
    }
  }
}

}  // namespace exercise
