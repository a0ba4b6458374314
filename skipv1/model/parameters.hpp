// A model's parameters: one flat buffer, cut into named tensors (docs/spec/formats.md, "Tensor names").
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "skipv1/core/hash_index.hpp"
#include "skipv1/core/lifetime.hpp"
#include "skipv1/core/parallel.hpp"
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
  explicit ParameterLayout(const Config& config) : ParameterLayout(decoder_tensors(config)) {}
  /// The layout of these names and shapes, which must be of no more than two dimensions; their offsets are set.
  SKIPV1_COLD explicit ParameterLayout(const std::vector<Entry>& entries) {
    for (const Entry& entry : entries)
      require(entry.shape.rank() <= 2, "parameters: ", entry.name, " is ", entry.shape, ": must have two dimensions at most");
    entries_ = std::vector<Entry>(entries.size());
    std::size_t place = 0;
    for (std::size_t rank = 3; rank-- > 0;)
      for (const Entry& entry : entries)
        if (entry.shape.rank() == rank) entries_[place++] = entry;
    for (Entry& entry : entries_) {
      entry.offset = size_;
      size_ += (entry.shape.size() + 63) / 64 * 64;
      if (entry.shape.rank() == 2) decayed_ = size_;
      count_ += entry.shape.size();
      const std::size_t number = static_cast<std::size_t>(&entry - entries_.data());
      index_.find_or_add(
          hash(entry.name), [&](std::size_t i) { return entries_[i].name == entry.name; }, number) = number;
    }
  }

  const std::vector<Entry>& entries() const { return entries_; }
  std::size_t size() const { return size_; }        ///< elements of the buffer, gaps included
  std::size_t decayed() const { return decayed_; }  ///< the matrices' elements: what weight decay applies to
  std::size_t count() const { return count_; }      ///< stored elements, a tied head once
  /// The entry called `name`, or null.
  const Entry* find(const std::string& name) const {
    const std::size_t found = index_.find(hash(name), [&](std::size_t i) { return entries_[i].name == name; });
    return found == HashIndex::none ? nullptr : &entries_[found];
  }

  /// Whether both have the same names and shapes in the same places.
  bool same_tensors(const ParameterLayout& other) const {
    bool same = entries_.size() == other.entries_.size();
    for (std::size_t i = 0; same && i < entries_.size(); ++i)
      same = entries_[i].name == other.entries_[i].name && entries_[i].shape == other.entries_[i].shape;
    return same;
  }

 private:
  static std::vector<Entry> decoder_tensors(const Config& c);
  static std::size_t hash(const std::string& name) { return Hash().add_text(name).value(); }

  std::vector<Entry> entries_;
  HashIndex index_;
  std::size_t size_ = 0, decayed_ = 0, count_ = 0;
};

/// Throws unless `given`, the layout of `what`, has the tensors of `wanted`; names the first that differs.
SKIPV1_COLD inline void require_layout(const char* what, const ParameterLayout& given, const ParameterLayout& wanted) {
  for (const ParameterLayout::Entry& entry : wanted.entries()) {
    const ParameterLayout::Entry* found = given.find(entry.name);
    require(found, what, ": ", entry.name, " is missing, this configuration has it");
    require(found->shape == entry.shape, what, ": ", entry.name, " is ", found->shape, ", this configuration's is ", entry.shape);
  }
  require(given.count() == wanted.count(), what, ": ", given.count(), " elements, this configuration has ", wanted.count());
}

/// Which tensors an attention layer has besides its matrices.
struct AttentionTensors {
  bool qkv_bias = false, o_bias = false, qk_norm = false, learned_mix = false;
};

/// Which tensors a feed-forward layer has besides its up and down projections.
struct FeedForwardTensors {
  bool gate = false, bias = false;
};

/// The tensors of a model, one after the other; empty ones are left out.
class TensorList {
 public:
  std::vector<ParameterLayout::Entry> entries;

