// Checkpoints of Hugging Face's transformers: LLaMA and its relatives, whose tensors have our names, and GPT-2, whose are split
// and turned.
#pragma once

#include "skipv1/io/checkpoint.hpp"
#include "skipv1/io/hugging_face_config.hpp"
#include "skipv1/io/model_tensors.hpp"

namespace skipv1 {

namespace detail {

/// `to` (out, in) becomes the transpose of columns `begin …` of `from` (in, columns).
template <class T>
void turn(View<T> to, View<T> from, std::size_t begin = 0) {
  for (std::size_t o = 0; o < to.extent(0); ++o)
    for (std::size_t i = 0; i < to.extent(1); ++i) to(o, i) = from(i, begin + o);
}

/// One layer of GPT-2: `c_attn` holds queries, keys and values side by side; matrices are stored (in, out).
template <class T>
void read_gpt2_layer(ModelTensors& tensors, const Config& c, const Parameters<T>& to, const std::string& from,
                     const std::string& layer) {
  const std::size_t d = c.hidden_size, inner = c.intermediate_size;
  for (const auto& [theirs, ours] : {std::pair("ln_1", "input_layernorm"), std::pair("ln_2", "post_attention_layernorm")})
    for (const char* part : {".weight", ".bias"}) tensors.read(from + theirs + part, to[layer + ours + part]);
  Tensor<T> fused({d, 3 * d}), bias({3 * d});
  tensors.template read<T>(from + "attn.c_attn.weight", fused);
  tensors.template read<T>(from + "attn.c_attn.bias", bias);
  std::size_t begin = 0;
  for (const char* ours : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}) {
    turn<T>(to[layer + ours + ".weight"], fused, begin);
    copy<T>(to[layer + ours + ".bias"], bias.slice(begin, d));
    begin += d;
  }
  const auto matrix = [&](const char* theirs, const char* ours, std::size_t in, std::size_t out) {
    Tensor<T> turned({in, out});
    tensors.template read<T>(from + theirs + ".weight", turned);
    turn<T>(to[layer + ours + ".weight"], turned);
    tensors.read(from + theirs + ".bias", to[layer + ours + ".bias"]);
  };
  matrix("attn.c_proj", "self_attn.o_proj", d, d);
  matrix("mlp.c_fc", "mlp.up_proj", d, inner);
  matrix("mlp.c_proj", "mlp.down_proj", inner, d);
}

template <class T>
void read_gpt2(ModelTensors& tensors, const Config& c, const Parameters<T>& to) {
  const std::string from = tensors.has("transformer.wte.weight") ? "transformer." : "";
  tensors.read(from + "wte.weight", to["model.embed_tokens.weight"]);
  tensors.read(from + "wpe.weight", to["model.embed_positions.weight"]);
  for (const char* part : {".weight", ".bias"}) tensors.read(from + "ln_f" + part, to[std::string("model.norm") + part]);
  for (std::size_t l = 0; l < c.num_hidden_layers; ++l)
    read_gpt2_layer(tensors, c, to, from + "h." + std::to_string(l) + '.', "model.layers." + std::to_string(l) + '.');
  require_tied_head<T>(tensors, from + "wte.weight", to["model.embed_tokens.weight"]);
  // Masks, which old files hold.
  tensors.finish(c.num_hidden_layers,
                 [](const std::string& key) { return key.ends_with(".attn.bias") || key.ends_with(".attn.masked_bias"); });
}

}  // namespace detail

/// Imports a transformers folder (config.json and safetensors, in one file or several) of a model that
/// `parse_hugging_face_config` knows. Throws if a tensor is missing, unknown, of another shape than the configuration says, or
/// not finite.
template <class T>
Checkpoint<T> import_hugging_face(const std::filesystem::path& folder) {
  const Config c = read_config_as(folder / "config.json", parse_hugging_face_config);
  ModelTensors tensors(folder);
  require_plausible(c, tensors.elements(), tensors.name());
  Checkpoint<T> checkpoint{c, Parameters<T>(c)};
  c.gpt2() ? detail::read_gpt2(tensors, c, checkpoint.parameters) : read_model_tensors(tensors, c, checkpoint.parameters);
  return checkpoint;
}

}  // namespace skipv1
