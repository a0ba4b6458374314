// A model's parameters: one flat buffer, cut into named tensors (docs/spec/formats.md, "Tensor names").
#pragma once

#include <cmath>
#include <string>
#include <unordered_map>
#include <vector>

#include "skipv1/core/random.hpp"
#include "skipv1/core/tensor.hpp"
#include "skipv1/model/config.hpp"

namespace skipv1 {

/// Names, shapes and places of all tensors of a configuration. Matrices come first, so that weight decay is a prefix; every
/// tensor starts at a multiple of 64 elements, the gaps stay zero.
class ParameterLayout {
 public:
  struct Entry {
    std::string name;
    Shape shape;
    std::size_t offset = 0;
  };

  /// The layout of a valid configuration.
  explicit ParameterLayout(const Config& config) {
    list(config, make_routing(config));
    std::stable_sort(entries_.begin(), entries_.end(),
                     [](const Entry& a, const Entry& b) { return a.shape.rank() > b.shape.rank(); });
    for (Entry& entry : entries_) {
      entry.offset = size_;
      size_ += (entry.shape.size() + 63) / 64 * 64;
      if (entry.shape.rank() == 2) decayed_ = size_;
      count_ += entry.shape.size();
      index_[entry.name] = &entry - entries_.data();
    }
  }

  const std::vector<Entry>& entries() const { return entries_; }
  std::size_t size() const { return size_; }        ///< elements of the buffer, gaps included
  std::size_t decayed() const { return decayed_; }  ///< the matrices' elements: what weight decay applies to
  std::size_t count() const { return count_; }      ///< stored elements, a tied head once
  /// The entry called `name`, or null.
  const Entry* find(const std::string& name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &entries_[static_cast<std::size_t>(found->second)];
  }

 private:
  void add(const std::string& name, Shape shape) {
    if (shape.size() != 0) entries_.push_back({name, shape});
  }
  void add_linear(const std::string& name, std::size_t out, std::size_t in, bool bias) {
    add(name + ".weight", {out, in});
    if (bias) add(name + ".bias", {out});
  }
  void add_norm(const std::string& name, std::size_t d, bool bias) {
    add(name + ".weight", {d});
    if (bias) add(name + ".bias", {d});
  }
  void list(const Config& c, const Routing& routing) {
    const std::size_t d = c.hidden_size;
    const bool bias = c.gpt2();
    add("model.embed_tokens.weight", {c.vocab_size, d});
    if (c.gpt2()) add("model.embed_positions.weight", {c.max_position_embeddings, d});
    for (std::size_t l = 0; l < c.num_hidden_layers; ++l) list_layer(c, routing, l);
    if (c.theory.norms) add_norm("model.norm", d, bias);
    if (c.mixing().depth)
      for (std::size_t i = 0; i < c.num_hidden_layers; ++i) add("model.depth_weights." + std::to_string(i), {i + 2});
    if (!c.tie_word_embeddings) add("lm_head.weight", {c.vocab_size, d});
  }
  void list_layer(const Config& c, const Routing& routing, std::size_t l) {
    const std::size_t d = c.hidden_size, heads = c.num_attention_heads;
    const bool bias = c.gpt2(), latent = c.latent();
    const std::string layer = "model.layers." + std::to_string(l) + ".", attention = layer + "self_attn.";
    if (c.theory.norms) add_norm(layer + "input_layernorm", d, bias);
    add_linear(attention + "q_proj", heads * c.query_width(), d, bias);
    add_linear(attention + (latent ? "k_rotary_proj" : "k_proj"), routing.key_columns(l), d, bias);
    add_linear(attention + (latent ? "kv_down_proj" : "v_proj"), routing.value_columns(l), d, bias);
    if (latent) {
      add(attention + "k_up_proj.weight", {heads * c.head_width(), c.attention.kv_latent_size});
      add(attention + "v_up_proj.weight", {heads * c.head_width(), c.attention.kv_latent_size});
    }
    if (c.attention.learn_value_mix && l > 0) add(attention + "value_mix", {1});
    add_linear(attention + "o_proj", d, heads * c.head_width(), bias);
    if (!c.theory.feed_forward) return;
    if (c.theory.norms) add_norm(layer + "post_attention_layernorm", d, bias);
    add_linear(layer + "mlp.up_proj", c.intermediate_size, d, bias);
    if (!c.gpt2()) add(layer + "mlp.gate_proj.weight", {c.intermediate_size, d});
    add_linear(layer + "mlp.down_proj", d, c.intermediate_size, bias);
  }

  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::ptrdiff_t> index_;
  std::size_t size_ = 0, decayed_ = 0, count_ = 0;
};

/// The parameters of a model, or anything of their shape (gradients, an optimizer's moments). Starts as zeros.
template <class T, class Space = Cpu>
class Parameters {
 public:
  explicit Parameters(const Config& config) : layout_(config), flat_(zeros<T, Space>({layout_.size()})) {}

  const ParameterLayout& layout() const { return layout_; }
  /// All of them as one vector (layout().size()).
  View<T, Space> flat() const { return flat_; }
  /// The tensor called `name`; empty if the configuration has none of that name.
  View<T, Space> operator[](const std::string& name) const {
    const ParameterLayout::Entry* entry = layout_.find(name);
    return entry ? View<T, Space>(flat_.data() + entry->offset, entry->shape) : View<T, Space>();
  }

 private:
  ParameterLayout layout_;
  Tensor<T, Space> flat_;
};

/// Initial values for training: matrices normal(0, 0.02), those that write into the residual stream divided by `sqrt(2 L)`, norm
/// weights one, biases zero, `value_mix` as configured, depth weights "all on the block's own output". Each tensor draws from a
/// stream named by its own name, so equal tensors of two variants start equal.
template <class T>
void initialize(const Parameters<T>& parameters, const Config& config, std::uint64_t seed) {
  const auto ends = [](const std::string& name, const char* suffix) { return name.ends_with(suffix); };
  for (const ParameterLayout::Entry& entry : parameters.layout().entries()) {
    const View<T> x = parameters[entry.name];
    if (entry.shape.rank() == 2) {
      std::uint64_t id = 0xcbf29ce484222325ULL;  // FNV-1a of the name
      for (char letter : entry.name) id = (id ^ static_cast<unsigned char>(letter)) * 0x100000001b3ULL;
      Random random = Random(seed).split(id);
      const bool residual = ends(entry.name, "o_proj.weight") || ends(entry.name, "down_proj.weight");
      const bool output = residual && !ends(entry.name, "kv_down_proj.weight");
      const double sigma = 0.02 / (output ? std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers)) : 1.0);
      for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<T>(sigma * random.normal());
    } else if (ends(entry.name, "norm.weight")) {
      std::fill_n(x.data(), x.size(), T(1));
    } else if (ends(entry.name, "value_mix")) {
      x.data()[0] = static_cast<T>(config.attention.value_mix);
    } else {
      zero(x);
      if (entry.name.find("depth_weights") != std::string::npos) x.data()[x.size() - 1] = T(1);
    }
  }
}

}  // namespace skipv1