  SKIPV1_COLD void add(const std::string& name, Shape shape) {
    if (shape.size() != 0) entries.push_back({name, shape});
  }
  SKIPV1_COLD void add_linear(const std::string& name, std::size_t out, std::size_t in, bool bias) {
    add(name + ".weight", {out, in});
    if (bias && out != 0) add(name + ".bias", {out});
  }
  SKIPV1_COLD void add_norm(const std::string& name, std::size_t d, bool bias = false) {
    add(name + ".weight", {d});
    if (bias) add(name + ".bias", {d});
  }
  /// The projections of layer l's attention on a stream of width d, and norms of queries and keys.
  SKIPV1_COLD void add_attention(const std::string& name, const Routing& table, std::size_t l, std::size_t d,
                                 const AttentionTensors& has) {
    const std::size_t values = table.heads * table.value_width;
    add_linear(name + "q_proj", table.heads * table.key_width, d, has.qkv_bias);
    if (has.qk_norm) add(name + "q_norm.weight", {table.key_width});
    add_linear(name + (table.has_latent() ? "k_rotary_proj" : "k_proj"), table.key_columns(l), d, has.qkv_bias);
    if (has.qk_norm && table.owned_keys[l] != 0) add(name + "k_norm.weight", {table.key_width});
    add_linear(name + (table.has_latent() ? "kv_down_proj" : "v_proj"), table.value_columns(l), d, has.qkv_bias);
    if (table.has_latent()) {
      const std::size_t latent = table.latent.parts * table.latent.part_width;
      add(name + "k_up_proj.weight", {values, latent});
      add(name + "v_up_proj.weight", {values, latent});
    }
    if (has.learned_mix && l > 0) add(name + "value_mix", {1});
    add_linear(name + "o_proj", d, values, has.o_bias);
  }
  SKIPV1_COLD void add_feed_forward(const std::string& name, std::size_t d, std::size_t intermediate,
                                    const FeedForwardTensors& has) {
    add_linear(name + "up_proj", intermediate, d, has.bias);
    if (has.gate) add_linear(name + "gate_proj", intermediate, d, has.bias);
    add_linear(name + "down_proj", d, intermediate, has.bias);
  }
};

SKIPV1_COLD inline std::vector<ParameterLayout::Entry> ParameterLayout::decoder_tensors(const Config& c) {
  const Routing routing = make_routing(c);
  const std::size_t d = c.hidden_size;
  const bool norm_bias = c.gpt2();
  const AttentionTensors has{c.has_qkv_bias(), c.has_o_bias(), c.qk_norm, c.attention.learn_value_mix};
  TensorList list;
  list.add("model.embed_tokens.weight", {c.vocab_size, d});
  if (c.gpt2()) list.add("model.embed_positions.weight", {c.max_position_embeddings, d});
  for (std::size_t l = 0; l < c.num_hidden_layers; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".";
    list.add_norm(layer + "input_layernorm", d, norm_bias);
    list.add_attention(layer + "self_attn.", routing, l, d, has);
    list.add_norm(layer + "post_attention_layernorm", d, norm_bias);
    list.add_feed_forward(layer + "mlp.", d, c.intermediate_size, {.gate = !c.gpt2(), .bias = c.has_mlp_bias()});
  }
  list.add_norm("model.norm", d, norm_bias);
  for (std::size_t i = 0; c.mixing().depth && i < c.num_hidden_layers; ++i)
    list.add("model.depth_weights." + std::to_string(i), {i + 2});
  if (!c.tie_word_embeddings) list.add("lm_head.weight", {c.vocab_size, d});
  return list.entries;
}

