// Checkpoints of llama2.c (its version 0: stories260K.bin and the like). Its vocabularies: training/tokenizer.hpp.
#pragma once

#include <iomanip>

#include "skipv1/io/checkpoint.hpp"

namespace skipv1 {

namespace detail {

/// Reads float32 arrays that lie one after the other.
template <class T>
class Llama2cReader {
 public:
  Llama2cReader(Source& from, std::uint64_t at) : from_(from), at_(at) {}

  void skip(std::uint64_t floats) { at_ += 4 * floats; }
  void read(View<T> to, const std::string& name) {
    read_numbers<float>(from_, at_, to, [&](float x, std::size_t i) {
      require(std::isfinite(x), from_.name(), ": tensor \"", name, "\": element ", i, " is ", x, ": must be finite");
      return static_cast<T>(x);
    });
    skip(to.size());
  }
  /// The tensor `suffix` of every layer.
  void layers(const Parameters<T>& to, std::size_t count, const std::string& suffix) {
    for (std::size_t l = 0; l < count; ++l) {
      const std::string name = "model.layers." + std::to_string(l) + '.' + suffix;
      read(to[name], name);
    }
  }

 private:
  Source& from_;
  std::uint64_t at_;
};

/// Turns rotary pairs of neighbours into half-split ones: of each head's `width` rows, row 2i becomes i, row 2i + 1 becomes i +
/// width / 2.
template <class T>
void split_pairs(View<T> rows, std::size_t width) {
  Tensor<T> head({width, rows.width()});
  for (std::size_t begin = 0; begin < rows.rows(); begin += width) {
    copy<T>(head, rows.slice(begin, width));
    for (std::size_t i = 0; i < width; ++i) copy<T>(rows.slice(begin + i % 2 * (width / 2) + i / 2, 1), head.slice(i, 1));
  }
}

/// Reads the header: seven int32 (dim, hidden, layers, heads, kv heads, vocab, context).
inline Config read_llama2c_config(Source& from) {
  std::array<std::int32_t, 7> header{};
  require(from.size() >= sizeof header, from.name(), ": not a llama2.c checkpoint: ", from.size(), " bytes, its header has ",
          sizeof header);
  from.read(0, header.data(), sizeof header);
  require(header[0] != 0x616b3432, from.name(), ": a llama2.c checkpoint of version 1 or later: version 0 is read");
  Config c;
  const auto positive = [&](std::size_t i, const char* what, std::size_t& to) {
    require(header[i] > 0, from.name(), ": not a llama2.c checkpoint: ", what, " is ", header[i]);
    to = static_cast<std::size_t>(header[i]);
  };
  positive(0, "dim", c.hidden_size);
  positive(1, "hidden_dim", c.intermediate_size);
  positive(2, "n_layers", c.num_hidden_layers);
  positive(3, "n_heads", c.num_attention_heads);
  positive(4, "n_kv_heads", c.num_key_value_heads);
  c.tie_word_embeddings = header[5] > 0;
  if (header[5] < 0 && header[5] > std::numeric_limits<std::int32_t>::min()) header[5] = -header[5];
  positive(5, "vocab_size", c.vocab_size);
  positive(6, "seq_len", c.max_position_embeddings);
  c.attention.variant = c.num_key_value_heads == c.num_attention_heads ? "mha" : c.num_key_value_heads == 1 ? "mqa" : "gqa";
  at_place(from.name() + ": not a llama2.c checkpoint", [&] { validate(c); });
  return c;
}

/// Floats after the header; exact where a file can be so long.
inline double llama2c_floats(const Config& c) {
  const auto real = [](std::size_t n) { return static_cast<double>(n); };
  const double d = real(c.hidden_size), width = real(c.head_width()), kv = real(c.num_key_value_heads) * width;
  const double layer = 2 * d + 2 * d * d + 2 * kv * d + 3 * d * real(c.intermediate_size);
  return real(c.num_hidden_layers) * layer + d + real(c.max_position_embeddings) * width +
         (c.tie_word_embeddings ? 1 : 2) * real(c.vocab_size) * d;
}

}  // namespace detail

/// Imports a version 0 checkpoint: after the header float32 arrays, each stacked over layers, in the order below; a negative
/// vocabulary size means an output head of its own, at the end. Its rotary pairs are neighbours, so rows of queries and keys are
/// permuted. Throws if the file is not exactly as long as its header says, or if a weight is not finite.
template <class T>
Checkpoint<T> import_llama2c(Source& from) {
  const Config c = detail::read_llama2c_config(from);
  const double bytes = 28 + 4 * detail::llama2c_floats(c);
  require(bytes == static_cast<double>(from.size()), from.name(), ": ", from.size(), " bytes, its header asks for ",
          std::setprecision(15), bytes);
  Checkpoint<T> checkpoint{c, Parameters<T>(c)};
  const Parameters<T>& to = checkpoint.parameters;
  const std::size_t layers = c.num_hidden_layers;
  detail::Llama2cReader<T> reader(from, 28);
  reader.read(to["model.embed_tokens.weight"], "model.embed_tokens.weight");
  for (const char* suffix : {"input_layernorm.weight", "self_attn.q_proj.weight", "self_attn.k_proj.weight",
                             "self_attn.v_proj.weight", "self_attn.o_proj.weight", "post_attention_layernorm.weight",
                             "mlp.gate_proj.weight", "mlp.down_proj.weight", "mlp.up_proj.weight"})
    reader.layers(to, layers, suffix);
  reader.read(to["model.norm.weight"], "model.norm.weight");
  reader.skip(c.max_position_embeddings * c.head_width());  // cosines and sines
  if (!c.tie_word_embeddings) reader.read(to["lm_head.weight"], "lm_head.weight");
  for (std::size_t l = 0; l < layers; ++l)
    for (const char* suffix : {".self_attn.q_proj.weight", ".self_attn.k_proj.weight"})
      detail::split_pairs(to["model.layers." + std::to_string(l) + suffix], c.head_width());
  return checkpoint;
}

/// The same from a file.
template <class T>
Checkpoint<T> import_llama2c(const std::filesystem::path& path) {
  Source from(path);
  return import_llama2c<T>(from);
}

}  // namespace skipv1
