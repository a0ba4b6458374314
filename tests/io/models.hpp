// Small models for the tests of imports.
#pragma once

#include "skipv1/io/checkpoint.hpp"

namespace skipv1::testing {

/// A LLaMA of two layers and four heads.
inline Config small(const char* variant, std::size_t groups, bool tied) {
  Config c;
  c.vocab_size = 11, c.hidden_size = 24, c.intermediate_size = 12, c.num_hidden_layers = 2, c.max_position_embeddings = 8;
  c.num_key_value_heads = groups;
  c.tie_word_embeddings = tied;
  c.attention.variant = variant;
  return c;
}

/// Parameters of which no two are alike.
inline Parameters<float> numbered(const Config& c) {
  const Parameters<float> parameters(c);
  float next = 1;
  for (const NamedTensor<float>& x : named_tensors(parameters))
    for (std::size_t i = 0; i < x.tensor.size(); ++i) parameters[x.name].data()[i] = next++;
  return parameters;
}

inline bool same(const Parameters<float>& a, const Parameters<float>& b) {
  return a.flat().size() == b.flat().size() && std::equal(a.flat().data(), a.flat().data() + a.flat().size(), b.flat().data());
}

}  // namespace skipv1::testing
