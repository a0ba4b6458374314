// Weights and tokens of a conformance case: everything away from where a mistake would not show.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "skipv1/core/bfloat16.hpp"
#include "skipv1/model/parameters.hpp"
#include "skipv1/ops/cross_entropy.hpp"

namespace skipv1::conformance {

/// The stream of a tensor: its name decides, so that a tensor is the same whatever others there are.
inline Random stream(std::uint64_t seed, const std::string& name) {
  std::uint64_t id = 0xcbf29ce484222325ULL;  // FNV-1a
  for (char letter : name) id = (id ^ static_cast<unsigned char>(letter)) * 0x100000001b3ULL;
  return Random(seed).split(id);
}

/// Fills `parameters`: matrices normal with standard deviation `1 / sqrt(in)`, which leaves attention far from uniform,
/// embeddings 0.8; norm weights around 1, biases around 0, learned scalars off their start, all with standard deviation 0.2.
template <class T>
void draw_weights(const Parameters<T>& parameters, const Config& config, std::uint64_t seed) {
  for (const ParameterLayout::Entry& entry : parameters.layout().entries()) {
    const View<T> x = parameters[entry.name];
    Random random = stream(seed, entry.name);
    const auto is = [&](const char* part) { return entry.name.find(part) != std::string::npos; };
    const bool matrix = entry.shape.rank() == 2, depth = is("depth_weights");
    const double sigma = is("embed") ? 0.8 : matrix ? 1 / std::sqrt(static_cast<double>(x.width())) : 0.2;
    const double center = is("norm.weight") ? 1 : is("value_mix") ? config.attention.value_mix : 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double start = depth && i + 1 == x.size() ? 1 : center;
      x.data()[i] = static_cast<T>(start + sigma * random.normal());
    }
  }
}

/// Rounds what was drawn to what a file of scalar `dtype` (F64, F32, BF16) can hold.
inline void round_to(View<double> x, const std::string& dtype) {
  if (dtype == "F32") std::transform(x.data(), x.data() + x.size(), x.data(), [](double y) { return static_cast<float>(y); });
  if (dtype == "BF16")
    std::transform(x.data(), x.data() + x.size(), x.data(), [](double y) { return static_cast<double>(bfloat16(y)); });
}

/// Tokens (n), uniform over the vocabulary.
inline std::vector<std::int32_t> draw_tokens(std::size_t n, std::size_t vocab, std::uint64_t seed) {
  Random random = stream(seed, "tokens");
  std::vector<std::int32_t> tokens(n);
  for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(random.below(vocab));
  return tokens;
}

/// Targets (n): uniform, every fifth or so ignored; the first never, so that one is left.
inline std::vector<std::int32_t> draw_targets(std::size_t n, std::size_t vocab, std::uint64_t seed) {
  Random random = stream(seed, "targets");
  std::vector<std::int32_t> targets(n);
  for (std::size_t i = 0; i < n; ++i) {
    targets[i] = static_cast<std::int32_t>(random.below(vocab));
    if (random.below(5) == 0 && i > 0) targets[i] = ignored_target;
  }
  return targets;
}

}  // namespace skipv1::conformance