/// The parameters of a model, or anything of their shape (gradients, an optimizer's moments). Starts as zeros.
template <class T, class Space = Cpu>
class Parameters {
 public:
  explicit Parameters(const Config& config) : Parameters(ParameterLayout(config)) {}
  explicit Parameters(ParameterLayout layout) : layout_(std::move(layout)), flat_(zeros<T, Space>({layout_.size()})) {}
  Parameters(const Parameters&) = default;
  Parameters(Parameters&&) = default;
  /// If both have the same tensors, copies into this memory, so a decoder over it reads the new parameters.
  Parameters& operator=(const Parameters& other) {
    if (!flat_.empty() && flat_.shape() == other.flat_.shape() && layout_.same_tensors(other.layout_))
      copy(View<T, Space>(flat_), View<const T, Space>(other.flat_));
    else
      flat_ = other.flat_, lifetime_ = Lifetime();
    layout_ = other.layout_;
    return *this;
  }
  ~Parameters() = default;

  const ParameterLayout& layout() const { return layout_; }
  const Lifetime& lifetime() const { return lifetime_; }
  /// All of them as one vector (layout().size()); of temporary ones, constants for an argument.
  View<T, Space> flat() const& { return flat_; }
  View<const T, Space> flat() && SKIPV1_LIFETIMEBOUND { return View<T, Space>(flat_); }
  /// The tensor called `name`; empty if the configuration has none of that name.
  View<T, Space> operator[](const std::string& name) const& { return part(name); }
  View<const T, Space> operator[](const std::string& name) && SKIPV1_LIFETIMEBOUND { return part(name); }

 private:
  View<T, Space> part(const std::string& name) const {
    const ParameterLayout::Entry* entry = layout_.find(name);
    return entry ? View<T, Space>(flat_.data() + entry->offset, entry->shape) : View<T, Space>();
  }
  ParameterLayout layout_;
  Tensor<T, Space> flat_;
  Lifetime lifetime_;
};

/// Initial values for training: matrices normal(0, 0.02), those that write into the residual stream divided by `sqrt(2 L)`, norm
/// weights one, biases zero, `value_mix` as configured, depth weights "all on the block's own output". Each tensor draws from a
/// stream named by its own name, so equal tensors of two variants start equal.
template <class T>
void initialize(const Parameters<T>& parameters, std::size_t layers, double value_mix, std::uint64_t seed) {
  const auto ends = [](const std::string& name, const char* suffix) { return name.ends_with(suffix); };
  for (const ParameterLayout::Entry& entry : parameters.layout().entries()) {
    const View<T> x = parameters[entry.name];
    if (entry.shape.rank() == 2) {
      std::uint64_t id = 0xcbf29ce484222325ULL;  // FNV-1a of the name
      for (char letter : entry.name) id = (id ^ static_cast<unsigned char>(letter)) * 0x100000001b3ULL;
      const Random random = Random(seed).split(id);
      const bool residual = ends(entry.name, "o_proj.weight") || ends(entry.name, "down_proj.weight");
      const bool output = residual && !ends(entry.name, "kv_down_proj.weight");
      const double sigma = 0.02 / (output ? std::sqrt(2.0 * static_cast<double>(layers)) : 1.0);
      parallel_ranges(x.size(), 65536, [&](std::size_t begin, std::size_t end) {
        Random own = random.ahead(2 * begin);  // a normal number is made of two
        for (std::size_t i = begin; i < end; ++i) x.data()[i] = static_cast<T>(sigma * own.normal());
      });
    } else if (ends(entry.name, "norm.weight")) {
      std::fill_n(x.data(), x.size(), T(1));
    } else if (ends(entry.name, "value_mix")) {
      x.data()[0] = static_cast<T>(value_mix);
    } else {
      zero(x);
      if (entry.name.find("depth_weights") != std::string::npos) x.data()[x.size() - 1] = T(1);
    }
  }
}

template <class T>
void initialize(const Parameters<T>& parameters, const Config& config, std::uint64_t seed) {
  initialize(parameters, config.num_hidden_layers, config.attention.value_mix, seed);
}

}  // namespace skipv1
