#include "skipv1/conformance/gradients.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace skipv1::conformance {

double least_gradient_divisor(const Case& c) {
  const View<double> g = c.gradients.flat();
  double largest = 0;
  for (std::size_t i = 0; i < g.size(); ++i) largest = std::max(largest, std::abs(g.data()[i]));
  return 0.01 * largest;
}

namespace {

/// Where in the backward pass a parameter's gradient is complete: in which block, from the last to the first, and where in it.
struct Rank {
  long block = 0;  ///< the layer; -1: before all, L: after all
  int part = 0;
  friend bool operator<(const Rank& a, const Rank& b) { return a.block != b.block ? a.block > b.block : a.part < b.part; }
};

/// The number that follows `prefix` in `name`.
long number_after(const std::string& name, const std::string& prefix) {
  long number = 0;
  std::from_chars(name.data() + prefix.size(), name.data() + name.size(), number);
  return number;
}

Rank rank(const std::string& name, long layers) {
  const std::string layer = "model.layers.", depth = "model.depth_weights.";
  if (name.starts_with("model.embed")) return {-1, 0};
  if (name.starts_with("lm_head")) return {layers, 0};
  if (name.starts_with("model.norm")) return {layers, 1};
  if (name.starts_with(depth)) return {number_after(name, depth), -1};  // it averages what its block gave
  const char* const parts[] = {"down_proj",    "up_proj",        "gate_proj",     "post_attention_layernorm",
                               "o_proj",       "value_mix",      "v_up_proj",     "k_up_proj",
                               "kv_down_proj", "v_proj",         "k_rotary_proj", "k_proj",
                               "q_proj",       "input_layernorm"};
  // kv_down_proj and v_up_proj contain other parts' names, so a part begins after a dot.
  int part = 0;
  for (const char* word : parts) {
    if (name.find('.' + std::string(word)) != name.npos) break;
    ++part;
  }
  return {number_after(name, layer), part};
}

}  // namespace

std::vector<std::string> backward_order(const ParameterLayout& layout) {
  std::vector<std::string> names;
  long layers = 0;
  for (const ParameterLayout::Entry& entry : layout.entries()) {
    names.push_back(entry.name);
    if (entry.name.starts_with("model.layers.")) layers = std::max(layers, number_after(entry.name, "model.layers.") + 1);
  }
  std::stable_sort(names.begin(), names.end(),
                   [&](const std::string& a, const std::string& b) { return rank(a, layers) < rank(b, layers); });
  return names;
}

}  // namespace skipv1::conformance
